"""Garbage collection, by the command, beside a real server and without one."""
