"""Effective settings as rows and lines."""

from typing import Annotated, Any

import pytest

from holdfast.config.check import Check
from holdfast.config.declared import Setting, declare
from holdfast.config.load import load
from holdfast.config.problems import Findings
from holdfast.config.report import MASK, Row, line, rows, shown
from holdfast.config.section import Section, setting
from holdfast.config.tree import Branch, Leaf


def test_rows_follow_the_order_of_the_file_and_name_origins() -> None:
    loaded = load(None, {"REGISTRY_STORAGE": "inmemory", "REGISTRY_LOG_FIELDS_SITE": "Bonn"})
    assert rows(loaded)[:6] == [
        Row("version", "0.1", "default"),
        Row("log.level", "info", "default"),
        Row("log.formatter", "text", "default"),
        Row("log.fields.site", "Bonn", "variable REGISTRY_LOG_FIELDS_SITE"),
        Row("log.accesslog.disabled", False, "default"),
        Row("storage.inmemory", {}, "variable REGISTRY_STORAGE"),
    ]


def test_the_default_driver_is_shown_as_it_is() -> None:
    keys = [row.key for row in rows(load(None, {}))]
    assert "storage.filesystem.rootdirectory" in keys
    assert "storage.inmemory" not in keys
    assert "auth" in keys


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("info", "info"),
        (":5000", ":5000"),
        ("/var/lib/registry", "/var/lib/registry"),
        ("https://registry.example.com:5000", "https://registry.example.com:5000"),
        ("", '""'),
        ("Registry Realm", '"Registry Realm"'),
        ("a # b", '"a # b"'),
        ("Köln", '"Köln"'),
        ("\x1b[31m\n", '"\\u001b[31m\\n"'),
        ("\x9b\udc80", '"\\u009b\\udc80"'),
        (True, "true"),
        (5, "5"),
        (60.0, "60"),
        (1.5, "1.5"),
        (["*", "a"], '["*", "a"]'),
        ({}, "{}"),
    ],
)
def test_lines(value: object, text: str) -> None:
    assert line(Row("a.b", value, "variable REGISTRY_A_B")) == f"a.b: {text}  # variable REGISTRY_A_B"


@pytest.mark.parametrize(
    ("secret", "value", "expected"),
    [(True, "hunter2", MASK), (True, "", ""), (False, "hunter2", "hunter2"), (True, ["a"], MASK)],
)
def test_secrets_are_masked(secret: bool, value: Any, expected: Any) -> None:
    declared = Setting("a.password", str, setting("A password.", secret=secret), "")
    assert shown(declared, value) == expected


class Safe(Section, frozen=True, kw_only=True):
    """A file with one secret."""

    code: Annotated[int, setting("A code.", secret=True)] = 0


def test_a_secret_is_not_shown_in_an_error() -> None:
    findings = Findings()
    root = Branch("file x", {"code": Leaf("file x line 1", "hunter2")})
    assert Check(findings).whole(root, declare(Safe)) == {"code": 0}
    assert findings.problems == ["code (file x line 1): found a value that is not shown, expected a whole number"]
