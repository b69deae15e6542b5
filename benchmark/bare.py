"""The least that an ASGI server can do: one ready answer to every request.

The answer is read once from the JSON file named by `HOLDFAST_BENCH_ANSWER`; `write_answer` makes that file.
"""

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

ANSWER_VARIABLE = "HOLDFAST_BENCH_ANSWER"

# The HTTP server adds these itself, so the application must not.
SERVER_HEADERS = frozenset({"date", "server", "connection", "transfer-encoding"})


def write_answer(path: Path, headers: Mapping[str, str], body: bytes) -> None:
    """Keep an answer (header names in lower case) for `application` to repeat."""
    kept = {name: value for name, value in headers.items() if name not in SERVER_HEADERS}
    path.write_text(json.dumps({"headers": kept, "body": body.decode("latin-1")}))


def _messages() -> tuple[dict[str, Any], dict[str, Any]]:
    answer = json.loads(Path(os.environ[ANSWER_VARIABLE]).read_text())
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer["headers"].items()]
    start = {"type": "http.response.start", "status": 200, "headers": headers}
    return start, {"type": "http.response.body", "body": answer["body"].encode("latin-1")}


if ANSWER_VARIABLE in os.environ:
    START, BODY = _messages()


async def application(
    scope: Mapping[str, Any], _receive: object, send: Callable[[Mapping[str, Any]], Awaitable[None]]
) -> None:
    """Answer every HTTP request with the kept answer."""
    if scope["type"] == "http":
        await send(START)
        await send(BODY)
