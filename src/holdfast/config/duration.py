"""Durations as registry:2 writes them."""

import math
import re

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of `10s`, `1m30s`, `168h` or a bare number, which is seconds. Raises ValueError.

    registry:2 takes a bare number as nanoseconds, which nobody who writes `60` means.
    """
    if _WHOLE.fullmatch(text):
        seconds = math.fsum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
        return -seconds if text.startswith("-") else seconds
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no duration")
    return seconds


def is_bare(text: str) -> bool:
    """Whether a duration is written without its unit, so that registry:2 would read another one."""
    return text.strip("+-.0_") != "" and not text.endswith(("s", "m", "h"))
