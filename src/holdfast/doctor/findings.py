"""What a check finds, and what a check is."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from holdfast.doctor.case import Case


class Verdict(StrEnum):
    """`problem`: something does not work, or will not for long, or loses data. `advice`: it works, and could be better."""

    OK = "ok"
    ADVICE = "advice"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about what was found, and one about what to do. Neither holds a secret."""

    verdict: Verdict
    explanation: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table of checks.

    `looks_at` says what is looked at and `recognises` which mistakes are told apart, for the documents. `run` gives
    findings; what it raises is reported by `examine`, never to be relied on.
    """

    name: str
    looks_at: str
    recognises: tuple[str, ...]
    run: Callable[[Case], Iterable[Finding]]


def ok(explanation: str, remedy: str = "") -> Finding:
    """All is well; `remedy` is what to do for those who want it otherwise."""
    return Finding(Verdict.OK, explanation, remedy)


def advice(explanation: str, remedy: str) -> Finding:
    """It works, and could be better."""
    return Finding(Verdict.ADVICE, explanation, remedy)


def problem(explanation: str, remedy: str) -> Finding:
    """It has to be fixed."""
    return Finding(Verdict.PROBLEM, explanation, remedy)


def skipped(explanation: str, remedy: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(Verdict.SKIPPED, explanation, remedy)
