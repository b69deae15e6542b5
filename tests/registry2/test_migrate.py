"""docs/migrate.md, run: from registry:2 to Holdfast and back with the commands as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.content import digest
from harness.http import Client
from holdfast.registry import comparison
from holdfast.storage import filesystem_links
from image.machine import Machine
from image.test_changing_over import check, push, registry_2  # noqa: F401 - a fixture
from registry2.pushing import AnyRepository
from registry2.servers import command, docker_registry, run
from registry2.survey import Names, survey
from registry2.volume import Volume

DOCUMENT = (Path(__file__).parents[2] / "docs/migrate.md").read_text("utf-8")


def blocks(heading: str, language: str = "sh") -> list[str]:
    """The code blocks in a language below `## heading`, in order."""
    section = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section is not None, f"no {heading!r} in the document"
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", section[1], re.MULTILINE | re.DOTALL)
    return found


class Reader:
    """Somebody who does what the document says, and looks whether all images are still there."""

    def __init__(self, machine: Machine, directory: Path) -> None:
        self.machine, self.directory = machine, directory
        self.images: dict[str, str] = {}
        self.runs = 0

    def do(self, block: str) -> str:
        """Run a block as a script; gives what it prints."""
        self.runs += 1
        return self.machine.sh(f"set -e\n{block}")

    def look(self) -> None:
        """Every image is there, and no other repository."""
        self.machine.answers("http://localhost:5000/v2/")
        check(self.machine, self.images)

    def push(self, *names: str) -> None:
        """Push a new image under some names."""
        self.machine.answers("http://localhost:5000/v2/")
        place = self.directory / str(self.runs)
        place.mkdir(exist_ok=True)
        words = push(self.machine, place, *names)
        self.images |= dict.fromkeys(names, words)


@pytest.mark.usefixtures("image", "registry_2")
def test_everything_with_containers(machine: Machine, tmp_path: Path) -> None:
    reader = Reader(machine, tmp_path)
    before, change, wait, log, look_first = blocks("Change over")
    reader.do(before)
    reader.push("team/app:1", "base:latest")
    reader.do(change)
    assert json.loads(reader.do(wait).splitlines()[-1])["read"] is True
    assert "took over what the tree says" in reader.do(log)
    reader.look()
    reader.push("team/app:2", "base:latest")
    assert "Imported: " in reader.do(look_first)
    reader.look()
    [back] = blocks("Go back")
    reader.do(back)
    reader.look()
    reader.push("team/app:1", "new/app:1")
    [forth] = blocks("Forth and back")
    reader.do(forth)
    reader.look()
    lose, export, verify = blocks("What only the database has")
    reader.do(lose)
    reader.look()
    assert "the database is new or was lost" in machine.sh("docker logs registry")
    assert "Exported: " in reader.do(export)
    reader.look()
    assert "Checked: " in reader.do(verify)
    backup, restore = blocks("Backups")
    reader.do(backup)
    kept = dict(reader.images)
    reader.push("team/app:1", "late/app:1")
    reader.do(restore)
    reader.images = kept
    reader.look()


def test_without_containers(tmp_path: Path) -> None:
    names = Names()
    with docker_registry(tmp_path) as server:
        repository = AnyRepository(Client(server), "team/app", names)
        repository.push_manifest(repository.image(), "1")
        before = survey(server, names)
    assert command(tmp_path, "serve")[-1] == str(tmp_path / "config.yml")
    [block] = blocks("Without containers")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")} | {"PATH": path}
    done = subprocess.run(
        ["/bin/sh", "-ec", block], cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    with docker_registry(tmp_path) as server:
        assert survey(server, names) == before


def test_the_report_looks_like_that(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "root")
    content, lacking = volume.image("app", "1"), volume.image("app")
    volume.tag("app", "2", content.digest).write_bytes(b"")
    volume.tag("app", "3", digest(b"nothing"))
    layer = lacking.json()["layers"][0]["digest"]
    volume.layer("app", layer).unlink()
    volume.data(layer).unlink()
    [expected] = blocks("What the report says", "text")
    assert run(tmp_path, "import").replace(lacking.digest, "sha256:DIGEST") == expected


def test_every_reason_is_explained() -> None:
    table = re.findall(r"^\| ([^|]+) \|", DOCUMENT.partition("| reason |")[2], re.MULTILINE)
    listed = {*table, *(part for cell in table for part in cell.split(", "))}
    modules = (vars(comparison), vars(filesystem_links))
    reasons = {text for module in modules for name, text in module.items() if name.isupper() and isinstance(text, str)}
    assert reasons - listed == {comparison.BY}
    assert len(reasons) > 12


def test_every_command_is_run() -> None:
    """No block stands where the tests above do not look."""
    sections = re.findall(r"^## (.*)$", DOCUMENT, re.MULTILINE)
    looked_at = [
        "Change over",
        "Go back",
        "Forth and back",
        "What only the database has",
        "Backups",
        "Without containers",
    ]
    assert sum(len(blocks(heading)) for heading in sections) == sum(len(blocks(heading)) for heading in looked_at)
    assert DOCUMENT.count("```sh") == sum(len(blocks(heading)) for heading in looked_at)
