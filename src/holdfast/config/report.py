"""The effective settings for people and programs: each with its value and where that came from."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from holdfast.config.declared import REQUIRED, Listed, Setting, Table, declarations
from holdfast.config.load import Loaded
from holdfast.config.section import Section

MASK = "********"
"""What stands in place of a secret."""

_BARE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./:@%+-]*|:[0-9]+")


@dataclass(frozen=True)
class Row:
    """One effective setting. `value` is a text, number, truth value, list or empty mapping; secrets are masked."""

    key: str
    value: Any
    origin: str


def rows(loaded: Loaded) -> list[Row]:
    """Every effective setting in the order of the file; of alternatives, the one that was chosen.

    A section without any, such as `storage.inmemory` or an `auth` that is off, is a row itself, with `{}`.
    """
    found = _section(declarations(), loaded.settings)
    return [Row(key, value, loaded.origins.get(key, "default")) for key, value in found]


def line(row: Row) -> str:
    """The row as a line that reads like YAML, its origin in a comment."""
    return f"{row.key}: {written(row.value)}  # {row.origin}"


def written(value: Any) -> str:
    """A value on one line, quoted where it could be taken for something else or cannot be printed."""
    if value is REQUIRED:
        return ""
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else json.dumps(value, ensure_ascii=not value.isprintable())
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def shown(setting: Setting, value: Any) -> Any:
    """The value, or the mask if it is a secret that has been set."""
    return MASK if setting.marked("secret") and value else value


def _section(table: Table, section: Section) -> Iterator[tuple[str, Any]]:
    for name, child in table.children.items():
        value = getattr(section, name)
        if isinstance(child, Listed):
            for place, item in enumerate(value):
                yield from _section(child.item(place), item)
            if not value:
                yield child.key, []
        elif isinstance(child, Table):
            if value is not None:
                below = list(_section(child, value))
                yield from below or [(child.key, {})]
        elif child.is_map and value:
            for item, content in value.items():
                yield f"{child.key}.{item}", shown(child, content)
        else:
            yield child.key, shown(child, value)
