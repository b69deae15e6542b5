"""Logs and health of the running server."""
