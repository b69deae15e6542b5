"""Durations as registry:2 writes them."""

import math
import re

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+")
_MOST = 2**63 * 1e-9  # 292 years, as in registry:2
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of `10s`, `1m30s`, `168h` or a bare number, which is seconds. Raises ValueError, also above 292 years.

    registry:2 takes a bare number as nanoseconds, which nobody who writes `60` means.
    """
    seconds = _seconds(text)
    if not abs(seconds) < _MOST:
        raise ValueError(f"{text!r} is no duration")
    return seconds


def _seconds(text: str) -> float:
    if _WHOLE.fullmatch(text):
        total = math.fsum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
        return -total if text.startswith("-") else total
    try:
        return float(text)
    except ValueError:
        return math.nan


def is_bare(text: str) -> bool:
    """Whether a duration is written without its unit, so that registry:2 would read another one."""
    return text.strip("+-.0_") != "" and not text.endswith(("s", "m", "h"))
