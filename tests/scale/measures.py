"""What clients notice of a fault: which requests fail and how, the longest wait, and when all is well again."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FINE = "fine"


@dataclass(frozen=True, slots=True)
class Request:
    """A request of a client: what it was for, when it began and ended (monotonic clock), and how: `FINE`, a status, or the kind of an error."""

    what: str
    began: float
    ended: float
    how: str


@dataclass
class Measured:
    """What one fault did. Seconds are rounded to tenths; `failed`: how many requests, by what they were for and how they failed."""

    fault: str
    lasted: float
    fine: int
    failed: dict[str, int]
    failing_for: float
    longest_wait: float
    failing_after: float
    well_after: float
    notes: dict[str, float] = field(default_factory=dict)


def measured(fault: str, requests: Sequence[Request], began: float, healed: float, well: float) -> Measured:
    """What clients noticed of a fault that began and was healed at these times; `well`: when each client had been answered again."""
    touched = [request for request in requests if request.ended >= began and request.began <= well]
    failed = [request for request in touched if request.how != FINE]
    during = [request for request in touched if request.ended <= healed and request.how == FINE]
    counted = Counter(f"{request.what}: {request.how}" for request in failed)
    first = min((request.ended for request in failed), default=began)
    last = max((request.ended for request in failed), default=began)
    return Measured(
        fault=fault,
        lasted=round(healed - began, 1),
        fine=len(during),
        failed=dict(sorted(counted.items())),
        failing_for=round(last - first, 1),
        longest_wait=round(max((request.ended - request.began for request in touched), default=0.0), 1),
        failing_after=round(max(0.0, last - healed), 1),
        well_after=round(well - healed, 1),
    )


class Book:
    """All that was measured in a run."""

    def __init__(self) -> None:
        self.all: list[Measured] = []

    def note(self, one: Measured) -> None:
        """Keep a measurement, and show it where output is shown."""
        self.all.append(one)
        sys.stderr.write(f"{json.dumps(asdict(one))}\n")

    def write(self, file: Path) -> None:
        """Write everything as JSON."""
        file.write_text(json.dumps([asdict(one) for one in self.all], indent=2) + "\n")


def now() -> float:
    """The clock of all of this: monotonic seconds."""
    return time.monotonic()


def failures(requests: Iterable[Request], since: float) -> int:
    """How many requests have failed that began after a moment."""
    return sum(request.how != FINE and request.began >= since for request in requests)
