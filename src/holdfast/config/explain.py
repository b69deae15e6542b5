"""One key of the configuration, explained with what it is now: for `holdfast config --explain`."""

import re
from collections.abc import Iterator
from typing import TypeAlias

from holdfast.config.declared import REQUIRED, Declared, Listed, Setting, Table, declarations, join, settings
from holdfast.config.declared import variable_name as variable
from holdfast.config.foreign import FOREIGN, VERDICTS
from holdfast.config.load import Loaded
from holdfast.config.merge import CONFIGURATION_PATH, FILE, PREFIX, resolve
from holdfast.config.port import PORT
from holdfast.config.problems import hint, nearest, nearest_key, nearest_variable, same_name
from holdfast.config.report import line, rows, written
from holdfast.config.values import expected

_Known: TypeAlias = Declared | str
"""A declaration, or a key of registry:2 that has no setting here or holds some."""


class UnknownKey(Exception):
    """There is no such key or variable; the text says so and names the nearest."""


def explain(name: str, loaded: Loaded | None) -> list[str]:
    """The lines about a key such as `http.addr`, a section, or a variable such as `REGISTRY_HTTP_ADDR`.

    `loaded` is the configuration, or None if it cannot be used. Raises UnknownKey.
    """
    if name == CONFIGURATION_PATH:
        return [name, "", "  The path of the configuration file, where the command names none."]
    known = _find_variable(name) if name.startswith(PREFIX) or name == PORT else _find_key(name)
    if known is None:
        raise UnknownKey(f"there is no key or variable called {name!r}{hint(_nearest(name))}")
    if isinstance(known, str):
        return _foreign(known, loaded)
    return [known.key, "", *(f"  {text}".rstrip() for text in _words(known, loaded))]


def _find_key(key: str) -> _Known | None:
    at: Declared = declarations()
    parts = key.split(".")
    for place, part in enumerate(parts):
        if isinstance(at, Setting) and at.is_map:
            return at.item(".".join(parts[place:]))
        below = _below(at, part)
        if below is None:
            return _find_foreign(key.lower())
        at = below
    return at


def _below(at: Declared, part: str) -> Declared | None:
    if isinstance(at, Table):
        return at.children.get(at.name_of(part.lower()))
    if isinstance(at, Listed) and part == "N":
        return at.item()
    if re.fullmatch("[0-9]{1,6}", part) and not (isinstance(at, Setting) and not at.is_list):
        return at.item(int(part))
    return None


def _find_variable(name: str) -> _Known | None:
    if name == PORT:
        return _find_key("http.addr")
    parts = ["0" if part == "N" else part for part in name.removeprefix(PREFIX).split("_")]
    steps, rest = resolve(declarations(), parts)
    last = steps[-1][0] if steps else declarations()
    if not rest or (rest == [FILE] and isinstance(last, Setting) and last.has_file):
        return last
    return _find_foreign(join(last.key, ".".join(rest).lower())) if isinstance(last, Table) else None


def _find_foreign(key: str) -> str | None:
    """The key of registry:2 that says what is done about this one, or this one itself if it holds such keys."""
    for known in FOREIGN:
        if key == known or key.startswith(known + "."):
            return known
    return key if any(known.startswith(key + ".") for known in FOREIGN) else None


def _nearest(name: str) -> str:
    if name.startswith(PREFIX):
        return nearest_variable(name, [*(setting.variable for setting in settings()), *map(variable, FOREIGN)])
    keys = {setting.key for setting in settings()} | {*FOREIGN} | {key.rpartition(".")[0] for key in FOREIGN}
    sections = {setting.key.rpartition(".")[0] for setting in settings()}
    return same_name(name) or nearest(name.lower(), sorted((keys | sections) - {""})) or nearest_key(name, ())


def _words(known: Declared, loaded: Loaded | None) -> Iterator[str]:
    if isinstance(known, Table):
        yield from _section(known, loaded)
        return
    yield known.help
    yield ""
    yield f"Type:      {expected(known)}" + ("; secret" if _is(known, "secret") else "")
    if isinstance(known, Listed):
        yield "Default:   []"
    elif known.default is REQUIRED and not _is_entry(known):
        yield "Default:   none; it must be given where its section is"
    elif known.default is not REQUIRED:
        yield f"Default:   {written(known.default)}"
    yield f"Variable:  {_variables(known)}"
    yield f"Known to:  {_owners(known)}"
    if isinstance(known, Setting) and known.idle:
        yield f"Effect:    none here: {known.idle}"
    yield from _now(known.key, loaded)


def _is_entry(known: Setting) -> bool:
    """Whether it stands for an entry of a mapping or list."""
    above = _find_key(known.key.rpartition(".")[0])
    return isinstance(above, Setting)


def _is(known: Declared, mark: str) -> bool:
    return isinstance(known, Setting) and known.marked(mark)


def _variables(known: Setting | Listed) -> str:
    names = [known.variable]
    if isinstance(known, Listed) or known.is_list:
        names.append(f"{known.variable}_N for one entry, N from 0")
    elif known.is_map:
        names.append(f"{known.variable}_NAME for one entry")
    elif known.has_file:
        names.append(f"{known.variable}_{FILE} for a file that holds it")
    if known.key == "http.addr":
        names.append(f"{PORT} for the port alone, where neither this nor the file sets it")
    return ", or ".join(names)


def _owners(known: Setting | Listed) -> str:
    if _is(known, "ours"):
        return "Holdfast only"
    return "Holdfast and registry:3" if _is(known, "newer") else "Holdfast and registry:2"


def _section(table: Table, loaded: Loaded | None) -> Iterator[str]:
    if table.alternatives:
        without = table.struct.fallback or "none"
        listed, several = ", ".join(table.alternatives), len(table.alternatives) > 1
        yield f"At most one of {listed}; without any: {without}." if several else f"{listed} may be left out."
    yield f"Variable:  {variable(table.key)} replaces the whole section"
    for name, child in table.children.items():
        more = "" if isinstance(child, Setting) else "  (a section)" if isinstance(child, Table) else "  (a list)"
        yield f"- {name}{more}"
    for key in FOREIGN:
        if key.startswith(table.key + "."):
            yield f"- {key.removeprefix(table.key + '.')}  (of registry:2; {VERDICTS[FOREIGN[key].verdict]})"
    yield from _now(table.key, loaded)


def _now(key: str, loaded: Loaded | None) -> Iterator[str]:
    yield ""
    if loaded is None:
        yield "Now:       not known, since the configuration cannot be used"
        return
    places = r"[0-9]+".join(re.escape(part) for part in re.split(r"(?<=\.)N(?=\.|$)", key))
    shown = [line(row) for row in rows(loaded) if re.fullmatch(rf"{places}(\..*)?", row.key)]
    yield "Now:" if shown else "Now:       not given"
    yield from (f"  {text}" for text in shown)


def _foreign(key: str, loaded: Loaded | None) -> list[str]:
    below = [known for known in FOREIGN if known == key or known.startswith(key + ".")]
    texts = [key, "", "  registry:2 has it; Holdfast has no such setting."]
    for known in below:
        foreign = FOREIGN[known]
        texts.append(f"  {known}: {VERDICTS[foreign.verdict]}: {foreign.words}.")
    texts.append(f"  Variable:  {variable(key)}")
    if loaded is not None:
        said = [text for text in loaded.warnings if text.startswith(tuple(f"{known} (" for known in below))]
        texts += ["", *(f"  Now:       {text}" for text in said or ["nothing is asked of it"])]
    return texts
