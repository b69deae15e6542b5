"""The settings classes as a tree that can be walked: what every reader and printer of settings starts from."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from holdfast.config.section import Section
from holdfast.config.settings import Settings

REQUIRED = msgspec.NODEFAULT
"""The default of a setting that has none."""


@dataclass(frozen=True)
class Setting:
    """One value: a text, number, truth value, list, or (`is_map`) a mapping with names of the user's choice."""

    key: str
    type: Any
    meta: Meta
    default: Any

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable_name(self.key)

    @property
    def help(self) -> str:
        """What it does, for people."""
        return self.meta.description or ""

    @property
    def is_map(self) -> bool:
        """Whether it is a mapping whose names are not declared."""
        return get_origin(self.type) is dict

    @property
    def is_text(self) -> bool:
        """Whether the text given for it is its value, whatever YAML would make of that text."""
        return self.type is str or get_origin(self.type) is Literal

    @property
    def annotated(self) -> Any:
        """The type with its limits, for `msgspec.convert`."""
        return Annotated[self.type, self.meta]

    def marked(self, mark: str) -> bool:
        """Whether `setting(...)` was given this mark (`secret`, `ours`, `duration`, `free`)."""
        return bool((self.meta.extra or {}).get(mark))

    @property
    def has_file(self) -> bool:
        """Whether it is a secret that a variable with `_FILE` at its end reads from a file."""
        return self.marked("secret") and not self.is_map

    @property
    def is_list(self) -> bool:
        """Whether it is a list of values."""
        return get_origin(self.type) is list

    @property
    def idle(self) -> str:
        """Why it has no effect here; empty if it has one."""
        return str((self.meta.extra or {}).get("idle", ""))

    @property
    def retired(self) -> dict[str, str]:
        """Values of registry:2 that are replaced by others."""
        return dict((self.meta.extra or {}).get("retired", {}))

    def item(self, name: str | int) -> "Setting":
        """The declaration of one entry of a mapping or list."""
        extra = dict(self.meta.extra or {})
        meta = Meta(description=self.meta.description, extra=extra)
        return Setting(f"{self.key}.{name}", get_args(self.type)[-1], meta, REQUIRED)


@dataclass(frozen=True)
class Table:
    """A section: settings and further sections by name. `optional`: whether it may be left out, which differs from an empty one."""

    key: str
    struct: type[Section]
    children: dict[str, "Setting | Table | Listed"]
    optional: bool

    @property
    def variable(self) -> str:
        """The environment variable that replaces it."""
        return variable_name(self.key)

    @property
    def alternatives(self) -> list[str]:
        """The names of which at most one may be given; empty for most sections."""
        if not self.struct.chooses:
            return []
        return [name for name, child in self.children.items() if isinstance(child, Table) and child.optional]

    def name_of(self, given: str) -> str:
        """The declared name for one that may be an alias."""
        return self.struct.aliases.get(given, given)

    @property
    def strict(self) -> bool:
        """Whether an unknown key in the file stops the start."""
        return self.struct.strict


@dataclass(frozen=True)
class Listed:
    """A list of sections. In documents the place in the list is called N."""

    key: str
    help: str
    struct: type[Section]

    @property
    def variable(self) -> str:
        """The environment variable that replaces it."""
        return variable_name(self.key)

    def item(self, place: "int | Literal['N']" = "N") -> Table:
        """The declaration of one section in the list, whose places count from 0."""
        return _table(self.struct, f"{self.key}.{place}", optional=False)


Declared = Setting | Table | Listed


@cache
def declarations() -> Table:
    """The whole configuration, from `Settings`."""
    return declare(Settings)


def declare(struct: type[Section]) -> Table:
    """The tree of a struct that stands for a whole file."""
    return _table(struct, "", optional=False)


def settings(table: Table | None = None) -> Iterator[Setting]:
    """Each declared setting in the order of the file."""
    for child in (table or declarations()).children.values():
        if isinstance(child, Listed):
            yield from settings(child.item())
        elif isinstance(child, Table):
            yield from settings(child)
        else:
            yield child


def variable_name(key: str) -> str:
    """The variable for a key: `http.addr` gives `REGISTRY_HTTP_ADDR`."""
    return "REGISTRY_" + key.upper().replace(".", "_")


def join(parent: str, name: str) -> str:
    """The key of `name` in the section `parent`, which is empty for the whole file."""
    return f"{parent}.{name}" if parent else name


def _table(struct: type[Section], key: str, *, optional: bool) -> Table:
    hints = get_type_hints(struct, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    children = {name: _declared(join(key, name), hints[name], field) for name, field in fields.items()}
    return Table(key, struct, children, optional)


def _declared(key: str, hint: Any, field: msgspec.structs.FieldInfo) -> Declared:
    if get_origin(hint) is Annotated:
        bare, meta = get_args(hint)[:2]
        (inner, *_) = get_args(bare) or (None,)
        if isinstance(inner, type) and issubclass(inner, Section):
            return Listed(key, meta.description, inner)
        default = field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default
        return Setting(key, bare, meta, default)
    if get_origin(hint) is UnionType:
        (struct,) = (arm for arm in get_args(hint) if arm is not NoneType)
        return _table(struct, key, optional=True)
    return _table(hint, key, optional=False)
