"""What is wrong with a configuration, in words that say what to do."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from holdfast.config.declared import settings, variable_name
from holdfast.config.tree import Branch, Entry, Leaf, Series


class ConfigurationError(Exception):
    """The configuration cannot be used. `messages` name each problem; the text is all of them, one a line.

    `warnings` are those of `Loaded`, as far as they were found.
    """

    def __init__(self, messages: list[str], warnings: list[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages
        self.warnings = warnings


@dataclass
class Findings:
    """Problems, which stop the start, and warnings, which do not, in the order in which they are met."""

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    """The keys whose values could not be read."""


def hint(nearest: str) -> str:
    """The end of a message about an unknown name."""
    return f"; did you mean {nearest}?" if nearest else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like this one; empty if none is."""
    return next(iter(difflib.get_close_matches(name, list(known), 1, 0.7)), "")


def nearest_variable(name: str, known: Iterable[str]) -> str:
    """The known variable that is most like this one; what all begin with does not count."""
    start = variable_name("")
    close = nearest(name.removeprefix(start), [variable.removeprefix(start) for variable in known])
    return close and start + close


def nearest_key(key: str, siblings: Iterable[str]) -> str:
    """The declared key that was probably meant: a neighbour that is spelt alike, or the same name elsewhere."""
    parent, _, name = key.rpartition(".")
    close = nearest(name.lower(), siblings)
    if close:
        return f"{parent}.{close}" if parent else close
    return same_name(name)


def same_name(name: str) -> str:
    """The first declared key that has this name in some section; empty if none has."""
    keys = [setting.key for setting in settings()]
    sections = [key.rpartition(".")[0] for key in keys]
    return next((known for known in (*keys, *sections) if known.rpartition(".")[2] == name.lower()), "")


def found(given: Entry | str) -> str:
    """What was given, short enough for a message."""
    if isinstance(given, Branch):
        return "a mapping"
    if isinstance(given, Series):
        return "a list"
    text = given.value if isinstance(given, Leaf) else given
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 60 else text[:57] + "...")
