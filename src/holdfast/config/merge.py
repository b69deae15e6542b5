"""`REGISTRY_*` variables, laid over the tree of the file."""

import re
from collections.abc import Mapping
from typing import TypeAlias

from holdfast.config.declared import (
    REQUIRED,
    Declared,
    Listed,
    Setting,
    Table,
    declarations,
    join,
    settings,
    variable_name,
)
from holdfast.config.files import FileProblem, read_file
from holdfast.config.foreign import FOREIGN, foreign_names, is_foreign
from holdfast.config.problems import Findings, found, hint, nearest_variable
from holdfast.config.tree import MAXIMUM_DEPTH, Branch, Entry, Leaf, Series, YAMLProblem, as_entry, read_text

PREFIX = "REGISTRY_"
CONFIGURATION_PATH = "REGISTRY_CONFIGURATION_PATH"
FILE = "FILE"
"""The last part of a variable that names the file in which a secret stands."""

_INJECTED = re.compile(
    r"REGISTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes, and Docker's old links, set for a service called registry or registry-something."""

OF_CLIENTS = "REGISTRY_AUTH_FILE"
"""Podman, Skopeo and Buildah read it: where passwords for registries are. It may be set for all programs of a machine."""

_PLACE = re.compile(r"[0-9]{1,6}")

_Name: TypeAlias = str | int
_Step: TypeAlias = tuple[Declared, _Name]
_Container: TypeAlias = Branch | Series


def overlay(root: Branch, environ: Mapping[str, str], findings: Findings, table: Table | None = None) -> None:
    """Change the tree as the variables say: a section before what lies in it, the entries of a list by their numbers.

    `table` declares what there is; if not given, the whole configuration.
    """
    table = table or declarations()
    rename(root, table)
    others = (PREFIX, CONFIGURATION_PATH, OF_CLIENTS)
    names = [name for name in environ if name.startswith(PREFIX) and name not in others]
    injected: list[str] = []
    for name in sorted(names, key=_order):
        _Variable(name, environ, findings, injected).apply(root, table)
        rename(root, table)
    if injected:
        findings.warnings.append(
            f"{', '.join(injected)}: ignored; Kubernetes or Docker sets such variables for a service called registry"
        )


def rename(branch: Branch, table: Table) -> None:
    """Give what lies in the tree under an alias its declared name, unless that is there too."""
    for name, entry in list(branch.children.items()):
        declared = table.name_of(name)
        if declared not in branch.children:
            branch.children = {declared if key == name else key: value for key, value in branch.children.items()}
        child = table.children.get(declared)
        if isinstance(child, Table) and isinstance(entry, Branch):
            rename(entry, child)


def resolve(table: Table, parts: list[str]) -> tuple[list[_Step], list[str]]:
    """The declarations that the parts of a variable's name lead through, each with its name in the one before, and the parts
    that follow the last of them."""
    steps: list[_Step] = []
    at: Declared = table
    while parts:
        step, rest = _step(at, parts)
        if step is None:
            break
        steps.append(step)
        at, parts = step[0], rest
    return steps, parts


def _step(at: Declared, parts: list[str]) -> tuple[_Step | None, list[str]]:
    first, rest = parts[0], parts[1:]
    if isinstance(at, Table):
        return _child(at, parts)
    if isinstance(at, Setting) and at.is_map:
        if rest and _PLACE.fullmatch(rest[-1]) and at.item("").is_list:
            parts, rest = parts[:-1], rest[-1:]
        else:
            rest = []
        name = "_".join(parts).lower() if at.marked("free") else "_".join(parts)
        return ((at.item(name), name) if name else None), rest
    if (isinstance(at, Listed) or at.is_list) and _PLACE.fullmatch(first):
        return (at.item(int(first)), int(first)), rest
    return None, rest


def _child(table: Table, parts: list[str]) -> tuple[_Step | None, list[str]]:
    """The child that the first part names, or the first parts together, since names may have `_` in them."""
    for end in range(1, len(parts) + 1):
        spelt = "_".join(parts[:end])
        name = table.name_of(spelt.lower())
        if spelt.isupper() and name in table.children:
            return (table.children[name], name), parts[end:]
    return None, parts[1:]


def _order(name: str) -> list[tuple[int, str]]:
    """Names that others begin with come first, and `_2` before `_10`."""
    return [(int(part), "") if _PLACE.fullmatch(part) else (-1, part) for part in name.split("_")]


class _Variable:
    def __init__(self, name: str, environ: Mapping[str, str], findings: Findings, injected: list[str]) -> None:
        self.parts = name.removeprefix(PREFIX).split("_")
        self.name = name if name.isprintable() else ascii(name)
        self.text = environ[name]
        self.plainly_given = bool(environ.get(name.removesuffix(f"_{FILE}")))
        self.findings = findings
        self.injected = injected
        self.origin = f"variable {self.name}"

    def apply(self, root: Branch, table: Table) -> None:
        """Change nothing unless the variable is a setting and has a value."""
        if len(self.parts) > MAXIMUM_DEPTH:
            self._unknown()
            return
        steps, rest = resolve(table, self.parts)
        last = steps[-1][0] if steps else table
        if isinstance(last, Setting) and last.has_file and rest == [FILE]:
            text = self._secret()
            if text is not None:
                self.text = text
                self._put(root, steps)
        elif not rest:
            self._put(root, steps)
        elif isinstance(last, Table):
            self._undeclared(root, steps, last, [part.lower() for part in rest])
        else:
            self._unknown()

    def _secret(self) -> str | None:
        """What stands in the file; None with a problem noted if that cannot be used."""
        if not self.text:
            self.findings.warnings.append(f"{self.name}: ignored, it is empty")
            return None
        if self.plainly_given:
            plain = self.name.removesuffix(f"_{FILE}")
            self.findings.problems.append(f"{self.name} and {plain}: give one of them only")
            return None
        try:
            secret = read_file(self.text).rstrip("\r\n")
        except FileProblem as problem:
            self.findings.problems.append(f"{self.name}: file {self.text!a}: {problem}")
            return None
        if not secret:
            self.findings.problems.append(f"{self.name}: file {self.text!a} is empty; write the secret into it")
            return None
        return secret

    def _put(self, root: Branch, steps: list[_Step]) -> None:
        declared = steps[-1][0]
        entry = self._entry(as_text=isinstance(declared, Setting) and declared.is_text)
        container = self._descend(root, steps[:-1]) if entry else None
        if entry and container:
            above = steps[-2][0] if len(steps) > 1 else None
            self._set(container, _spelt(container, above, steps[-1][1]), entry)

    def _descend(self, root: Branch, steps: list[_Step]) -> _Container | None:
        """The mapping or list that the steps lead to, made where there is none; None with a problem noted."""
        container: _Container = root
        above: Declared | None = None
        for declared, name in steps:
            spelt = _spelt(container, above, name)
            given = _get(container, spelt)
            wanted = Series if _is_series(declared) else Branch
            if not isinstance(given, wanted):
                given = self._made(declared, given)
                if not self._set(container, spelt, given):
                    return None
            container, above = given, declared
        return container

    def _made(self, declared: Declared, given: Entry | None) -> _Container:
        """The mapping or list in place of something else or nothing; it starts as the default."""
        origin = given.origin if given else self.origin
        if given is None or (isinstance(given, Leaf) and given.value is None):
            return _default(declared, origin)
        if isinstance(declared, Table) and declared.alternatives and isinstance(given, Leaf) and given.value:
            return Branch(origin, {declared.name_of(given.value): Leaf(origin, None)})
        wanted = "a list" if _is_series(declared) else "a mapping"
        self.findings.problems.append(f"{declared.key} ({origin}): found {found(given)}, expected {wanted}")
        return Series(origin) if _is_series(declared) else Branch(origin)

    def _set(self, container: _Container, name: _Name, entry: Entry) -> bool:
        """Put an entry into a mapping or list; a list grows by one at most, otherwise a problem is noted."""
        if isinstance(container, Branch):
            container.children[str(name)] = entry
            return True
        place = int(name)
        if place > len(container.items):
            self.findings.problems.append(
                f"{self.name}: there is no entry {len(container.items)} before it; number the entries from 0 without a gap"
            )
            return False
        container.items[place : place + 1] = [entry]
        return True

    def _undeclared(self, root: Branch, steps: list[_Step], table: Table, names: list[str]) -> None:
        if _INJECTED.fullmatch(self.name) or not is_foreign(join(table.key, ".".join(names))):
            self._unknown(table)
            return
        entry = self._entry(as_text=False, foreign=True)
        container = self._descend(root, steps) if entry else None
        if not entry or not container:
            return
        for name in names[:-1]:
            if isinstance(container, Series) and not _PLACE.fullmatch(name):
                self._unknown()
                return
            below = _get(container, name)
            if not isinstance(below, Branch | Series):
                below = Branch(self.origin)
                if not self._set(container, name, below):
                    return
            container = below
        if isinstance(container, Series) and not _PLACE.fullmatch(names[-1]):
            self._unknown()
            return
        self._set(container, names[-1], entry)

    def _unknown(self, table: Table | None = None) -> None:
        """An alternative that is not known is a mistake in registry:2 too; anything else may have been injected."""
        if _INJECTED.fullmatch(self.name):
            self.injected.append(self.name)
            return
        if table is not None and table.alternatives:
            names = [*table.children, *foreign_names(table.key)]
            shortened = "_".join(self.name.split("_")[: len(table.variable.split("_")) + 1])
            close = nearest_variable(shortened, [variable_name(join(table.key, name)) for name in names])
            self.findings.problems.append(
                f"{self.name}: there is no such setting; {table.key} has {', '.join(table.children)}{hint(close)}"
            )
            return
        known = [*(setting.variable for setting in settings()), *map(variable_name, FOREIGN)]
        close = nearest_variable(self.name, known)
        self.findings.warnings.append(f"{self.name}: ignored, no setting has this name{hint(close)}")

    def _entry(self, *, as_text: bool, foreign: bool = False) -> Entry | None:
        """The value as a tree; None if the variable is to be left out. A `foreign` one need not be YAML."""
        if as_text:
            return Leaf(self.origin, self.text)
        if not self.text.strip():
            self.findings.warnings.append(f"{self.name}: ignored, it is empty")
            return None
        try:
            entry, warnings = read_text(self.text, self.origin, numbered=False)
        except YAMLProblem as problem:
            if foreign:
                return Leaf(self.origin, self.text)
            self.findings.problems.append(
                f"{self.name}: its value is not YAML: {problem.words}; "
                "quote texts that begin with one of * & [ { ! @ %"
            )
            return None
        self.findings.warnings.extend(warnings)
        return entry


def _is_series(declared: Declared) -> bool:
    return isinstance(declared, Listed) or (isinstance(declared, Setting) and declared.is_list)


def _default(declared: Declared, origin: str) -> _Container:
    default = declared.default if isinstance(declared, Setting) and declared.default is not REQUIRED else None
    if _is_series(declared):
        return Series(origin, [Leaf("default", text) for text in default or ()])
    return Branch(origin, {key: as_entry("default", value) for key, value in (default or {}).items()})


def _spelt(container: _Container, declared: Declared | None, name: _Name) -> _Name:
    """The name, in a mapping with free names as it is spelt there: an entry whose case alone differs is meant."""
    if isinstance(declared, Setting) and isinstance(container, Branch):
        return next((known for known in container.children if known.upper() == str(name).upper()), name)
    return name


def _get(container: _Container, name: _Name) -> Entry | None:
    if isinstance(container, Branch):
        return container.children.get(str(name))
    return container.items[int(name)] if int(name) < len(container.items) else None
