"""What these tests share: the command, a way to let time pass, and what a registry's directory holds."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from durability.ledger import DATABASE, TREE, database, tree, whole_blobs
from harness.content import Content
from harness.http import Client, Response
from harness.repository import Repository
from harness.server import Server, wait_until
from holdfast.storage.locks import FileLocks

SETTINGS = {"server.workers": "2", "storage.delete.enabled": "true"}
COMMAND = (sys.executable, "-m", "holdfast", "garbage-collect")
HOUR = 3600
DAY = 24 * HOUR


def variables(root: Path | None, **settings: str) -> dict[str, str]:
    """The environment of a command for the registry in `root`, if any."""
    found = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    if root:
        found["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(root)
    return {**found, **{f"REGISTRY_{key.upper()}": value for key, value in settings.items()}}


def run(line: Sequence[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)


def command(root: Path | None, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `holdfast garbage-collect`."""
    return run([*COMMAND, *arguments], variables(root, **settings))


@contextmanager
def started(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Let the command run during the block, which sees to its end."""
    with subprocess.Popen(
        [*COMMAND, *arguments], env=variables(root), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def collect(root: Path, *arguments: str) -> str:
    """Collect; gives what was printed."""
    done = command(root, *arguments)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def collected(root: Path, *arguments: str) -> dict[str, Any]:
    """Collect; gives the object that was printed."""
    found: dict[str, Any] = json.loads(collect(root, "--json", *arguments))
    return found


def refused(root: Path | None, *arguments: str, status: int = 1, **settings: str) -> str:
    """What a collection says that does not come about."""
    done = command(root, *arguments, **settings)
    assert (done.returncode, done.stdout) == (status, ""), f"{done.stdout}\n{done.stderr}"
    return done.stderr


def execute(root: Path, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
    """Run a statement on a registry's database, whether or not a server has it."""
    connection = apsw.Connection(str(root / DATABASE))
    try:
        connection.set_busy_timeout(10_000)
        return list(connection.execute(sql, values))
    finally:
        connection.close()


def age(root: Path, seconds: int = DAY) -> None:
    """Let everything that is there have come so much earlier."""
    execute(root, "UPDATE blobs SET created_at = created_at - ?1, touched_at = touched_at - ?1", seconds * 1000)
    execute(root, "UPDATE manifests SET pushed_at = pushed_at - ?", seconds * 1000)


def file_of(root: Path, content: Content) -> Path:
    """Where a blob's bytes are."""
    encoded = content.digest.removeprefix("sha256:")
    return root / TREE / "blobs" / "sha256" / encoded[:2] / encoded / "data"


def files(root: Path) -> set[str]:
    """The sha256 digests of all files among the blobs."""
    return {f"sha256:{path.parent.name}" for path in (root / TREE / "blobs").rglob("data")}


def check(root: Path) -> None:
    """Raise `AssertionError` unless files, database and tree say the same."""
    wait_until(lambda: execute(root, "SELECT count(*) FROM dirty") == [(0,)], "the links to be written")
    assert execute(root, "SELECT digest FROM blobs WHERE state <> 'live'") == []
    assert files(root) == {digest for (digest,) in execute(root, "SELECT digest FROM blobs")}
    assert tree(root) == database(root)
    whole_blobs(root)


def repository(server: Server, name: str) -> Repository:
    """A repository of a server."""
    return Repository(Client(server), name)


def pullable(where: Repository, manifest: Content) -> bool:
    """Whether a manifest is there, with all of its config and layers. Raises `AssertionError` if it is there in part."""
    answer = where.get(f"manifests/{manifest.digest}").expect(200, 404)
    if answer.status == 404:
        return False
    assert answer.body == manifest.body
    fields = manifest.json()
    for blob in [*fields.get("layers", []), *filter(None, [fields.get("config")])]:
        whole(where.get(f"blobs/{blob['digest']}"), blob["size"])
    return True


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Hold one of the locks among the processes of a registry."""
    with asyncio.Runner() as runner:
        locks = FileLocks(root / "holdfast" / "tree.lock")
        held = locks.hold(name)
        runner.run(held.__aenter__())
        try:
            yield
        finally:
            locks.close()


def whole(answer: Response, size: int) -> None:
    """Raise `AssertionError` unless it is a blob of that size."""
    assert len(answer.expect(200).body) == size
