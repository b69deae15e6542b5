"""`parts` on object stores: the objects that hold a content's bytes, in order. The text is JSON: `[["_holdfast/segments/<uuid>", 1048576], ...]`."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from holdfast.storage.port import StorageError


@dataclass(frozen=True, slots=True)
class Part:
    """An object and its size in bytes."""

    path: str
    size: int


def encoded(parts: Sequence[Part]) -> str:
    """The text; empty for no parts."""
    return msgspec.json.encode([(part.path, part.size) for part in parts]).decode() if parts else ""


def decoded(text: str) -> list[Part]:
    """The parts in a text that `encoded` made. Raises `StorageError` for another text."""
    if not text:
        return []
    try:
        return [Part(path, size) for path, size in msgspec.json.decode(text, type=list[tuple[str, int]])]
    except msgspec.DecodeError:
        raise StorageError("what is recorded of where a blob's bytes lie cannot be read") from None
