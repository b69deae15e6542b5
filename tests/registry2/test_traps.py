"""Volumes as they are in the world: damaged, half written, with strange things in them. (What each trap is: `traps`)"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from harness.http import Client
from harness.server import Server
from registry2.servers import ACCEPT, holdfast, run
from registry2.traps import TRAPS, Outcome, Trap
from registry2.volume import Volume


def files(volume: Volume) -> dict[str, bytes | str]:
    """All small files of a tree but for Holdfast's own, by path, and where symbolic links lead."""
    found: dict[str, bytes | str] = {}
    for path in volume.base.rglob("*"):
        if "_holdfast" in path.parts:
            continue
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.is_file() and path.stat().st_size < 10**6:
            found[os.fsdecode(path)] = path.read_bytes()
    return found


@dataclass
class Imported:
    """The volume of all traps, imported, and served."""

    server: Server
    outcomes: dict[str, Outcome]
    report: dict[str, Any]
    before: dict[str, bytes | str]
    after: dict[str, bytes | str]


def name_of(trap: Trap) -> str:
    """The repository that a trap is laid in."""
    return trap.__name__.replace("_", "-")


@pytest.fixture(scope="module", params=[TRAPS[::2], TRAPS[1::2]], ids=["one volume", "another"])
def imported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    """Half of the traps in one volume: the report names ten examples of each reason."""
    directory = tmp_path_factory.mktemp("traps")
    volume = Volume(directory / "root")
    outcomes = {trap.__name__: trap(volume, name_of(trap)) for trap in request.param}
    before = files(volume)
    report = json.loads(run(directory, "import", "--json"))
    after = files(volume)
    with holdfast(directory) as server:
        yield Imported(server, outcomes, report, before, after)


def test_traps(imported: Imported) -> None:
    failed = []
    for name, outcome in imported.outcomes.items():
        try:
            check(outcome, imported)
        except AssertionError as error:
            failed.append(f"{name}: {error}")
    assert not failed, "\n".join(failed)


def check(outcome: Outcome, imported: Imported) -> None:
    """Raise `AssertionError` unless it came as it should."""
    client = Client(imported.server)
    for path, content in outcome.there.items():
        answer = client.get(f"/v2/{path}", ACCEPT).expect(200)
        assert answer.body == content.body
        if "/manifests/" in path:
            assert answer.headers["Content-Type"] == content.media_type
    for path in outcome.absent:
        client.get(f"/v2/{path}", ACCEPT).expect(404)
    for name, tags in outcome.tags.items():
        assert client.get(f"/v2/{name}/tags/list?n=1000").expect(200).json()["tags"] == sorted(tags)
    for path, content in outcome.referrers.items():
        [entry] = client.get(f"/v2/{path}").expect(200).json()["manifests"]
        assert entry["digest"] == content.digest
    skipped = [
        (path.replace("sha256:", ""), why)
        for why, reason in imported.report["skipped"].items()
        for path in reason["examples"]
    ]
    for where, words in outcome.told.items():
        part = where.replace("sha256:", "")
        assert [path for path, why in skipped if part in path and words in why], f"nothing tells of {where}: {words}"


def test_nothing_is_written_but_links_that_were_empty_or_damaged(imported: Imported) -> None:
    changed = {path for path in imported.before if imported.before[path] != imported.after.get(path)}
    assert {imported.before[path] for path in changed} == {b""}
    assert {path.rpartition("/")[2] for path in changed} == {"link"}
    assert set(imported.after) == set(imported.before)
