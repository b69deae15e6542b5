"""docs/moving.md, run: every command in it but those that serve, in the order in which they stand there."""

import re
import shlex
from pathlib import Path

import pytest

from copying.stores import tree
from copying.support import run
from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository
from harness.server import Server

DOCUMENT = (Path(__file__).parents[2] / "docs/moving.md").read_text("utf-8")
BLOCKS: list[str] = re.findall(r"^ *```sh\n(.*?)^ *```$", DOCUMENT, re.M | re.S)
COMMANDS = [line.strip() for block in BLOCKS for line in block.splitlines()]


def test_the_commands_do_what_the_document_says(
    tmp_path: Path, postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(tmp_path) as server:
        content = Repository(Client(server), "team/app").push_image("1")
    monkeypatch.chdir(tmp_path)
    url = postgresql.fresh()
    for name, root in (("config", "root"), ("new", "new")):
        Path(f"{name}.yml").write_text(
            f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path / root}}}}}\nmetadata: {{url: '{url}'}}\n"
        )
    for command in COMMANDS:
        program, *words = shlex.split(command.replace("/var/lib/registry", str(tmp_path / "root")))
        assert program == "holdfast"
        if words[0] != "serve":
            run(*words)
    assert {words.split()[1] for words in COMMANDS} == {"database", "storage", "serve"}
    assert tree(tmp_path / "new") == tree(tmp_path / "root")
    settings = {"metadata.url": url, "storage.filesystem.rootdirectory": str(tmp_path / "new")}
    with Server(tmp_path, settings, ready="/readyz") as server:
        assert Repository(Client(server), "team/app").get("manifests/1").expect(200).body == content.body
