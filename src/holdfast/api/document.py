"""The documents of endpoints and errors, made from their tables: `python -m holdfast.api.document DIRECTORY`."""

import sys
from pathlib import Path

from holdfast.api.table import ENDPOINTS, PUBLIC
from holdfast.model.errors import ERRORS


def endpoints() -> str:
    """The page of endpoints."""
    lines = [
        "# Endpoints",
        "",
        "Every address that the registry answers, with the right that each method needs. HEAD is GET without the body. OPTIONS is answered",
        "everywhere, before authentication. With `http.prefix` all of them stand behind the prefix; those where nobody is asked stay where they",
        "are as well. Made from the endpoint table; do not edit.",
        "",
        "| address | method | right | what it does |",
        "| --- | --- | --- | --- |",
    ]
    for endpoint in ENDPOINTS.values():
        for method, operation in endpoint.operations.items():
            if method != "HEAD":
                right = "nobody is asked" if endpoint.name in PUBLIC else operation.action.value
                lines.append(f"| `{endpoint.path}` | {method} | {right} | {operation.summary} |")
    return "\n".join([*lines, ""])


def errors() -> str:
    """The page of errors."""
    lines = [
        "# Errors",
        "",
        'Every error has the body `{"errors": [{"code": ..., "message": ..., "detail": ...}]}`, except to HEAD, which has none. Made from the',
        "table of errors; do not edit.",
        "",
        "| name | status | code | message | what to do |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {kind.name} | {kind.status} | `{kind.code}` | {kind.message} | {kind.help} |" for kind in ERRORS.values()
    ]
    return "\n".join([*lines, ""])


PAGES = {"endpoints.md": endpoints, "errors.md": errors}


def main() -> None:
    """Write the pages into a directory."""
    for name, page in PAGES.items():
        (Path(sys.argv[1]) / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
