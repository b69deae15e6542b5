"""Tests of reading and printing the configuration."""
