"""Time, as a parameter."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], int]
"""Gives the time in whole milliseconds since 1970."""


def system_clock() -> int:
    """The machine's time."""
    return time.time_ns() // 1_000_000


def rfc3339(milliseconds: int) -> str:
    """A time as `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
