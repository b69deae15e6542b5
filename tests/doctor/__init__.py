"""`holdfast doctor`: each mistake is made on purpose, with real parts."""
