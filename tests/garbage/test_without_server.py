"""A collection without a server: what registry:2 wrote meanwhile is no garbage; what cannot be collected is refused clearly."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from baddays.mounts import fuse, read_only
from clients.tools import program
from durability.ledger import TREE
from garbage.support import (
    SETTINGS,
    age,
    check,
    collect,
    collected,
    file_of,
    locked,
    pullable,
    refused,
    repository,
    run,
    started,
)
from harness.content import Content, image, index
from harness.server import Server, wait_until

ALONE = {**SETTINGS, "server.workers": "1"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, ALONE)
    yield server
    server.kill()


def link(path: Path, target: Content) -> None:
    """Write a link as registry:2 does."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "link").write_text(target.digest)


def test_collects_and_the_server_goes_on_from_there(server: Server) -> None:
    with server:
        a = repository(server, "a")
        kept, gone = a.push_image("kept"), a.push_image("gone")
        a.delete(f"manifests/{gone.digest}").expect(202)
        age(server.root)
    assert "3 blobs marked, 3 blobs and 0 manifests deleted" in collect(server.root)
    check(server.root)
    with server:
        assert pullable(a, kept)
        assert not pullable(a, gone)
        a.push_image("new")
    check(server.root)


def test_what_registry_2_wrote_since_is_not_garbage(server: Server) -> None:
    with server:
        a = repository(server, "a")
        layer, config, unused = (a.push_blob(a.blob()) for _ in range(3))
        age(server.root)
    manifest = image(config, [layer])
    file_of(server.root, manifest).parent.mkdir(parents=True)
    file_of(server.root, manifest).write_bytes(manifest.body)
    place = server.root / TREE / "repositories" / "a" / "_manifests"
    for path in ("revisions", "tags/new/index"):
        link(place / path / manifest.digest.replace(":", "/"), manifest)
    link(place / "tags" / "new" / "current", manifest)
    assert [one["digest"] for one in collected(server.root)["blobsDeleted"]] == [unused.digest]
    with server:
        assert pullable(a, manifest)
        assert a.tags() == ["new"]
    check(server.root)


def test_a_lost_database_makes_nothing_garbage(server: Server) -> None:
    with server:
        a = repository(server, "a")
        kept = a.push_image("kept")
        stray = a.push_blob(a.blob())
        for name in (kept, stray):
            os.utime(file_of(server.root, name), (1_000_000_000, 1_000_000_000))
    for link in (server.root / TREE / "repositories").rglob("link"):
        os.utime(link, (1_000_000_000, 1_000_000_000))
    shutil.rmtree(server.root / "holdfast")
    assert [one["digest"] for one in collected(server.root)["blobsDeleted"]] == [stray.digest]
    with server:
        assert pullable(a, kept)
    check(server.root)


def test_registry_2_finds_nothing_left_to_collect(server: Server, tmp_path: Path) -> None:
    with server:
        a, b = repository(server, "a"), repository(server, "b/c")
        child = a.push_image()
        a.push_manifest(index([child]), "index")
        a.push_manifest(image(a.push_blob(a.blob()), subject=child), "signature")
        b.push_image("kept")
        for name in ("moved", "moved"):
            b.push_image(name)
        a.push_image()
        a.push_blob(a.blob(), "sha512")
        age(server.root)
    assert len(collected(server.root, "-m")["manifestsDeleted"]) == 2
    check(server.root)
    path = tmp_path / "config.yml"
    path.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {server.root}\n")
    found = run([program("docker-registry"), "garbage-collect", "--dry-run", str(path)])
    assert found.returncode == 0, found.stderr
    assert "0 blobs and 0 manifests eligible for deletion" in found.stdout, found.stdout


def test_what_cannot_be_collected(server: Server, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    assert f"Error: there is no registry in {nowhere}: give the configuration file" in refused(nowhere)
    assert not nowhere.exists()
    assert "the registry is in memory: there is nothing on disk" in refused(None, storage="inmemory")
    for words in ("soon", "-1"):
        assert "is no duration; write it like 90s, 1h or 0s" in refused(server.root, "--grace", words, status=2)
    assert "Error: " in refused(None, str(tmp_path / "missing.yml"))
    server.start()
    repository(server, "a").push_image()
    server.stop()
    with read_only(server.root):
        assert "cannot write to" in refused(server.root)


def test_on_a_network_file_system_the_server_must_be_stopped(tmp_path: Path) -> None:
    with fuse(tmp_path / "network", tmp_path / "below") as place:
        server = Server(tmp_path, {**ALONE, "storage.filesystem.rootdirectory": str(place)})
        with server:
            a = repository(server, "a")
            kept = a.push_image("kept")
            a.push_blob(a.blob())
            said = refused(place, "--grace", "0s")
            assert f"a server (process {server.pid} on " in said
            assert "stop it for the collection" in said
            assert pullable(a, kept)
        assert "3 blobs marked, 1 blob and 0 manifests deleted" in collect(place, "--grace", "0s")
        with server:
            assert pullable(a, kept)


def test_a_server_that_starts_meanwhile_is_told(server: Server) -> None:
    server.start()
    server.stop()
    place = server.root / "holdfast" / "server.lock"
    with locked(server.root, "start"), started(server.root) as process:
        wait_until(lambda: "collecting garbage" in place.read_text(), "the collection to take the place")
        server.spawn()
        assert server.wait() == 1
        said = f"another server uses {server.root}: process {process.pid} on "
        assert said in server.log_text()
        assert ", collecting garbage, since " in server.log_text()
