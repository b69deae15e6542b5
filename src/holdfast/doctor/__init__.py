"""Checks of a set-up, from inside and from outside, that say what to fix."""
