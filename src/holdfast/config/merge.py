"""`REGISTRY_*` variables, laid over the tree of the file."""

import re
from collections.abc import Mapping

from holdfast.config.declared import Declared, Setting, Table, declarations, join, settings, variable_name
from holdfast.config.foreign import is_foreign
from holdfast.config.problems import Findings, found, hint, nearest
from holdfast.config.tree import Branch, Entry, Leaf, YAMLProblem, as_entry, read_text

PREFIX = "REGISTRY_"
CONFIGURATION_PATH = "REGISTRY_CONFIGURATION_PATH"

_INJECTED = re.compile(
    r"REGISTRY_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)"
)
"""What Kubernetes, and Docker's old links, set for a service called registry or registry-something."""


def overlay(root: Branch, environ: Mapping[str, str], findings: Findings) -> None:
    """Change the tree as the variables say, the shortest first, so that a section comes before what lies in it."""
    names = [name for name in environ if name.startswith(PREFIX) and name not in (PREFIX, CONFIGURATION_PATH)]
    injected: list[str] = []
    for name in sorted(names, key=lambda name: (name.count("_"), name)):
        _Variable(name, environ[name], findings, injected).apply(root)
    if injected:
        findings.warnings.append(
            f"{', '.join(injected)}: ignored; Kubernetes or Docker sets such variables for a service called registry"
        )


class _Variable:
    def __init__(self, name: str, text: str, findings: Findings, injected: list[str]) -> None:
        self.parts = name.removeprefix(PREFIX).split("_")
        self.name = name if name.isprintable() else ascii(name)
        self.text = text
        self.findings = findings
        self.injected = injected
        self.origin = f"variable {self.name}"

    def apply(self, root: Branch) -> None:
        """Change nothing unless the variable is a setting and has a value."""
        steps, rest = self._resolve()
        last = steps[-1] if steps else declarations()
        if isinstance(last, Table) and rest:
            self._undeclared(root, steps, last, rest)
        elif not rest:
            self._put(root, steps[:-1], last.key.rpartition(".")[2], as_text=isinstance(last, Setting) and last.is_text)
        elif isinstance(last, Setting) and last.is_map:
            name = "_".join(rest)
            self._put(root, steps, name.lower() if last.marked("lowered") else name, as_text=last.item(name).is_text)
        else:
            self._unknown()

    def _resolve(self) -> tuple[list[Declared], list[str]]:
        """The declarations that the name leads through, and the parts that follow the last of them."""
        steps: list[Declared] = []
        at: Declared = declarations()
        for place, part in enumerate(self.parts):
            child = at.children.get(part.lower()) if isinstance(at, Table) and part.isupper() else None
            if child is None:
                return steps, self.parts[place:]
            steps.append(child)
            at = child
        return steps, []

    def _put(self, branch: Branch, steps: list[Declared], name: str, *, as_text: bool) -> None:
        """Set the value below these steps. In a mapping, an entry whose name differs in case only is replaced."""
        entry = self._entry(as_text=as_text)
        if entry is None:
            return
        for step in steps:
            branch = self._descend(branch, step)
        if steps and isinstance(steps[-1], Setting):
            name = next((known for known in branch.children if known.upper() == name.upper()), name)
        branch.children[name] = entry

    def _undeclared(self, branch: Branch, steps: list[Declared], table: Table, parts: list[str]) -> None:
        names = [part.lower() for part in parts]
        if _INJECTED.fullmatch(self.name) or not is_foreign(join(table.key, ".".join(names))):
            self._unknown(table)
            return
        entry = self._entry(as_text=False, foreign=True)
        if entry is None:
            return
        for step in steps:
            branch = self._descend(branch, step)
        for name in names[:-1]:
            child = branch.children.get(name)
            if not isinstance(child, Branch):
                child = branch.children[name] = Branch(self.origin)
            branch = child
        branch.children[names[-1]] = entry

    def _unknown(self, table: Table | None = None) -> None:
        """An alternative that is not known is a mistake in registry:2 too; anything else may have been injected."""
        if _INJECTED.fullmatch(self.name):
            self.injected.append(self.name)
            return
        if table is not None and table.alternatives:
            close = nearest(self.name, [variable_name(join(table.key, name)) for name in table.children])
            known = ", ".join(table.children)
            self.findings.problems.append(
                f"{self.name}: there is no such setting; {table.key} has {known}{hint(close)}"
            )
            return
        close = nearest(self.name, [setting.variable for setting in settings()])
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

    def _descend(self, branch: Branch, child: Declared) -> Branch:
        """The mapping below, made of what stands there."""
        name = child.key.rpartition(".")[2]
        entry = branch.children.get(name)
        if isinstance(entry, Branch):
            return entry
        below = Branch(entry.origin if entry else self.origin)
        given = None if entry is None or (isinstance(entry, Leaf) and entry.value is None) else entry
        if isinstance(child, Table) and isinstance(given, Leaf) and given.value and child.alternatives:
            below.children[given.value] = Leaf(below.origin, None)
        elif given is not None:
            self.findings.problems.append(f"{child.key} ({below.origin}): found {found(given)}, expected a mapping")
        elif isinstance(child, Setting):
            below.children.update({key: as_entry("default", value) for key, value in child.default.items()})
        branch.children[name] = below
        return below
