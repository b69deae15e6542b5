"""What must survive a crash: the order of system calls, killed processes, a killed process at each step of a push."""
