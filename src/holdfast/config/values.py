"""One setting's value from the text, list or mapping that was given for it."""

import json
import re
from typing import Any, Literal, get_args, get_origin

import msgspec

from holdfast.config.declared import Listed, Setting
from holdfast.config.duration import is_bare, parse_duration
from holdfast.config.tree import Entry, Leaf, Series, as_plain

_LARGEST = 2**62
_FOREIGN_INTEGER = re.compile(r"0x[0-9A-Fa-f]{1,15}|0o[0-7]{1,15}|[1-9][0-9]{0,2}(_[0-9]{3}){1,5}")
"""Whole numbers that YAML has and people write, beside the plain ones."""
_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def read_value(setting: Setting, given: Entry) -> Any:
    """The value that `given` means for this setting. Raises ValueError if it means none; its text is not for people."""
    value = msgspec.convert(_plain(setting, given), setting.annotated, strict=False)
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError("no number of this size is of use")
    return value


def is_nothing(setting: Setting, given: str | None) -> bool:
    """Whether nothing was given; an empty text is nothing where one of some words is wanted, as in registry:2."""
    return given is None or (not given and get_origin(setting.type) is Literal)


def replacement(setting: Setting, given: str | None) -> str:
    """The value that is used in place of a retired one of registry:2; empty if it is not retired."""
    return "" if given is None else setting.retired.get(given.lower(), "")


def is_bare_duration(setting: Setting, given: str | None) -> bool:
    """Whether it is a duration that was written without its unit."""
    return given is not None and setting.marked("duration") and is_bare(given)


def expected(setting: Setting | Listed) -> str:
    """What may be written for a setting, for the end of `expected ...`."""
    if isinstance(setting, Listed):
        return "a list of sections with " + ", ".join(setting.item().children)
    if get_origin(setting.type) is Literal:
        names = [str(name) for name in get_args(setting.type)]
        return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    if setting.is_list:
        return "a list of texts, such as [a, b]"
    if setting.is_map:
        return f"a mapping of names to {'lists of texts' if get_args(setting.type)[1] is not str else 'texts'}"
    if setting.type is bool:
        return "true or false"
    if setting.type is str:
        return "a text that is not empty" if setting.meta.min_length else "a text"
    words = "a duration such as 30s or 1m30s" if setting.marked("duration") else "a whole number"
    return words + _limits(setting)


def _limits(setting: Setting) -> str:
    meta = setting.meta
    if meta.ge is not None and meta.le is not None:
        return f" from {meta.ge} to {meta.le}"
    if meta.ge is not None:
        return f", {meta.ge} or more"
    return f", more than {meta.gt}" if meta.gt is not None else ""


def _plain(setting: Setting, given: Entry) -> object:
    if isinstance(given, Leaf):
        return None if given.value is None else _from_text(setting, given.value)
    if setting.marked("free"):
        return json.dumps(as_plain(given), ensure_ascii=False)
    if isinstance(given, Series) and setting.is_list:
        return [_plain(setting.item(place), item) for place, item in enumerate(given.items)]
    raise ValueError("a text is wanted")


def _from_text(setting: Setting, text: str) -> object:
    text = replacement(setting, text) or text
    if get_origin(setting.type) is Literal:
        return text.lower()
    if setting.marked("duration"):
        return parse_duration(text)
    if setting.type is bool:
        return _TRUTH.get(text.lower(), text)
    if setting.type is int and _FOREIGN_INTEGER.fullmatch(text):
        return int(text, 0)
    return text
