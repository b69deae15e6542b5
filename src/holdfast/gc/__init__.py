"""Garbage collection: deleting what no manifest uses, while the registry serves."""
