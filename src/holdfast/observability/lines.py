"""Log lines as text: `time level event key=value ...`, one line each whatever the values are."""

import json
from collections.abc import MutableMapping
from typing import Any

import msgspec

LONGEST = 500
"""Characters of a client's own words in a line: more than any name, tag or digest has, and few enough that lines stay whole in a pipe."""


def cut(text: str) -> str:
    """A client's own words, not longer than a line can bear."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def quoted(text: str) -> str:
    """A value as it can stand in a line: quoted where it has anything but plain characters, so that no line can be forged."""
    if text and text.isascii() and text.isprintable() and not (" " in text or '"' in text or "=" in text):
        return text
    return msgspec.json.encode(text).decode() if text.isprintable() else json.dumps(text)


def plain(text: str) -> str:
    """A message without anything that could end its line or move a terminal's cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def render_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """The last structlog processor for the text format; a traceback follows its line, indented."""
    time, level, message = event.pop("time"), event.pop("level"), plain(str(event.pop("event")))
    traceback = event.pop("exception", "")
    pairs = "".join(f" {key}={quoted(str(value))}" for key, value in event.items())
    indented = "".join(f"\n    {plain(line)}" for line in str(traceback).splitlines())
    return f"{time} {level} {message}{pairs}{indented}"
