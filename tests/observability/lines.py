"""Reads log lines as a program would that collects them."""

import json
import re
from typing import Any

TEXT = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,6}Z) (?P<level>debug|info|warning|error|critical) "
    r"(?P<event>[^\n=]*?)(?P<pairs>(?: [A-Za-z_][\w.]*=(?:\"(?:[^\"\\]|\\.)*\"|[^\s\"=]+))*)"
)
PAIR = re.compile(r" ([A-Za-z_][\w.]*)=(\"(?:[^\"\\]|\\.)*\"|[^\s\"=]+)")


def read_text(line: str) -> dict[str, Any]:
    """A line of the text form: time, level, event and what else it tells. Raises `AssertionError`."""
    found = TEXT.fullmatch(line)
    assert found, f"not a log line: {line!r}"
    pairs = {key: json.loads(value) if value[0] == '"' else value for key, value in PAIR.findall(found["pairs"])}
    return {"time": found["time"], "level": found["level"], "event": found["event"], **pairs}


def read_json(line: str) -> dict[str, Any]:
    """A line of the JSON form."""
    entry: dict[str, Any] = json.loads(line)
    assert {"time", "level", "event"} <= set(entry), line
    return entry


READERS = {"text": read_text, "json": read_json, "logstash": read_json}


def entries(log: str, formatter: str) -> list[dict[str, Any]]:
    """All lines of a log."""
    return [READERS[formatter](line) for line in log.split("\n") if line]


def requests(log: str, formatter: str = "text") -> list[dict[str, Any]]:
    """The access log."""
    return [entry for entry in entries(log, formatter) if entry["event"] == "request"]
