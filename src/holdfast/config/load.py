"""The effective settings, from a file and `REGISTRY_*` variables, as registry:2 reads them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.config.check import Check
from holdfast.config.merge import CONFIGURATION_PATH, overlay
from holdfast.config.problems import ConfigurationError, Findings
from holdfast.config.rules import check_rules
from holdfast.config.settings import Settings, decode
from holdfast.config.tree import MAXIMUM_SIZE, Branch, Leaf, YAMLProblem, read_text

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
    check = Check(findings)
    values = check.whole(root)
    check_rules(values, check.origins, findings)
    if findings.problems:
        raise ConfigurationError(findings.problems)
    return Loaded(decode(values), check.origins, tuple(findings.warnings))


def load_process(path: str | None) -> Loaded:
    """`load` with the variables of this process."""
    return load(path, os.environ)


def _read_file(path: str, findings: Findings) -> Branch:
    """The file as a tree; an empty one, with a problem noted, if it cannot be read."""
    empty = Branch(f"file {path}")
    text = _read_bounded(path, findings)
    if text is None:
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
    if "version" not in entry.children:
        findings.problems.append(f"file {path}: it needs the line `version: 0.1`")
    return entry


def _read_bounded(path: str, findings: Findings) -> str | None:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAXIMUM_SIZE + 1)
    except IsADirectoryError:
        words = "it is a directory, not a file; Docker makes one where a file to be mounted does not exist"
    except FileNotFoundError:
        words = "there is no such file; give the path of a configuration file, or none to use the defaults"
    except PermissionError:
        words = "it may not be read by this user; change its mode or owner"
    except (OSError, ValueError) as error:
        words = f"it cannot be read: {error}"
    else:
        if len(content) > MAXIMUM_SIZE:
            words = f"it is larger than {MAXIMUM_SIZE} bytes, which no configuration is"
        else:
            try:
                return content.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                line = content.count(b"\n", 0, error.start) + 1
                words = f"line {line} is not UTF-8 text"
    findings.problems.append(f"file {path}: {words}")
    return None
