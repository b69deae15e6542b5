"""What an import, an export or a check did and found, for people and programs."""

from collections.abc import Callable
from dataclasses import dataclass, field

MOST_EXAMPLES = 10
"""Paths that are named for one reason; the others are counted."""


Tell = Callable[[str, dict[str, int]], None]
"""Is told now and then which repository or blob is looked at, and the numbers so far."""


@dataclass(slots=True)
class Reason:
    """How often something was found, and the first examples."""

    count: int = 0
    examples: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Numbers by name, and what was found by reason. Bounded, whatever the size of the tree."""

    numbers: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, Reason] = field(default_factory=dict)

    def count(self, name: str, by: int = 1) -> None:
        """Add to a number."""
        self.numbers[name] = self.numbers.get(name, 0) + by

    def skip(self, why: str, example: str) -> None:
        """Tell of something that could not be used."""
        reason = self.skipped.setdefault(why, Reason())
        reason.count += 1
        if len(reason.examples) < MOST_EXAMPLES:
            reason.examples.append(example if example.isprintable() else ascii(example))
