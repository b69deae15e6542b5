"""How settings are declared: sections, which are structs, and the words for each field."""

from typing import Any, ClassVar

from msgspec import Meta, Struct


def setting(
    help: str,
    *,
    secret: bool = False,
    ours: bool = False,
    newer: bool = False,
    duration: bool = False,
    free: bool = False,
    idle: str = "",
    retired: dict[str, str] | None = None,
    **limits: Any,
) -> Meta:
    """Describe a field by its `help`, one or two sentences for the documents.

    `secret` masks it, `ours` marks what neither registry:2 nor registry:3 has, `newer` what only registry:3 has.
    `duration` lets it be written as `1m30s` (seconds in the settings), `free` marks a mapping of anything: names that
    variables add become lower case, lists and mappings in it texts. `idle` says why a setting of registry:2 has no effect
    here, `retired` maps values that registry:2 accepts to the ones used in their place, with a warning. `limits` are those
    of `msgspec.Meta`.
    """
    marks = {"secret": secret, "ours": ours, "newer": newer, "duration": duration, "free": free}
    return Meta(description=help, extra={**marks, "idle": idle, "retired": retired or {}}, **limits)


class Section(Struct, frozen=True, kw_only=True):
    """A mapping of the configuration file.

    A field of the form `SomeSection | None` may be left out. A list of sections is
    `Annotated[list[SomeSection], setting(...)]`.
    """

    strict: ClassVar[bool] = False
    """Whether an unknown key in the file stops the start; otherwise it warns, since registry:2 ignores it."""
    fallback: ClassVar[str] = ""
    """The alternative that is taken if none is given; empty for none."""
    chooses: ClassVar[bool] = False
    """Whether at most one of the sections of the form `SomeSection | None` may be given."""
    assumed: ClassVar[dict[str, str]] = {}
    """Values in that alternative, if none is given, that differ from the defaults."""
    aliases: ClassVar[dict[str, str]] = {}
    """Second names that registry:2 has for what lies in it, with the declared ones."""
