"""Collections and pushes at the same time, and collections that are cut off."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.tools import program
from garbage.support import (
    COMMAND,
    SETTINGS,
    age,
    check,
    collect,
    collected,
    command,
    execute,
    file_of,
    files,
    locked,
    pullable,
    refused,
    repository,
    run,
    started,
    variables,
)
from harness.content import Content, blob, image
from harness.http import Response
from harness.repository import Repository
from harness.server import Server, wait_until
from holdfast.registry.claims import COLLECTION


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), SETTINGS) as server:
        yield server


def half_deleted(server: Server, content: Content) -> None:
    """What a collector leaves that is killed after the first step."""
    collected(server.root, "--dry-run")
    execute(server.root, "DELETE FROM repository_blobs WHERE digest = ?", content.digest)
    execute(server.root, "UPDATE blobs SET state = 'deleting' WHERE digest = ?", content.digest)


def push(where: Repository, content: Content) -> Response:
    """Push a blob; gives the answer."""
    return where.client.post(where.url(f"blobs/uploads/?digest={content.digest}"), {}, content.body)


def test_a_blob_that_is_being_deleted_comes_back_with_the_next_push(server: Server) -> None:
    a = repository(server, "a")
    content, config = a.push_blob(a.blob()), a.push_blob(a.blob())
    half_deleted(server, content)
    a.head(f"blobs/{content.digest}").expect(404)
    mount = a.url(f"blobs/uploads/?mount={content.digest}&from={a.name}")
    a.client.post(mount).expect(202)
    manifest = image(config, [content])
    a.put_manifest(manifest).expect(400, code="MANIFEST_BLOB_UNKNOWN")
    with locked(server.root, COLLECTION):
        answer = push(a, content).expect(503, code="UNAVAILABLE")
        assert answer.headers["Retry-After"] == "5"
        assert "being deleted at the moment; push it again" in answer.json()["errors"][0]["message"]
        waiting = threading.Thread(target=lambda: push(a, content).expect(201))
        waiting.start()
        execute(server.root, "DELETE FROM blobs WHERE digest = ?", content.digest)
        waiting.join(30)
        assert not waiting.is_alive()
    half_deleted(server, content)
    push(a, content).expect(201)
    a.push_manifest(manifest, "tag")
    assert pullable(a, manifest)
    collect(server.root, "--grace", "0s")
    check(server.root)


def test_one_collection_at_a_time(server: Server) -> None:
    repository(server, "a").push_image()
    with locked(server.root, COLLECTION):
        assert "another garbage collection is under way here" in refused(server.root, "--grace", "0s")
        assert command(server.root, "--dry-run").returncode == 0
    check(server.root)


def test_a_collection_waits_for_a_server_that_reads_the_tree(server: Server, tmp_path: Path) -> None:
    a = repository(server, "a")
    config, layer = a.push_blob(a.blob()), a.push_blob(a.blob())
    execute(server.root, "UPDATE meta SET value = '0' WHERE key = 'taken'")

    with started(server.root, "--grace", "0s") as process:
        a.push_manifest(image(config, [layer]), "tag")
        assert process.poll() is None
        place = server.root / "docker/registry/v2/_holdfast/server.lock"
        execute(server.root, "UPDATE meta SET value = ? WHERE key = 'taken'", str(place.stat().st_mtime_ns))
        said, _ = process.communicate(timeout=60)
        assert "0 blobs and 0 manifests deleted" in said
    check(server.root)


LAYER, CONFIG, GONE = blob("layer", 9000), blob("config"), blob("gone", 50_000)
KEPT, DELETED = image(CONFIG, [LAYER]), image(CONFIG, [LAYER, GONE])

CUTS = [
    *(("fdatasync", "holdfast/holdfast.db-wal", nth) for nth in range(1, 5)),
    ("unlink", "data", 1),
    ("rmdir", "", 1),
]
"""The system calls at which the command is killed, before the kernel carries them out."""


def test_a_collection_that_is_killed_is_finished_by_the_next_one(server: Server, tmp_path: Path) -> None:
    a, data = repository(server, "a"), file_of(server.root, GONE)
    a.push_blob(CONFIG)
    a.push_blob(LAYER)
    a.push_manifest(KEPT, "tag")
    for call, path, nth in CUTS:
        sys.stderr.write(f"{call} {path} {nth}\n")
        a.push_blob(GONE, "sha512")
        a.push_manifest(DELETED)
        age(server.root)
        target = {"data": data, "": data.parent}.get(path, server.root / path)
        fault = f"inject={call}:signal=SIGKILL:when={nth}"
        trace = (program("strace"), "-f", "-o", str(tmp_path / "trace"), "-P", str(target), "-e", fault)
        run([*trace, *COMMAND, "-m"], variables(server.root))
        assert "+++ killed by SIGKILL +++" in (tmp_path / "trace").read_text(), "no such call is made any more"
        assert pullable(a, KEPT)
        a.get(f"manifests/{DELETED.digest}", {"Accept": "*/*"}).expect(200, 404)
        collect(server.root, "-m")
        check(server.root)
        assert files(server.root) == {one.digest for one in (KEPT, LAYER, CONFIG)}
    push(a, GONE).expect(201)
    a.push_manifest(DELETED, "again")
    assert pullable(a, DELETED)


class Pusher(threading.Thread):
    """Pushes images as a client does: asks for each blob, pushes those that are not here, then the manifest; deletes every second one."""

    def __init__(self, server: Server, number: int, stop: threading.Event, patience: int) -> None:
        super().__init__(name=f"pusher {number}")
        self._where = repository(server, f"at-once/{number % 2}")
        self._number = number
        self._stopping = stop
        self._patience = patience
        self.tags: dict[str, Content] = {}
        self.failures: list[str] = []
        self.repeated = 0

    def run(self) -> None:
        """Until told to stop."""
        try:
            number = 0
            while not self._stopping.is_set():
                self._push(number)
                number += 1
        except (AssertionError, OSError) as error:
            self.failures.append(str(error))

    def _push(self, number: int) -> None:
        shared = [blob(f"shared {(number + self._number + step) % 7}", 3000) for step in range(3)]
        content = image(shared[0], [*shared[1:], blob(f"own {self._number} {number % 5}", 30_000)])
        tag = f"t{self._number}-{number % 4}"
        for _ in range(self._patience):
            if self._once(content, tag):
                self.tags[tag] = content
                break
            self.repeated += 1
        else:
            raise AssertionError(f"{tag} could not be pushed in {self._patience} times")
        if number % 2:
            self._where.delete(f"manifests/{tag}").expect(202)
            del self.tags[tag]

    def _once(self, content: Content, tag: str) -> bool:
        fields = content.json()
        for descriptor in (fields["config"], *fields["layers"]):
            if self._where.head(f"blobs/{descriptor['digest']}").expect(200, 404).status == 404:
                known = next(one for one in BLOBS if one.digest == descriptor["digest"])
                if push(self._where, known).expect(201, 503).status == 503:
                    return False
        return self._where.put_manifest(content, tag).expect(201, 400).status == 201

    def verify(self) -> None:
        """Raise `AssertionError` unless all that was acknowledged is there."""
        for tag, content in self.tags.items():
            assert self._where.get(f"manifests/{tag}").expect(200).body == content.body
            assert pullable(self._where, content)

    def clean(self) -> None:
        """Delete all that was pushed."""
        for tag in self.tags:
            self._where.delete(f"manifests/{tag}").expect(202)


BLOBS = [blob(f"shared {number}", 3000) for number in range(7)]
BLOBS += [blob(f"own {number} {step}", 30_000) for number in range(4) for step in range(5)]


@contextmanager
def pushing(server: Server, patience: int) -> Iterator[list[Pusher]]:
    """Four clients push during the block."""
    stop = threading.Event()
    pushers = [Pusher(server, number, stop, patience) for number in range(4)]
    for pusher in pushers:
        pusher.start()
    try:
        yield pushers
    finally:
        stop.set()
        for pusher in pushers:
            pusher.join(60)
    assert not any(pusher.is_alive() for pusher in pushers)
    assert [failure for pusher in pushers for failure in pusher.failures] == []


@pytest.mark.parametrize("grace", ["0s", "1h"])
def test_no_image_that_was_acknowledged_is_harmed(server: Server, long: bool, grace: str) -> None:
    """With a grace time no push has to be repeated; without one some have to, and succeed."""
    collect(server.root, "-m", "--grace", "0s")
    others = files(server.root)
    with pushing(server, patience=1 if grace == "1h" else 100) as pushers:
        rounds = 0
        while rounds < (100 if long else 6):
            rounds += 1
            before = sum(len(pusher.tags) for pusher in pushers)
            collect(server.root, "-m", "-q", "--grace", grace)
            if any(pusher.failures for pusher in pushers):
                break
        wait_until(lambda: all(pusher.tags or pusher.failures for pusher in pushers), f"pushes, after {before}", 60)
    sys.stderr.write(f"grace {grace}: {sum(pusher.repeated for pusher in pushers)} pushes were repeated\n")
    for pusher in pushers:
        pusher.verify()
    assert not re.search(r"request failed|traceback", server.log_text(), re.IGNORECASE)
    check(server.root)
    age(server.root)
    collect(server.root, "-m")
    images = [content for pusher in pushers for content in pusher.tags.values()]
    used = {content.digest for content in images} | {one["digest"] for content in images for one in parts(content)}
    assert files(server.root) == others | used
    for pusher in pushers:
        pusher.verify()
        pusher.clean()


def parts(content: Content) -> list[dict[str, str]]:
    """The descriptors of an image's blobs."""
    fields = content.json()
    return [fields["config"], *fields["layers"]]
