"""Typed settings, declared once, and how they are read."""
