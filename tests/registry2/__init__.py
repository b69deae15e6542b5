"""The tree on disk, as registry:2 reads it."""
