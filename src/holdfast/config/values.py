"""One setting's value from the text, list or mapping that was given for it."""

from typing import Any, Literal, get_args, get_origin

import msgspec

from holdfast.config.declared import Setting
from holdfast.config.duration import parse_duration
from holdfast.config.tree import Plain

_TRUTH = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def read_value(setting: Setting, given: Plain) -> Any:
    """The value that `given` means for this setting. Raises ValueError if it means none; its text is not for people."""
    value: object = given
    if isinstance(given, str):
        value = _from_text(setting, given)
    return msgspec.convert(value, setting.annotated, strict=False)


def replacement(setting: Setting, given: Plain) -> str:
    """The value that is used in place of a retired one of registry:2; empty if it is not retired."""
    return setting.retired.get(given.lower(), "") if isinstance(given, str) else ""


def expected(setting: Setting) -> str:
    """What may be written for a setting, for the end of `expected ...`."""
    if get_origin(setting.type) is Literal:
        names = [str(name) for name in get_args(setting.type)]
        return names[0] if len(names) == 1 else f"one of {', '.join(names)}"
    if get_origin(setting.type) is list:
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


def _from_text(setting: Setting, text: str) -> object:
    if get_origin(setting.type) is Literal:
        return replacement(setting, text) or text.lower()
    if setting.marked("duration"):
        return parse_duration(text)
    if setting.type is bool:
        return _TRUTH.get(text.lower(), text)
    return text
