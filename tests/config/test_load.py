"""How the file is found and what is wrong with files as a whole; any text in any variable."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.cases import VERSION, values
from holdfast.config.declared import declarations, settings, variable_name
from holdfast.config.foreign import FOREIGN
from holdfast.config.load import ConfigurationError, load
from holdfast.config.merge import CONFIGURATION_PATH
from holdfast.config.settings import Settings


def test_without_anything_the_defaults_hold() -> None:
    loaded = load(None, {"PATH": "/bin", "REGISTRY_": "x", "REGISTRYX": "y"})
    assert loaded.warnings == ()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings.storage.filesystem is not None
    assert loaded.settings.auth.htpasswd is None
    assert loaded.settings.http == Settings().http


def test_path_given_wins_over_the_variable(tmp_path: Path) -> None:
    one, other = tmp_path / "one.yml", tmp_path / "other.yml"
    one.write_text(VERSION + "http: {addr: ':1'}")
    other.write_text(VERSION + "http: {addr: ':2'}")
    environ = {CONFIGURATION_PATH: str(other)}
    assert load(str(one), environ).settings.http.addr == ":1"
    assert load(None, environ).settings.http.addr == ":2"
    assert load(None, {CONFIGURATION_PATH: ""}).settings.http.addr == ":5000"


UNREADABLE: list[tuple[bytes, str]] = [
    (b"", ": it needs the line `version: 0.1`"),
    (b"http:\n  addr: :1\n", ": it needs the line `version: 0.1`"),
    (b"version:\nhttp: {}\n", ": it needs the line `version: 0.1`"),
    (b"a: [b", " line 1: while parsing a flow sequence, expected ',' or ']', but got the end of the text"),
    (b"a:\n\tb: 1", " line 2: a tab is used for indentation; use spaces"),
    (b"a: 1\nb: *c\n", " line 2: found undefined alias 'c'"),
    (b"a: 1\nb: \xff\n", ": line 2 is not UTF-8 text"),
    (b"a: 1\nb: \x07\n", " line 2: the character with the code 7 is not allowed in YAML"),
    (b"x" * (1024 * 1024 + 1), ": it is larger than 1048576 bytes"),
    (b"- a\n", " line 1: expected sections such as `http:`, found no mapping at all"),
    (b"5", " line 1: expected sections such as `http:`, found no mapping at all"),
    (b"a: 1\n---\nb: 2\n", " line 2: expected a single document"),
]


@pytest.mark.parametrize(("content", "words"), UNREADABLE)
def test_files_that_cannot_be_used(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(str(path), {"REGISTRY_TAGS_MAXTAGS": "x"})
    unreadable, variable = caught.value.messages
    assert unreadable.startswith(f"file {path}{words}")
    assert variable.startswith("tags.maxtags (variable REGISTRY_TAGS_MAXTAGS)")


def test_a_missing_file_and_a_directory_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.yml: there is no such file; correct the path"):
        load(str(tmp_path / "missing.yml"), {})
    with pytest.raises(ConfigurationError, match="it is a directory, not a file; Docker makes one"):
        load(str(tmp_path), {})
    with pytest.raises(ConfigurationError, match="it cannot be read"):
        load(str(tmp_path / "config.yml" / "\0"), {})


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"\xef\xbb\xbfversion: 0.1\r\nhttp:\r\n  addr: :1\r\n")
    assert load(str(path), {}).settings.http.addr == ":1"


def is_encodable(text: str) -> bool:
    """Whether the system could hand this text over in a variable."""
    try:
        return os.fsdecode(os.fsencode(text)) == text
    except UnicodeError:
        return False


FREE_TEXTS = ["metadata.path", "storage.filesystem.rootdirectory", "http.tls.certificate", "auth.htpasswd.path"]
BESIDE = {"REGISTRY_HTTP_TLS_KEY": "k", "REGISTRY_HTTP_TLS_CERTIFICATE": "c"}


def test_free_texts_are_declared() -> None:
    declared = {setting.key: setting for setting in settings()}
    assert all(declared[key].type is str for key in FREE_TEXTS)


@given(
    key=st.sampled_from(FREE_TEXTS),
    text=st.text(st.characters(exclude_characters="\0"), min_size=1).filter(is_encodable),
)
def test_any_text_of_a_variable_comes_out_as_it_is(key: str, text: str) -> None:
    loaded = load(None, {**BESIDE, variable_name(key): text})
    assert values(loaded)[key] == text
    assert loaded.warnings == ()


def loaded_or_refused(path: str | None, environ: dict[str, str]) -> bool:
    """Whether this file and these variables lead to settings whose origins are all known, or to an error with words in it."""
    try:
        loaded = load(path, environ)
    except ConfigurationError as error:
        return bool(error.messages) and all(message.strip() for message in error.messages)
    return set(loaded.origins) == set(values(loaded))


NAMES = [setting.variable.replace("_N_", "_0_") for setting in settings()]
SECTIONS = sorted({name.rpartition("_")[0] for name in NAMES} - {"REGISTRY"})
PARTS = sorted({part for name in [*NAMES, *map(variable_name, FOREIGN)] for part in name.split("_")})
YAML = st.text(st.sampled_from("{}[]:,&*!<-?|>#%@'\" \n\tab1~.")) | st.text()
TEXTS = YAML | st.sampled_from(
    ["true", "filesystem", "htpasswd", "{}", "[]", "[a]", "[{}]", "{enabled: true}", "1", "10s", "/"]
)
ANY_NAME = st.lists(st.sampled_from([*PARTS, "0", "1", "2", "10", "FILE", "", "x"]), max_size=5).map(
    lambda parts: "_".join(["REGISTRY", *parts])
)


@given(st.dictionaries(st.sampled_from([*NAMES, *SECTIONS, "PORT"]) | ANY_NAME, TEXTS, max_size=6))
def test_whatever_the_variables_hold_it_loads_or_says_why(environ: dict[str, str]) -> None:
    environ.pop(CONFIGURATION_PATH, None)
    assert loaded_or_refused(None, environ)


def documents(depth: int) -> st.SearchStrategy[object]:
    """What JSON can hold, with the names of the configuration in it; JSON is YAML."""
    if not depth:
        return (
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(max_size=5)
            | st.sampled_from(["10s", "all", "/a", "unix"])
        )
    below = documents(depth - 1)
    names = st.sampled_from([part.lower() for part in PARTS] + ["N", "0"])
    return below | st.lists(below, max_size=2) | st.dictionaries(names, below, max_size=4)


TOP = {name: documents(3) for name in declarations().children if name != "version"}


@given(
    document=st.fixed_dictionaries({"version": st.just(0.1)}, optional=TOP),
    environ=st.dictionaries(st.sampled_from(NAMES + SECTIONS), TEXTS, max_size=2),
)
def test_whatever_the_file_holds_it_loads_or_says_why(
    document: dict[str, object], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yml"
    path.write_text(json.dumps(document))
    assert loaded_or_refused(str(path), environ)
