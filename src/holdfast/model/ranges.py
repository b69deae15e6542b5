"""Ranges of blobs (RFC 9110 section 14) and of chunks (distribution-spec 1.1 "Pushing a blob in chunks")."""

import re
from dataclasses import dataclass

from holdfast.model.errors import RANGE_NOT_SATISFIABLE, TOO_MANY_RANGES, Failure

MOST_RANGES = 100
"""The most ranges that one request may ask for."""

_SPEC = re.compile(r"(\d{0,100})-(\d{0,100})", re.ASCII)
_CHUNK = re.compile(r"(?:bytes )?(\d{1,19})-(\d{1,19})(?:/(?:\d{1,19}|\*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `start` to `end` of something, both included, counted from zero."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """The number of bytes, one or more."""
        return self.end - self.start + 1


def parse_range(header: str, size: int) -> list[Span] | None:
    """Read a Range header for a blob of `size` bytes: the spans asked for, or None where the whole blob is the answer.

    Raises `Failure(RANGE_NOT_SATISFIABLE)` when no span lies in the blob or one is inverted, `Failure(TOO_MANY_RANGES)`.
    """
    unit, equals, specs = header.partition("=")
    if not equals or unit.strip().lower() != "bytes" or size == 0:
        return None
    parts = specs.split(",", MOST_RANGES)
    if len(parts) > MOST_RANGES:
        raise Failure(TOO_MANY_RANGES)
    spans = []
    for part in parts:
        match = _SPEC.fullmatch(part.strip())
        if not match or not any(match.groups()):
            return None
        span = _span(match[1], match[2], size)
        if span:
            spans.append(span)
    if not spans:
        raise _unsatisfiable(size)
    if len(spans) > 1 and sum(span.length for span in spans) > size:
        raise Failure(TOO_MANY_RANGES, "the ranges overlap: together they are longer than the blob")
    return spans


def _span(first: str, last: str, size: int) -> Span | None:
    if not first:
        length = min(int(last), size)
        return Span(size - length, size - 1) if length else None
    start = int(first)
    if last and int(last) < start:
        raise _unsatisfiable(size)
    return Span(start, min(int(last), size - 1) if last else size - 1) if start < size else None


def _unsatisfiable(size: int) -> Failure:
    return Failure(RANGE_NOT_SATISFIABLE, headers=[("Content-Range", f"bytes */{size}")])


def parse_chunk_range(header: str) -> Span | None:
    """Read the Content-Range of a chunk, `0-99` (also `bytes 0-99/*`); None where it has no such form or is inverted."""
    match = _CHUNK.fullmatch(header.strip())
    if not match or int(match[2]) < int(match[1]):
        return None
    return Span(int(match[1]), int(match[2]))


def upload_range(offset: int) -> str:
    """Say how far an upload of `offset` bytes is; an empty one is `0-0`, since clients cannot read `0--1`."""
    return f"0-{max(offset - 1, 0)}"
