"""YAML text to a tree of plain texts that remembers where each part was written.

Scalars stay the text that was written: what a text means is decided by the setting it is for, never by YAML's guess
(`123` or `yes` for a realm stay texts). Nothing is ever constructed from a tag. Size, depth and the number of values
after aliases are expanded are bounded, so no file can exhaust memory.
"""

from dataclasses import dataclass, field

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAXIMUM_SIZE = 1024 * 1024
MAXIMUM_DEPTH = 64
MAXIMUM_VALUES = 10_000

_CORE = "tag:yaml.org,2002:"
_TAGS = {_CORE + name for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "map", "seq")}


@dataclass
class Leaf:
    """A text, or nothing (`None`). `origin` is as in `Loaded.origins`."""

    origin: str
    value: str | None


@dataclass
class Series:
    """A list. `origin` is where its key is written."""

    origin: str
    items: "list[Entry]" = field(default_factory=list)


@dataclass
class Branch:
    """A mapping. `origin` is where its key is written."""

    origin: str
    children: "dict[str, Entry]" = field(default_factory=dict)


Entry = Leaf | Series | Branch


def as_entry(origin: str, value: str | list[str]) -> Entry:
    """A value of a setting as a part of the tree."""
    return Leaf(origin, value) if isinstance(value, str) else Series(origin, [Leaf(origin, item) for item in value])


def as_plain(entry: Entry) -> object:
    """A part of the tree as texts, lists and mappings."""
    if isinstance(entry, Leaf):
        return entry.value
    if isinstance(entry, Series):
        return [as_plain(item) for item in entry.items]
    return {name: as_plain(child) for name, child in entry.children.items()}


class YAMLProblem(Exception):
    """The text cannot be used. `line` counts from 1; 0 if it is not known."""

    def __init__(self, words: str, line: int = 0) -> None:
        super().__init__(words)
        self.words = words
        self.line = line


class _Loader(yaml.SafeLoader):
    """A composer that stops at a depth and a number of values that no configuration needs."""

    depth = 0
    values = 0

    def compose_node(self, parent: Node | None, index: object) -> Node | None:
        self.depth += 1
        self.values += 1
        if self.depth > MAXIMUM_DEPTH:
            raise YAMLProblem(f"it is nested deeper than {MAXIMUM_DEPTH} levels", self.line + 1)
        if self.values > 2 * MAXIMUM_VALUES:
            raise YAMLProblem(f"it has more than {MAXIMUM_VALUES} keys and values", self.line + 1)
        node: Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]
        self.depth -= 1
        return node


def read_text(text: str, origin: str, *, numbered: bool) -> tuple[Entry, list[str]]:
    """Read one YAML document of at most MAXIMUM_SIZE characters; an empty one is a Leaf of None.

    `origin` is that of the whole; with `numbered`, ` line N` is added to it for each part. Also returns warnings about
    keys that are written twice (the last one counts). Raises YAMLProblem.
    """
    node = _compose(text)
    reader = _Reader(origin, numbered)
    if node is None:
        return Leaf(reader.at(1), None), []
    return reader.entry(node, reader.at(_line(node)), 0), reader.warnings


def _compose(text: str) -> Node | None:
    if len(text) > MAXIMUM_SIZE:
        raise YAMLProblem(f"it is larger than {MAXIMUM_SIZE} bytes")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_node()  # type: ignore[no-any-return, unused-ignore]
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YAMLProblem(_words(error), mark.line + 1 if mark else 0) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YAMLProblem(f"the character with the code {error.character} is not allowed in YAML", line) from None


def _words(error: yaml.MarkedYAMLError) -> str:
    if error.problem and "\\t" in error.problem:
        return "a tab is used for indentation; use spaces"
    words = ", ".join(part for part in (error.context, error.problem) if part)
    return words.replace("'\\x00'", "the end of the text").replace("'<stream end>'", "the end of the text")


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


class _Reader:
    def __init__(self, origin: str, numbered: bool) -> None:
        self.origin = origin
        self.numbered = numbered
        self.warnings: list[str] = []
        self.values = 0

    def at(self, line: int) -> str:
        return f"{self.origin} line {line}" if self.numbered else self.origin

    def entry(self, node: Node, origin: str, depth: int) -> Entry:
        self._count(node, depth)
        if isinstance(node, MappingNode):
            return Branch(origin, self._children(node, depth))
        if isinstance(node, SequenceNode):
            return Series(origin, [self.entry(item, self.at(_line(item)), depth + 1) for item in node.value])
        return Leaf(origin, None if node.tag == _CORE + "null" else str(node.value))

    def _children(self, node: MappingNode, depth: int) -> dict[str, Entry]:
        merged: dict[str, Entry] = {}
        written: dict[str, Entry] = {}
        for key, value in node.value:
            if key.tag == _CORE + "merge":
                # Of several merged mappings the first one counts, and all of them give way to what is written here.
                for name, entry in self._merged(value, depth + 1).items():
                    merged.setdefault(name, entry)
                continue
            name = self._name(key)
            if name in written:
                self.warnings.append(f"{name} ({self.at(_line(key))}): written twice; this last one counts")
            written[name] = self.entry(value, self.at(_line(key)), depth + 1)
        return merged | written

    def _merged(self, node: Node, depth: int) -> dict[str, Entry]:
        self._count(node, depth)
        if isinstance(node, MappingNode):
            return self._children(node, depth)
        if not isinstance(node, SequenceNode):
            raise YAMLProblem("<< needs a mapping, such as *name", _line(node))
        found: dict[str, Entry] = {}
        for item in node.value:
            for name, entry in self._merged(item, depth + 1).items():
                found.setdefault(name, entry)
        return found

    def _name(self, key: Node) -> str:
        if not isinstance(key, ScalarNode):
            raise YAMLProblem("a key is a list or a mapping; it must be a text", _line(key))
        if not key.value.isprintable():
            raise YAMLProblem(f"the key {key.value!r} cannot be printed", _line(key))
        return str(key.value)

    def _count(self, node: Node, depth: int) -> None:
        if node.tag not in _TAGS:
            raise YAMLProblem(f"the tag {node.tag.removeprefix(_CORE)!r} is not supported", _line(node))
        self.values += 1
        if self.values > MAXIMUM_VALUES or depth > MAXIMUM_DEPTH:
            raise YAMLProblem(f"with its aliases it has more than {MAXIMUM_VALUES} values", _line(node))
