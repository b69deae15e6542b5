"""The rules of the registry, without HTTP."""
