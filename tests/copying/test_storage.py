"""`holdfast storage copy`, between directories and buckets of a real engine."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from copying.stores import PREFIX, Bucket, bucket, tree
from copying.support import run, variables
from durability.ledger import TREE
from harness.content import OCI_IMAGE, Content, blob, config, image, index, manifest
from harness.http import Client
from harness.repository import Repository, pieces
from harness.server import Server
from harness.swift import Swift
from holdfast.model.digests import digest_of
from holdfast.storage import paths
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.port import UploadKey
from holdfast.storage.s3_multipart import S3Multipart
from registry2.pushing import AnyRepository
from registry2.servers import docker_registry, holdfast
from registry2.survey import Names, survey
from registry2.volume import Volume

LATER = 2**43
MIB = 1024 * 1024


def copy(*words: object, status: int = 0) -> str:
    """Copy; gives what is printed."""
    return run("storage", "copy", *words, status=status)


def numbers(printed: str) -> dict[str, int]:
    """The numbers in the first line that a copy prints, by their names; not that of bytes, which tests do not know."""
    found = re.findall(r"(\d+) ([a-z ]+)", printed.partition("\n")[0].partition(": ")[2])
    return {name: int(number) for number, name in found if name != "bytes"}


@pytest.fixture
def s3(swift: Swift, tmp_path: Path) -> Bucket:
    """An empty bucket."""
    return bucket(swift, tmp_path)


def fill(one: AnyRepository, other: AnyRepository) -> None:
    """Little, but of each kind: moved tags, sha512, an empty blob and a large one, media types that manifests do not tell."""
    layer = one.push_blob(one.blob(2 * MIB))
    setup = one.push_blob(config("a"))
    for size in (0, 1):
        one.push_blob(one.blob(size), "sha512")
    for annotation in ("one", "two", "one"):
        oci = one.push_manifest(image(setup, [layer], annotations={"a": annotation}), "moved", annotation)
    gone = one.push_manifest(image(setup, [layer], annotations={"a": "gone"}), "gone")
    one.delete(f"manifests/{gone.digest}").expect(202)
    one.push_manifest(manifest(OCI_IMAGE, {**oci.json(), "mediaType": None}), "untyped")
    one.push_manifest(index([oci], subject=oci), "index")
    for content in (layer, setup):
        other.mount(content, one)
    other.push_manifest(oci, "1")


def test_there_and_back_every_file_is_the_same(tmp_path: Path, s3: Bucket) -> None:
    names, back = Names(), tmp_path / "back"
    with holdfast(tmp_path) as server:
        client = Client(server)
        one, other = (AnyRepository(client, name, names) for name in ("team/app", "team/app/other"))
        fill(one, other)
        answers = survey(server, names)
    printed = copy(tmp_path / "root", s3.configuration)
    assert re.match(r"Copied in .* blobs copied, .* links written", printed)
    copy(s3.configuration, back / "root")
    assert tree(back / "root") == tree(tmp_path / "root")
    with docker_registry(tmp_path) as server:
        theirs = survey(server, names)
    for server in (docker_registry(back), s3.docker_registry(tmp_path / "s3")):
        with server:
            assert survey(server, names) == theirs
    with Server(tmp_path, s3.settings | {"metadata.path": str(tmp_path / "root/holdfast")}, ready="/readyz") as server:
        assert survey(server, names) == answers
    assert numbers(copy(tmp_path / "root", s3.configuration)).keys() == {"blobs there already", "repositories"}


PAUSING = """
import asyncio, sys
from holdfast.app.copying import copy_store
from holdfast.config.load import load
from holdfast.registry.copying import Wanted

last = ""

def tell(where, numbers):
    global last
    phase = "links" if numbers.get("repositories") is not None or not where.startswith("blobs ") else ""
    if numbers.get("blobs copied", 0) >= 5 and numbers["bytes"] > int(sys.argv[3]):
        phase = phase or "blobs"
    if phase != last:
        last = phase
        print(phase, flush=True)
        sys.stdin.readline()

source = load(None, {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": sys.argv[1]}).settings
target = load(sys.argv[2], {}).settings
asyncio.run(copy_store(source, target, Wanted(), tell))
"""
"""Copies, and stops for a line of input once in the middle of the blobs and once before the links."""


def pausing(root: Path, s3: Bucket, after: int) -> "subprocess.Popen[bytes]":
    """A copy that pauses; first when five blobs and `after` bytes are copied."""
    return subprocess.Popen(
        [sys.executable, "-c", PAUSING, root, s3.configuration, str(after)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=variables(),
    )


def test_what_was_killed_half_way_goes_on(tmp_path: Path, s3: Bucket) -> None:
    volume = Volume(tmp_path / "root")
    contents = [volume.blob(blob(f"small {number}")) for number in range(30)]
    contents += [volume.blob(blob(f"large {number}", 12 * MIB)) for number in (4, 5)]
    for content in contents:
        volume.layer("app", content.digest)
    with pausing(tmp_path / "root", s3, 4 * MIB) as process:
        assert process.stdout
        assert process.stdout.readline() == b"blobs\n"
        os.kill(process.pid, signal.SIGKILL)
    refused = run("import", s3.configuration, status=1, metadata_path=str(tmp_path / "database"))
    assert "is an incomplete copy of another store: run `holdfast storage copy` again" in refused
    found = numbers(copy(tmp_path / "root", s3.configuration))
    assert found["blobs copied"] + found["blobs there already"] == len(contents)
    assert found["blobs there already"] >= 5
    copy(s3.configuration, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "root")
    assert asyncio.run(S3Multipart(s3.address).remove(f"{PREFIX}/{paths.ROOT}", LATER)) == 0


def test_damage_is_named_and_not_copied(tmp_path: Path, s3: Bucket) -> None:
    volume = Volume(tmp_path / "root")
    good, small, large = (volume.blob(blob(name, size)) for name, size in (("a", 10), ("b", 10), ("c", 2 * MIB)))
    for content in (small, large):
        volume.data(content.digest).write_bytes(bytes(content.size))
    targets = (s3.configuration, tmp_path / "copy")
    for target in targets:
        printed = copy(tmp_path / "root", target, status=1)
        assert numbers(printed) == {"blobs copied": 1}
        assert "a blob whose bytes do not have its digest: 2\n" in printed
        assert small.digest in printed
        assert large.digest in printed
    copy(s3.configuration, tmp_path / "second")
    assert tree(tmp_path / "second") == tree(tmp_path / "copy") != {}
    for content in (small, large):
        volume.blob(content)
    for target in targets:
        assert numbers(copy(tmp_path / "root", target)) == {"blobs copied": 2, "blobs there already": 1}

    async def spoil(store: ObjectBlobStore) -> None:
        await store.put(digest_of(good.body), bytes(good.size))

    s3.work(spoil)
    assert numbers(copy(tmp_path / "root", s3.configuration)) == {"blobs there already": 3}
    found = numbers(copy("--verify", tmp_path / "root", s3.configuration))
    assert found == {"blobs copied": 1, "blobs there already": 2}
    shutil.rmtree(tmp_path / "second")
    copy(s3.configuration, tmp_path / "second")
    assert tree(tmp_path / "second") == tree(tmp_path / "root")


def test_a_registry_moves_while_it_serves(tmp_path: Path, s3: Bucket) -> None:
    settings = {"storage.delete.enabled": "true", "storage.redirect.disable": "true"}
    pushed: dict[str, Content] = {}
    with Server(tmp_path, settings) as server:
        repository = Repository(Client(server), "team/app")
        gone = repository.push_image("gone")
        for tag in ("1", "2", "latest"):
            pushed[tag] = repository.push_image(tag)
        with pausing(tmp_path / "root", s3, 0) as process:
            assert process.stdin
            assert process.stdout
            for phase in ("blobs", "links"):
                assert process.stdout.readline() == f"{phase}\n".encode()
                for tag in ("latest", phase):
                    pushed[tag] = repository.push_image(tag)
                process.stdin.write(b"\n")
                process.stdin.flush()
            assert process.wait(300) == 0
        repository.delete(f"manifests/{gone.digest}").expect(202)
        pushed["late"] = repository.push_image("late")
    printed = copy("--prune", tmp_path / "root", s3.configuration)
    assert re.search(r"[2-9] links removed", printed)
    copy(s3.configuration, tmp_path / "back")
    assert tree(tmp_path / "back") == tree(tmp_path / "root")
    moved_to = settings | s3.settings | {"metadata.path": str(tmp_path / "root/holdfast")}
    with Server(tmp_path, moved_to, ready="/readyz") as server:
        repository = Repository(Client(server), "team/app")
        assert repository.tags() == sorted(pushed)
        repository.get("manifests/gone").expect(404)
        for tag, content in pushed.items():
            assert repository.get(f"manifests/{tag}").expect(200).body == content.body
            for part in (content.json()["config"], *content.json()["layers"]):
                assert len(repository.get(f"blobs/{part['digest']}").expect(200).body) == part["size"]
        repository.push_image("after")


def test_what_has_gone_is_told_and_can_be_removed(tmp_path: Path, s3: Bucket) -> None:
    with holdfast(tmp_path) as server:
        repositories = [Repository(Client(server), name) for name in ("app", "gone", "app/gone")]
        for repository in repositories:
            repository.push_image("1")
            repository.push_image("2")
    targets = (s3.configuration, tmp_path / "copy")
    for target in targets:
        copy(tmp_path / "root", target)
    with holdfast(tmp_path) as server:
        for name in ("gone", "app/gone"):
            Client(server).delete(f"/v2/{name}/_holdfast/repository").expect(202, 204)
        Client(server).delete("/v2/app/manifests/1").expect(202)
        run(
            "garbage-collect",
            "-m",
            "--grace",
            "0s",
            storage_filesystem_rootdirectory=str(tmp_path / "root"),
        )
    shutil.rmtree(tmp_path / "root" / TREE / "repositories/gone")  # the other one has a directory for uploads still
    told = numbers(copy(tmp_path / "root", tmp_path / "copy"))
    assert told["repositories gone from the source"] == 1
    for target in targets:
        removed = numbers(copy("--prune", tmp_path / "root", target))
        assert removed == {name.replace("gone from the source", "removed"): number for name, number in told.items()}
        assert removed["links removed"] >= 5
        assert removed["blobs removed"] >= 9
    assert "removed" not in copy("--prune", tmp_path / "root", tmp_path / "copy")
    copy(s3.configuration, tmp_path / "back")
    assert tree(tmp_path / "copy") == tree(tmp_path / "back") == tree(tmp_path / "root")


def test_blobs_in_parts_become_whole(tmp_path: Path, swift: Swift, s3: Bucket) -> None:
    body = blob("parted", 300_000).body
    digest = digest_of(body)

    async def push(store: ObjectBlobStore) -> None:
        progress = None
        key = UploadKey("app", "0d7c41ef-13d1-4ef6-8a2e-4b3a3ccd4c3c", "2026-01-01T00:00:00Z")

        async def content(piece: bytes):  # type: ignore[no-untyped-def]
            yield piece

        for piece in pieces(body, 200_000):
            upload = await store.hold(key, 5)
            await upload.rewind(progress)
            await upload.append(content(piece))
            progress = await upload.sync()
            parts = await upload.commit(digest) if progress.digest == digest else ""
            await upload.close()
        assert parts
        await store.write_files([(paths.layer_link("app", digest), digest.encode())])

    s3.work(push)
    other = bucket(swift, tmp_path)
    copy(s3.configuration, other.configuration)

    async def look(store: ObjectBlobStore) -> None:
        assert await store.stat(digest) == len(body)
        assert await store.read_file(paths.parted(digest)) is None

    other.work(look)
    copy(s3.configuration, tmp_path / "copy")
    assert (tmp_path / "copy" / TREE / paths.blob(digest)).read_bytes() == body


def refused(*words: object) -> str:
    """What a copy that does not begin says."""
    return copy(*words, status=1)


def test_what_cannot_be_copied_is_refused(tmp_path: Path, s3: Bucket) -> None:
    roots = [tmp_path / name / "root" for name in ("one", "two")]
    memory, wrong = tmp_path / "memory.yml", tmp_path / "wrong.yml"
    memory.write_text("version: 0.1\nstorage: inmemory\n")
    assert f"there is no registry in {roots[0]}: give the directory" in refused(roots[0], roots[1])
    assert not roots[0].exists()
    for root in roots:
        root.parent.mkdir()
        with Server(root.parent) as server:
            Repository(Client(server), "app").push_image("1")
            if root == roots[1]:
                copy(root, s3.configuration)
                assert f"{root} is in use: process {server.pid} on" in refused(s3.configuration, root)
    assert f"both are {roots[0]}: name two stores" in refused(roots[0], roots[0])
    assert "what is in memory cannot be copied" in refused(roots[0], memory)
    assert "there is no such file" in refused(roots[0], wrong)
    assert f"{roots[1]} holds another registry" in refused(roots[0], roots[1])
    assert " holds another registry" in refused(roots[0], s3.configuration)
    assert " repositories" in copy(s3.configuration, roots[1])
    (roots[0] / TREE / paths.INSTANCE).unlink()
    copy(roots[0], tmp_path / "copy")
    assert "copy without --prune" in refused("--prune", roots[0], tmp_path / "copy")
