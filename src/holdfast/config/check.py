"""The tree of what was given, checked against the declarations, to plain values with their origins."""

from typing import Any

from holdfast.config.declared import REQUIRED, Setting, Table, declarations, join, variable_name
from holdfast.config.foreign import FOREIGN, Foreign, is_foreign
from holdfast.config.problems import Findings, found, hint, nearest_key
from holdfast.config.tree import Branch, Entry, Leaf
from holdfast.config.values import expected, read_value, replacement


class Check:
    """One walk over the tree.

    `origins` holds each effective setting's key and where its value came from; a section that has none is there itself.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.origins: dict[str, str] = {}

    def whole(self, root: Branch, table: Table | None = None) -> dict[str, Any]:
        """The values of every section, for the struct of `table`, which is the whole configuration if not given."""
        return self._section(table or declarations(), root)

    def _section(self, table: Table, branch: Branch) -> dict[str, Any]:
        for name, entry in branch.children.items():
            if name not in table.children:
                self._undeclared(table, join(table.key, name), entry)
        self._alternatives(table, branch)
        fallback = "" if branch.children.keys() & {*table.alternatives} else table.struct.fallback
        values: dict[str, Any] = {}
        origins = len(self.origins)
        for name, child in table.children.items():
            given = branch.children.get(name)
            if isinstance(child, Setting):
                values[name] = self._setting(child, given, branch.origin)
            elif given is not None or not child.alternative or name == fallback:
                values[name] = self._section(child, self._branch(child, given))
        if len(self.origins) == origins:
            self.origins[table.key] = branch.origin
        return values

    def _branch(self, table: Table, entry: Entry | None) -> Branch:
        if isinstance(entry, Branch):
            return entry
        if entry is None or entry.value is None:
            return Branch(entry.origin if entry else "default")
        if isinstance(entry.value, str) and table.alternatives:
            return self._chosen(table, entry.origin, entry.value)
        self._problem(table.key, entry, "a section with " + _listed(list(table.children)))
        return Branch("default")

    def _chosen(self, table: Table, origin: str, name: str) -> Branch:
        """A bare name for a section of alternatives: `storage: inmemory`, `REGISTRY_AUTH=htpasswd`."""
        if name in table.alternatives or join(table.key, name) in FOREIGN:
            return Branch(origin, {name: Leaf(origin, None)})
        known = " or ".join(table.alternatives)
        self.findings.problems.append(f"{table.key} ({origin}): {name!r} is not known; write {known}")
        return Branch("default")

    def _alternatives(self, table: Table, branch: Branch) -> None:
        given = [name for name in table.alternatives if name in branch.children]
        if len(given) > 1:
            places = " and ".join(f"{table.key}.{name} ({branch.children[name].origin})" for name in given)
            variable = variable_name(table.key)
            self.findings.problems.append(
                f"{places} exclude each other; give one of them only, "
                f"or set {variable} to drop what the file says under {table.key}"
            )

    def _setting(self, setting: Setting, given: Entry | None, section: str) -> Any:
        if given is None or (isinstance(given, Leaf) and given.value is None):
            return self._default(setting, section)
        if setting.is_map:
            return self._map(setting, given)
        value = self._value(setting, given)
        return self._default(setting, section) if value is REQUIRED else value

    def _default(self, setting: Setting, section: str) -> Any:
        if setting.default is REQUIRED:
            if setting.key not in self.findings.failed:
                self.findings.failed.add(setting.key)
                self.findings.problems.append(
                    f"{setting.key}: it is needed ({section}); write it there or set {setting.variable}"
                )
            return None
        for name in setting.default if setting.is_map else ():
            self.origins[f"{setting.key}.{name}"] = "default"
        if not (setting.is_map and setting.default):
            self.origins[setting.key] = "default"
        return setting.default

    def _map(self, setting: Setting, given: Entry) -> Any:
        if isinstance(given, Leaf):
            self._problem(setting.key, given, expected(setting))
            return {}
        values: dict[str, Any] = {}
        for name, entry in given.children.items():
            if isinstance(entry, Leaf) and entry.value is None:
                continue
            value = self._value(setting.item(name), entry)
            if value is not REQUIRED:
                values[name] = value
        if not values:
            self.origins[setting.key] = given.origin
        return values

    def _value(self, setting: Setting, given: Entry) -> Any:
        """The value, or REQUIRED where it cannot be read."""
        if isinstance(given, Branch):
            self._problem(setting.key, given, expected(setting))
            return REQUIRED
        try:
            value = read_value(setting, given.value)
        except ValueError:
            self._problem(setting.key, given, expected(setting), secret=setting.marked("secret"))
            return REQUIRED
        other = replacement(setting, given.value)
        if other:
            self.findings.warnings.append(f"{setting.key} ({given.origin}): {given.value} is refused; {other} is used")
        self.origins[setting.key] = given.origin
        return value

    def _problem(self, key: str, entry: Entry, wanted: str, *, secret: bool = False) -> None:
        self.findings.failed.add(key)
        value = found(entry.value if isinstance(entry, Leaf) else {})
        shown = "a value that is not shown" if secret else value
        self.findings.problems.append(f"{key} ({entry.origin}): found {shown}, expected {wanted}")

    def _undeclared(self, table: Table, key: str, entry: Entry) -> None:
        if key in FOREIGN:
            self._foreign(table, key, FOREIGN[key], entry)
        elif is_foreign(key) and isinstance(entry, Branch):
            for name, child in entry.children.items():
                self._undeclared(table, join(key, name), child)
        elif not is_foreign(key) or (isinstance(entry, Leaf) and entry.value):
            close = hint(nearest_key(key, table.children))
            if table.strict:
                self.findings.problems.append(f"{key} ({entry.origin}): there is no such setting{close}")
            else:
                self.findings.warnings.append(f"{key} ({entry.origin}): ignored, there is no such setting{close}")

    def _foreign(self, table: Table, key: str, foreign: Foreign, entry: Entry) -> None:
        named = key.rpartition(".")[0] == table.key and bool(table.alternatives)
        if not (named and foreign.verdict == "stop") and _is_harmless(entry, foreign.harmless):
            return
        if foreign.verdict == "stop":
            self.findings.problems.append(f"{key} ({entry.origin}): {foreign.words}; remove it to start")
        else:
            effect = "it has no effect here" if foreign.verdict == "idle" else "it has no effect yet"
            self.findings.warnings.append(f"{key} ({entry.origin}): {effect}: {foreign.words}")


def _is_harmless(entry: Entry, harmless: frozenset[str]) -> bool:
    if isinstance(entry, Branch):
        return all(_is_harmless(child, harmless) for child in entry.children.values())
    value = entry.value
    return not value or (isinstance(value, str) and value.lower() in harmless)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
