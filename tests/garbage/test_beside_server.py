"""A collection while the server runs: what goes, what stays, what is said."""

import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from durability.ledger import TREE
from garbage.support import (
    HOUR,
    SETTINGS,
    age,
    check,
    collect,
    collected,
    command,
    execute,
    file_of,
    files,
    pullable,
    repository,
)
from harness.content import Content, artifact, digest, image, index
from harness.repository import Repository
from harness.server import Server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), SETTINGS) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """A server with two workers and nothing in it."""
    yield running
    check(running.root)
    for table in ("tags", "manifest_references", "manifests", "repository_blobs", "repositories", "aliases", "blobs"):
        execute(running.root, f"DELETE FROM {table}")
    for part in ("blobs", "repositories"):
        shutil.rmtree(running.root / TREE / part, ignore_errors=True)


@pytest.fixture
def root(server: Server) -> Path:
    return server.root


@pytest.fixture
def a(server: Server) -> Repository:
    return repository(server, "a/b")


@pytest.fixture
def b(server: Server) -> Repository:
    return repository(server, "b")


def config_of(manifest: Content) -> str:
    """The digest of an image's configuration."""
    found: str = manifest.json()["config"]["digest"]
    return found


def remove(where: Repository, manifest: Content) -> None:
    """Delete a manifest."""
    where.delete(f"manifests/{manifest.digest}").expect(202)


def test_space_comes_back_at_once_after_deleting_what_is_not_new(root: Path, a: Repository) -> None:
    shared, own = a.blob(5000), a.blob(3_000_000)
    kept, deleted = a.push_image("kept", layers=[shared]), a.push_image("deleted", layers=[shared, own])
    age(root)
    remove(a, deleted)
    gone = {own.digest, deleted.digest, config_of(deleted)}
    printed = collect(root).splitlines()
    assert printed[0] == "a/b: 1 manifest, 1 tag"
    told = dict(re.fullmatch(r"blob deleted: (\S+) \((.*), unused\)", line).groups() for line in printed[1:-1])  # type: ignore[union-attr, misc]
    assert set(told) == gone
    assert told[own.digest] == "3.00 MB"
    assert told[deleted.digest] == f"{deleted.size} bytes"
    assert printed[-1] == "3 blobs marked, 3 blobs and 0 manifests deleted, 3.00 MB freed"
    assert not files(root) & gone
    a.head(f"blobs/{own.digest}").expect(404)
    assert pullable(a, kept)
    last = "3 blobs marked, 0 blobs and 0 manifests deleted, 0 bytes freed"
    assert collect(root).splitlines() == ["a/b: 1 manifest, 1 tag", last]
    assert collect(root, "-q").splitlines() == [last]
    a.push_blob(own)
    assert own.digest in files(root)


def test_what_is_new_is_kept_and_the_summary_says_until_when(root: Path, a: Repository) -> None:
    manifest = a.push_image("tag")
    remove(a, manifest)
    began = datetime.now(UTC)
    before = files(root)
    text = collect(root)
    assert "0 blobs marked, 0 blobs and 0 manifests deleted, 0 bytes freed\n3 unused blobs (" in text
    assert "kept: pushed, mounted or asked for within the last 1h (--grace)" in text
    assert "with --grace 0s at once" in text
    until = re.search(r"the first may go at (\S+?)Z", text)
    assert until
    moment = datetime.fromisoformat(f"{until[1]}+00:00")
    assert timedelta(minutes=55) < moment - began < timedelta(minutes=62)
    assert files(root) == before
    kept = collected(root)["blobsKept"]
    assert (kept["count"], kept["first"]) == (3, f"{until[1]}Z")
    age(root, HOUR + 60)
    assert collected(root, "--grace", "2h")["blobsKept"]["count"] == 3
    assert len(collected(root, "--grace", "1h")["blobsDeleted"]) == 3
    assert files(root) == set()


def test_grace_0_keeps_nothing_unused(root: Path, a: Repository, b: Repository) -> None:
    kept = a.push_image("tag")
    b.push_blob(b.blob())
    remove(a, a.push_image("gone"))
    found = collected(root, "--grace", "0s")
    assert len(found["blobsDeleted"]) == 4
    assert found["blobsKept"] == {"bytes": 0, "count": 0, "first": None, "last": None}
    assert pullable(a, kept)
    b.get("tags/list").expect(404)


def test_a_dry_run_deletes_nothing_and_tells_what_a_run_would_delete(root: Path, a: Repository, b: Repository) -> None:
    shared = a.blob(9000)
    one, two = a.push_image(layers=[shared, a.blob()]), a.push_image(layers=[shared])
    kept = b.push_image("kept", layers=[shared])
    a.push_manifest(index([one, two]))
    a.push_manifest(artifact([a.push_blob(a.blob())], subject=one))
    a.push_blob(b.blob())
    age(root)
    remove(a, a.push_image("young"))
    before = files(root)
    for switches in ((), ("-m",)):
        dry = collected(root, "-d", *switches)
        assert files(root) == before
        assert dry.pop("dryRun") is True
        for name in ("manifestsDeleted", "blobsDeleted"):
            dry[name].sort(key=lambda one: one["digest"])
        expected = (0, 1) if not switches else (4, 9)
        assert (len(dry["manifestsDeleted"]), len(dry["blobsDeleted"])) == expected
        if switches:
            real = collected(root, *switches)
            assert real.pop("dryRun") is False
            for name in ("manifestsDeleted", "blobsDeleted"):
                real[name].sort(key=lambda one: one["digest"])
            assert dry == real
    assert pullable(b, kept)
    text = collect(root, "--dry-run", "--grace=0s")
    assert "blob eligible for deletion: sha256:" in text
    assert "3 blobs marked, 3 blobs and 0 manifests eligible for deletion, " in text
    assert "would be freed" in text


def test_untagged_manifests_go_with_m_alone(root: Path, a: Repository) -> None:
    first = a.push_image("latest")
    second = a.push_image("latest")
    assert "\n1 untagged manifest kept: pushed within the last 1h (--grace); the first may go at " in collect(
        root, "-m"
    )
    age(root)
    assert collected(root)["blobsDeleted"] == []
    assert pullable(a, first)
    text = collect(root, "-m")
    assert f"a/b: manifest deleted: {first.digest}\n" in text
    assert "3 blobs and 1 manifest deleted" in text
    assert not pullable(a, first)
    assert pullable(a, second)


def test_m_follows_indexes_subjects_and_tags_of_old_clients(root: Path, a: Repository) -> None:
    def attach(subject: Content) -> Content:
        return a.push_manifest(artifact([a.push_blob(a.blob())], subject=subject))

    amd, arm, loose = a.push_image(), a.push_image(), a.push_image()
    inner = a.push_manifest(index([amd]))
    outer = a.push_manifest(index([inner, arm]), "latest")
    signatures = [attach(manifest) for manifest in (outer, inner, amd)]
    signatures.append(attach(signatures[-1]))
    old = a.push_image()
    listed = attach(old)
    a.push_manifest(index([listed]), old.digest.replace(":", "-"))
    cosign = a.push_image(f"{old.digest.replace(':', '-')}.sig")
    lonely = [attach(loose), a.push_manifest(index([loose]))]
    age(root)
    young = a.push_image()
    of_young = attach(young)
    gone = {one["digest"] for one in collected(root, "-m")["manifestsDeleted"]}
    assert gone == {one.digest for one in (loose, old, *lonely)}
    for manifest in (amd, arm, inner, outer, *signatures, listed, cosign, young, of_young):
        a.get(f"manifests/{manifest.digest}", {"Accept": "*/*"}).expect(200)
    assert len(a.referrers(amd.digest)) == 1
    assert pullable(a, amd)


def test_a_build_cache_keeps_its_layers(root: Path, a: Repository) -> None:
    """An index may list layers."""
    layer, cache, other = (a.push_blob(a.blob()) for _ in range(3))
    a.push_manifest(index([layer, cache]), "buildcache")
    age(root)
    assert [one["digest"] for one in collected(root, "-m")["blobsDeleted"]] == [other.digest]
    a.get(f"blobs/{layer.digest}").expect(200)


def test_sha512_names_the_same_blob(root: Path, a: Repository) -> None:
    used, unused, config = a.blob(), a.blob(), a.push_blob(a.blob())
    for content in (used, unused):
        a.push_blob(content, "sha512")
    manifest = a.push_manifest(image(config, [used.descriptor("sha512")]))
    a.put_manifest(manifest, digest(manifest.body, "sha512")).expect(201)
    age(root)
    assert [one["digest"] for one in collected(root)["blobsDeleted"]] == [unused.digest]
    a.get(f"blobs/{used.sha512}").expect(200)
    a.get(f"blobs/{unused.sha512}").expect(404)


def test_a_blob_stays_while_any_repository_uses_it(root: Path, a: Repository, b: Repository) -> None:
    layer = a.blob()
    one = a.push_image("one", layers=[layer])
    b.client.post(b.url(f"blobs/uploads/?mount={layer.digest}&from={a.name}")).expect(201)
    two = b.push_image("two", layers=[layer])
    age(root)
    remove(a, one)
    collect(root)
    assert pullable(b, two)
    remove(b, two)
    collect(root)
    assert files(root) == set()
    for gone in (a, b):
        gone.get("tags/list").expect(404)


def test_a_push_under_way_finds_what_it_was_told_is_here(root: Path, a: Repository, b: Repository) -> None:
    """By HEAD, by mounting, by mounting what is here already, and by an empty push."""
    asked, mounted, again, claimed, forgotten = (a.push_blob(a.blob()) for _ in range(5))
    b.push_blob(again)
    age(root)
    a.head(f"blobs/{asked.digest}").expect(200)
    for content in (mounted, again):
        b.client.post(b.url(f"blobs/uploads/?mount={content.digest}&from={a.name}")).expect(201)
    a.client.post(a.url(f"blobs/uploads/?digest={claimed.digest}")).expect(201)
    assert [one["digest"] for one in collected(root)["blobsDeleted"]] == [forgotten.digest]
    a.push_manifest(image(asked, [claimed]), "complete")
    b.push_manifest(image(mounted, [again]), "complete")
    a.put_manifest(image(asked, [forgotten])).expect(400)


def test_pulling_keeps_nothing(root: Path, a: Repository) -> None:
    content = a.push_blob(a.blob())
    age(root)
    a.get(f"blobs/{content.digest}").expect(200)
    assert [one["digest"] for one in collected(root)["blobsDeleted"]] == [content.digest]


def test_a_pull_under_way_comes_to_its_end(root: Path, a: Repository) -> None:
    content = a.push_blob(a.blob(20_000_000))
    with a.client.connect() as connection:
        connection.send_head("GET", a.url(f"blobs/{content.digest}"), {"Connection": "close"})
        head = connection.receive_head("GET")
        assert len(collected(root, "--grace", "0s")["blobsDeleted"]) == 1
        assert connection.read(int(head.headers["Content-Length"])) == content.body


def test_files_that_the_database_does_not_know(root: Path, a: Repository) -> None:
    old, young, linked = a.blob(), a.blob(), a.blob()
    for content in (old, young, linked):
        file_of(root, content).parent.mkdir(parents=True)
        file_of(root, content).write_bytes(content.body)
    for content in (old, linked):
        os.utime(file_of(root, content), (1_000_000_000, 1_000_000_000))
    link = root / "docker/registry/v2/repositories/other/_layers" / linked.digest.replace(":", "/") / "link"
    link.parent.mkdir(parents=True)
    link.write_text(linked.digest)
    for dry in ("--dry-run", "--dry-run=false"):
        found = collected(root, dry)
        assert found["blobsDeleted"] == [{"digest": old.digest, "size": 1000, "why": "stray"}]
        assert found["foreign"] == 1
    assert files(root) == {young.digest, linked.digest}
    assert "1 file left alone: the tree has links to them" in collect(root, "--grace", "0")
    assert files(root) == {linked.digest}
    link.unlink()
    collect(root)
    assert files(root) == set()


def test_switches_in_the_form_of_registry_2(root: Path, a: Repository, tmp_path: Path) -> None:
    a.push_image()
    age(root)
    path = tmp_path / "config.yml"
    path.write_text(f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {root}\n")
    for arguments, manifests, blobs in (
        (["-dm", str(path)], 1, 3),
        ([str(path), "-m=true", "-d=true"], 1, 3),
        (["--delete-untagged=false", "--dry-run=1", str(path)], 0, 0),
        (["-m=false", str(path), "-d"], 0, 0),
    ):
        done = command(None, *arguments)
        assert done.returncode == 0, done.stderr
        assert f"{blobs} blobs and {manifests} manifest" in done.stdout
