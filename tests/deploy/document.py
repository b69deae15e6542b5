"""docs/deploy.md and docs/scale.md as something that can be run."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "deploy.md"
SCALE = ROOT / "docs" / "scale.md"
DEPLOY = ROOT / "deploy"


def blocks(heading: str, language: str, document: Path = DOCUMENT) -> list[str]:
    """The code blocks in a language below `## heading`, in order. Raises `AssertionError` when there is no such heading."""
    text = document.read_text("utf-8")
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None, f"{document.name} has no {heading!r}"
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    return found
