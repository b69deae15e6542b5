"""Hostile YAML is refused in bounded time and memory."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.config.tree import (
    MAXIMUM_DEPTH,
    MAXIMUM_SIZE,
    MAXIMUM_VALUES,
    Branch,
    Leaf,
    Series,
    YAMLProblem,
    read_text,
)


def laughs(value: str, key: str, levels: int = 9) -> str:
    """Anchors that each hold the one before ten times."""
    lines = [f"a0: &a0 {value}"]
    for level in range(1, levels):
        items = ", ".join(f"{key.format(place)}*a{level - 1}" for place in range(10))
        lines.append(f"a{level}: &a{level} " + (f"{{{items}}}" if key else f"[{items}]"))
    return "\n".join(lines)


HOSTILE = {
    "lists of aliases": laughs("[x, x]", ""),
    "mappings of aliases": laughs("{x: y}", "k{}: "),
    "merges of aliases": "a: &a {x: 1}\n" + "b: &b {<<: [" + "*a, " * 9_000 + "]}\nc: {<<: [*b, *b, *b]}",
    "a list in itself": "a: &a [*a]",
    "a mapping in itself": "a: &a {b: *a}",
    "a mapping merged with itself": "a: &a {<<: *a}",
    "deep lists": "[" * 500_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "- " * 10_000,
    "many keys": "a: 1\n" * 200_000,
    "many values": "[" + "a," * 500_000 + "]",
    "too large": "#" * (MAXIMUM_SIZE + 1),
    "a tag of Python": "a: !!python/object/apply:os.system [id]",
    "a tag of somebody": "a: !vault x",
    "a list as a key": "? [a]\n: b",
    "an escape sequence as a key": '"\\e[31m": b',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused(text: str) -> None:
    start = time.process_time()
    with pytest.raises(YAMLProblem) as caught:
        read_text(text, "here", numbered=True)
    assert caught.value.words
    assert time.process_time() - start < 10


def test_what_lies_within_the_bounds_is_read() -> None:
    depth, count = MAXIMUM_DEPTH - 1, MAXIMUM_VALUES - 1
    assert isinstance(read_text("[" * depth + "]" * depth, "here", numbered=True)[0], Series)
    wide, warnings = read_text("\n".join(f"k{place}: v" for place in range(count)), "here", numbered=True)
    assert isinstance(wide, Branch)
    assert len(wide.children) == count
    assert warnings == []


def test_mappings_in_lists_are_merged_too() -> None:
    entry, _ = read_text("a: &a {x: 1}\nb: [{<<: *a, y: [2, ~]}]", "here", numbered=True)
    assert isinstance(entry, Branch)
    x, y = Leaf("here line 1", "1"), Series("here line 2", [Leaf("here line 2", "2"), Leaf("here line 2", None)])
    assert entry.children["b"] == Series("here line 2", [Branch("here line 2", {"x": x, "y": y})])


@given(st.text() | st.text(st.sampled_from("{}[]:,&*!<-?|>#%@'\" \n\tab1~.")))
def test_any_text_is_read_or_refused_with_words(text: str) -> None:
    try:
        entry, _ = read_text(text, "here", numbered=False)
    except YAMLProblem as problem:
        words = problem.words
    else:
        words = entry.origin
    assert words
