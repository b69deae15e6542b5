"""What goes wrong in real life: each gets a clear answer, costs bounded memory, loses nothing and leaks nothing."""
