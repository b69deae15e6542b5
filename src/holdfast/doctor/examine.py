"""The examination: all checks in order, and what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.doctor import (
    answers,
    certificates,
    clock,
    configuration,
    directory,
    disk,
    roundtrip,
    stores,
    uploads,
    users,
)
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, Verdict, problem, skipped
from holdfast.doctor.reach import Unreached

CHECKS: tuple[Check, ...] = (
    *configuration.CHECKS,
    *certificates.CHECKS,
    *users.CHECKS,
    *directory.CHECKS,
    *disk.CHECKS,
    *stores.CHECKS,
    *answers.CHECKS,
    *clock.CHECKS,
    *uploads.CHECKS,
    *roundtrip.CHECKS,
)
"""Every check, in the order in which they are made."""


@dataclass(frozen=True, slots=True)
class Result:
    """A check and what it found; a check that has nothing to look at finds nothing."""

    check: Check
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst of its findings; skipped if there are none."""
        worst = (Verdict.PROBLEM, Verdict.ADVICE, Verdict.OK)
        found = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in worst if verdict in found), Verdict.SKIPPED)


def examine(case: Case) -> Iterator[Result]:
    """Make every check; each result comes as soon as it is there."""
    for check in CHECKS:
        yield Result(check, tuple(_made(check, case)))


def healthy(results: list[Result]) -> bool:
    """Whether there is nothing that has to be fixed."""
    return not any(result.verdict is Verdict.PROBLEM for result in results)


def _made(check: Check, case: Case) -> Iterator[Finding]:
    try:
        yield from check.run(case)
    except Unreached as unreached:
        yield problem(f"a connection failed in the middle: {unreached}", unreached.remedy)
    except Exception as error:  # what one check did not foresee must not hide what the others find
        yield skipped(f"this could not be looked at: {type(error).__name__}: {error}"[:300])
