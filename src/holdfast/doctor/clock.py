"""Checks of the clock."""

import os
import tempfile
from collections.abc import Iterator
from email.utils import parsedate_to_datetime

from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem
from holdfast.doctor.reach import Reply
from holdfast.metadata.sqlite import FILE

SMALL = 60.0
LARGE = 300.0
"""Seconds: more of a difference than this makes certificates, tokens and ages of images wrong."""

_REMEDY = "switch time synchronisation on (timedatectl set-ntp true, or chrony) on this machine and on the other one"


def _clock(case: Case) -> Iterator[Finding]:
    differences = [*_answers(case), *_disk(case)]
    found = [finding for name, seconds in differences if (finding := _judged(name, seconds))]
    yield from found or [ok("the clocks agree" if differences else "there is no other clock to compare with")]


def _judged(name: str, seconds: float) -> Finding | None:
    words = f"the clock of {name} is {abs(seconds):.0f} seconds {'ahead of' if seconds > 0 else 'behind'} the one here"
    if abs(seconds) > LARGE:
        return problem(f"{words}: certificates are judged wrongly, and times of images are wrong", _REMEDY)
    return advice(words, _REMEDY) if abs(seconds) > SMALL else None


def _answers(case: Case) -> Iterator[tuple[str, float]]:
    """The difference to the Date of each address, in seconds; the request's own duration counts for neither side."""
    for end in case.ends:
        if not isinstance(end.ping, Reply):
            continue
        reply = end.ping
        try:
            date = parsedate_to_datetime(reply.header("Date")).timestamp()
        except (ValueError, TypeError):
            continue
        yield str(end), _beyond(date, reply.began, reply.ended)


def _beyond(moment: float, began: float, ended: float) -> float:
    if moment < began - 1:  # a Date has whole seconds
        return moment - began
    return max(moment - ended, 0)


def _disk(case: Case) -> Iterator[tuple[str, float]]:
    """The difference to the clock that stamps files, which is another machine's on a network file system; and files from the
    future, which tell that the clock was set back."""
    if case.root is None or case.metadata is None:
        return
    try:
        with tempfile.TemporaryFile(dir=case.metadata) as file:
            file.write(b"x")
            file.flush()
            os.utime(file.fileno())
            yield f"the disk of {case.metadata}", os.fstat(file.fileno()).st_mtime - case.now()
    except OSError:
        return
    stamps = [path.stat().st_mtime for path in (case.metadata / FILE, case.metadata / f"{FILE}-wal") if path.exists()]
    if stamps and max(stamps) - case.now() > SMALL:
        yield f"the server that last wrote to {case.metadata / FILE}", max(stamps) - case.now()


CHECKS = (
    Check(
        "clock",
        "The clock here against that of each address (its Date header) and that of the disk.",
        ("clocks that differ by more than a minute", "files from the future: the clock was set back"),
        _clock,
    ),
)
