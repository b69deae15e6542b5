"""The tree of what was given, checked against the declarations, to plain values with their origins."""

from typing import Any

from holdfast.config.declared import REQUIRED, Declared, Listed, Setting, Table, declarations, join, variable_name
from holdfast.config.foreign import FOREIGN, Foreign, asks_for_it, foreign_names, is_foreign
from holdfast.config.problems import Findings, found, hint, nearest_key
from holdfast.config.tree import Branch, Entry, Leaf, Series
from holdfast.config.values import expected, is_bare_duration, is_nothing, read_value, replacement


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
        origins = len(self.origins)
        values: dict[str, Any] = {}
        for name, child in table.children.items():
            given = branch.children.get(name)
            if name == fallback:
                given = Branch("default", {key: Leaf("default", text) for key, text in table.struct.assumed.items()})
            if given is not None or not (isinstance(child, Table) and child.optional):
                values[name] = self._child(child, given, branch)
        if len(self.origins) == origins:
            self.origins[table.key] = branch.origin
        return values

    def _child(self, child: Declared, given: Entry | None, section: Branch) -> Any:
        if isinstance(child, Setting):
            return self._setting(child, given, section.origin)
        if isinstance(child, Listed):
            return self._listed(child, given)
        return self._section(child, self._branch(child, given))

    def _branch(self, table: Table, entry: Entry | None) -> Branch:
        if isinstance(entry, Branch):
            return entry
        if entry is None or (isinstance(entry, Leaf) and entry.value is None):
            return Branch(entry.origin if entry else "default")
        if isinstance(entry, Leaf) and entry.value is not None and table.alternatives:
            return self._chosen(table, entry.origin, entry.value)
        self._problem(table.key, entry, "a section with " + _enumerated(list(table.children)))
        return Branch("default")

    def _chosen(self, table: Table, origin: str, name: str) -> Branch:
        """A bare name for a section of alternatives: `storage: inmemory`, `REGISTRY_AUTH=htpasswd`."""
        name = table.name_of(name)
        if name in table.alternatives or join(table.key, name) in FOREIGN:
            return Branch(origin, {name: Leaf(origin, None)})
        known = " or ".join(table.alternatives)
        self.findings.problems.append(f"{table.key} ({origin}): {found(name)} is not known; write {known}")
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

    def _listed(self, listed: Listed, given: Entry | None) -> list[dict[str, Any]]:
        items: list[Entry] = []
        if isinstance(given, Series):
            items = given.items
        elif given is not None and not (isinstance(given, Leaf) and given.value is None):
            self._problem(listed.key, given, expected(listed))
        if not items:
            self.origins[listed.key] = given.origin if isinstance(given, Series) else "default"
        sections = []
        for place, item in enumerate(items):
            table = listed.item(place)
            if isinstance(item, Branch):
                sections.append(self._section(table, item))
            else:
                self._problem(table.key, item, "a section with " + _enumerated(list(table.children)))
        return sections

    def _setting(self, setting: Setting, given: Entry | None, section: str) -> Any:
        if given is None or (isinstance(given, Leaf) and is_nothing(setting, given.value)):
            return self._default(setting, section)
        if setting.is_map:
            return self._map(setting, given)
        value = self._value(setting, given)
        if value is REQUIRED:
            return self._default(setting, section)
        if setting.idle and value != setting.default:
            self.findings.warnings.append(f"{setting.key} ({given.origin}): it has no effect here: {setting.idle}")
        return value

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
        if not isinstance(given, Branch):
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
        try:
            value = read_value(setting, given)
        except ValueError:
            self._problem(setting.key, given, expected(setting), secret=setting.marked("secret"))
            return REQUIRED
        text = given.value if isinstance(given, Leaf) else None
        other = replacement(setting, text)
        if other:
            self.findings.warnings.append(f"{setting.key} ({given.origin}): {text} is refused; {other} is used")
        elif is_bare_duration(setting, text) and not setting.marked("ours"):
            self.findings.warnings.append(
                f"{setting.key} ({given.origin}): {text} has no unit and is taken for seconds; write {text}s "
                "(registry:2 takes it for nanoseconds)"
            )
        self.origins[setting.key] = _origin(given)
        return value

    def _problem(self, key: str, entry: Entry, wanted: str, *, secret: bool = False) -> None:
        self.findings.failed.add(key)
        shown = "a value that is not shown" if secret else found(entry)
        self.findings.problems.append(f"{key} ({entry.origin}): found {shown}, expected {wanted}")

    def _undeclared(self, table: Table, key: str, entry: Entry) -> None:
        if key in FOREIGN:
            self._foreign(table, key, FOREIGN[key], entry)
        elif table.name_of(key.rpartition(".")[2]) in table.children:
            other = join(table.key, table.name_of(key.rpartition(".")[2]))
            self.findings.problems.append(f"{key} ({entry.origin}): {other} is the same; give one of them only")
        elif is_foreign(key) and isinstance(entry, Branch):
            for name, child in entry.children.items():
                self._undeclared(table, join(key, name), child)
        elif not is_foreign(key) or (isinstance(entry, Leaf) and entry.value):
            close = hint(nearest_key(key, [*table.children, *foreign_names(table.key)]))
            if table.strict:
                self.findings.problems.append(f"{key} ({entry.origin}): there is no such setting{close}")
            else:
                self.findings.warnings.append(f"{key} ({entry.origin}): ignored, there is no such setting{close}")

    def _foreign(self, table: Table, key: str, foreign: Foreign, entry: Entry) -> None:
        named = key.rpartition(".")[0] == table.key and bool(table.alternatives)
        if not (named and foreign.verdict == "stop") and not asks_for_it(foreign, entry):
            return
        if foreign.verdict == "stop":
            self.findings.problems.append(f"{key} ({entry.origin}): {foreign.words}; remove it to start")
        else:
            effect = "it has no effect here" if foreign.verdict == "idle" else "it has no effect yet"
            self.findings.warnings.append(f"{key} ({entry.origin}): {effect}: {foreign.words}")


def _origin(entry: Entry) -> str:
    """Where a value came from; for a list that variables added to, these too."""
    if not isinstance(entry, Series):
        return entry.origin
    added = [item.origin for item in entry.items if item.origin.startswith("variable ")]
    first = [] if len(added) == len(entry.items) and added else [entry.origin]
    return ", ".join(dict.fromkeys(first + added))


def _enumerated(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
