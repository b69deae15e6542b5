"""Bytes: the blob store port, its contract suite and its implementations."""
