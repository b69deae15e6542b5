"""Directories that need not exist yet."""

import os
from pathlib import Path


def existing(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists and can be looked at."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), Path("/"))
