"""The access log: one line for each request, on standard output.

Lines are gathered for a few milliseconds and written together, since a system call for each would cost as much as answering.
"""

import asyncio
import json as ascii_json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from holdfast.observability.lines import cut, quoted
from holdfast.observability.writer import LineWriter

GATHER_SECONDS = 0.02
MOST_GATHERED = 500


class Requested(Protocol):
    """What a line tells of a request."""

    method: str
    path: str

    @property
    def user(self) -> str:
        """Who asked; empty if nobody said."""

    @property
    def client(self) -> str:
        """The address that asked."""

    @property
    def agent(self) -> str:
        """The User-Agent."""


@dataclass(frozen=True, slots=True)
class Line:
    """One request: its status, the bytes of body sent, the bytes of body received, and seconds."""

    request: Requested
    status: int
    sent: int
    received: int
    seconds: float


class AccessLog:
    """Formats and writes lines. `json`: one object a line, else `key=value` text."""

    def __init__(self, *, json: bool, fields: dict[str, str], file: int = 1) -> None:
        self._format: Callable[[Line, str], str] = self._json if json else self._text
        self._fields = fields
        self._suffix = "".join(f" {key}={quoted(value)}" for key, value in fields.items())
        self._writer = LineWriter(file)
        self._lines: list[str] = []

    def write(self, line: Line) -> None:
        """Take a line; it is written within 20 ms. Called on the event loop."""
        if not self._lines:
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._hand_over)
        self._lines.append(self._format(line, _now()))
        if len(self._lines) >= MOST_GATHERED:
            self._hand_over()

    def flush(self) -> None:
        """Write what has been gathered, waiting for it for half a second at most."""
        self._hand_over()
        self._writer.flush()

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._writer.write(lines)

    def _text(self, line: Line, now: str) -> str:
        request = line.request
        return (
            f"{now} info request method={request.method} path={quoted(cut(request.path))} status={line.status}"
            f" sent={line.sent} received={line.received} seconds={line.seconds:.6f} client={request.client}"
            f" user={quoted(cut(request.user))} agent={quoted(cut(request.agent))}{self._suffix}\n"
        )

    def _json(self, line: Line, now: str) -> str:
        request = line.request
        entry = {
            "time": now,
            "level": "info",
            "event": "request",
            "method": request.method,
            "path": cut(request.path),
            "status": line.status,
            "sent": line.sent,
            "received": line.received,
            "seconds": round(line.seconds, 6),
            "client": request.client,
            "user": cut(request.user),
            "agent": cut(request.agent),
            **self._fields,
        }
        text = msgspec.json.encode(entry).decode()
        return f"{text if text.isprintable() else ascii_json.dumps(entry)}\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
