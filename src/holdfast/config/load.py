"""The effective settings, from a file and `REGISTRY_*` variables, as registry:2 reads them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.config.check import Check
from holdfast.config.credentials import take_credentials
from holdfast.config.files import FileProblem, read_file
from holdfast.config.merge import CONFIGURATION_PATH, overlay
from holdfast.config.port import take_port
from holdfast.config.problems import ConfigurationError, Findings
from holdfast.config.rules import check_rules
from holdfast.config.settings import Settings, decode
from holdfast.config.tree import Branch, Leaf, YAMLProblem, read_text

__all__ = ["ConfigurationError", "Loaded", "load", "load_process"]


@dataclass(frozen=True)
class Loaded:
    """Settings, and what an administrator may want to know about them.

    `origins` has each effective setting's key (names in mappings included, such as `http.headers.X-Foo`; a section
    itself where it has no settings) with `default`, `file PATH line N` or `variable NAME`.
    `warnings` are for the log, one line each.
    """

    settings: Settings
    origins: dict[str, str]
    warnings: tuple[str, ...]


def load(path: str | None, environ: Mapping[str, str]) -> Loaded:
    """Read the file at `path`, else the one that REGISTRY_CONFIGURATION_PATH names, else none; then the variables.

    Raises ConfigurationError with every problem that could be found at once.
    """
    findings = Findings()
    path = path or environ.get(CONFIGURATION_PATH) or None
    root = _read_file(path, findings) if path else Branch("default")
    overlay(root, environ, findings)
    take_port(root, environ, findings)
    take_credentials(root, environ)
    check = Check(findings)
    values = check.whole(root)
    check_rules(values, check.origins, findings)
    if findings.problems:
        raise ConfigurationError(findings.problems, findings.warnings)
    return Loaded(decode(values), check.origins, tuple(findings.warnings))


def load_process(path: str | None) -> Loaded:
    """`load` with the variables of this process."""
    return load(path, os.environ)


def _read_file(path: str, findings: Findings) -> Branch:
    """The file as a tree; an empty one, with a problem noted, if it cannot be read."""
    empty = Branch(f"file {path}")
    try:
        text = read_file(path)
    except FileProblem as problem:
        findings.problems.append(f"file {path}: {problem}")
        return empty
    try:
        entry, warnings = read_text(text, f"file {path}", numbered=True)
    except YAMLProblem as problem:
        place = f" line {problem.line}" if problem.line else ""
        findings.problems.append(f"file {path}{place}: {problem.words}; correct the YAML there")
        return empty
    findings.warnings.extend(warnings)
    if not isinstance(entry, Branch):
        if not isinstance(entry, Leaf) or entry.value is not None:
            findings.problems.append(f"file {path} line 1: expected sections such as `http:`, found no mapping at all")
            return empty
        entry = empty
    version = entry.children.get("version")
    if version is None or (isinstance(version, Leaf) and not version.value):
        findings.problems.append(f"file {path}: it needs the line `version: 0.1`")
    return entry
