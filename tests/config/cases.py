"""Rows of the tables that say what a file and variables lead to."""

from dataclasses import dataclass, field
from pathlib import Path

from holdfast.config.load import Loaded, load
from holdfast.config.report import rows

VERSION = "version: 0.1\n"


@dataclass(frozen=True)
class Case:
    """What a file (without its version line) and variables lead to. `file FILE` in a text stands for the file's path."""

    name: str
    file: str = ""
    environ: dict[str, str] = field(default_factory=dict)
    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def read(directory: Path, text: str | None, environ: dict[str, str]) -> Loaded:
    """Load `text` as a file, or no file."""
    if text is None:
        return load(None, environ)
    path = directory / "config.yml"
    path.write_text(text, encoding="utf-8")
    return load(str(path), environ)


def values(loaded: Loaded) -> dict[str, object]:
    return {row.key: row.value for row in rows(loaded)}
