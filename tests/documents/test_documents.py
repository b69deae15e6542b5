"""The documents say what the program does."""

import re
from pathlib import Path

import pytest

from holdfast.api.document import PAGES
from holdfast.cli.main import main

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")]
DOCUMENTS += sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("name", PAGES)
def test_page_is_made_from_its_table(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name]()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", document.read_text("utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist(document: Path) -> None:
    used = set(re.findall(r"(?:\./|`)holdfast ([a-z][a-z-]*)", document.read_text("utf-8")))
    assert used <= set(main.commands)


def test_every_command_is_documented() -> None:
    everything = "".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert [name for name in main.commands if f"holdfast {name}" not in everything] == []
