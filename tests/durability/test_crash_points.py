"""A server that is killed at each step of a push: strace kills the worker at a chosen system call, before the kernel carries it out."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from durability.actions import ACTIONS, LOG, NAME, SETTINGS, Action
from durability.ledger import TREE, Ledger, verify
from durability.strace import TracedServer
from harness.http import Client
from harness.repository import Repository
from harness.server import Server, wait_until


@dataclass(frozen=True)
class Point:
    """Where the server is killed: at a system call on a path (below the root), the nth one in its thread.

    `sure`: the action cannot come to its end before that.
    """

    action: Action
    call: str
    path: str
    nth: int = 1
    sure: bool = True

    def __str__(self) -> str:
        path = re.sub(r"/[0-9a-f]{64}", "", self.path.removeprefix(f"{TREE}/").replace(f"repositories/{NAME}/", ""))
        return f"{self.action.name}-{self.call}-{path}-{self.nth}"


def points(action: Action) -> Iterator[Point]:
    """Before each name is given or taken, after that (before it is made durable), and at each transaction.

    The first transaction of a run flushes twice: the log's head comes first.
    """
    for directory in action.directories:
        yield Point(action, "mkdir", directory)
        yield Point(action, "fsync", directory)
    for directory in action.removed:
        yield Point(action, "rename", directory)
        yield Point(action, "fsync", str(Path(directory).parent))
    for number in range(1, action.transactions + 3):
        yield Point(action, "fdatasync", LOG, number, sure=number <= action.transactions + 1)


def log_points(action: Action) -> Iterator[Point]:
    """In the middle of transactions: some of their pages are in the log, others are not."""
    for number in range(2, 16 * action.transactions, 5):
        yield Point(action, "pwrite64", LOG, number, sure=False)


def essential(point: Point) -> bool:
    """Whether it is among those that are always tried."""
    if point.path == LOG:
        return point.sure and point.nth > 2 and point.action.name in {"blob", "manifest"}
    return point.call in {"mkdir", "rename"}


ALL = [point for action in ACTIONS for point in points(action)]
ESSENTIAL = [point for point in ALL if essential(point)]
OTHERS = [point for point in ALL if not essential(point)]
IN_TRANSACTIONS = [point for action in ACTIONS for point in log_points(action)]


def crash(point: Point, directory: Path, ledger: Ledger) -> bool:
    """Do what the point says until the server is killed there; tells whether it was, or the action came to its end before."""
    fault = f"inject={point.call}:signal=SIGKILL:when={point.nth}"
    options = ("-s", "32", "-P", str(directory / "root" / point.path), "-e", fault)
    server = TracedServer(directory, SETTINGS, options)

    def killed() -> bool:
        return any("+++ killed by SIGKILL +++" in line for line in server.lines())

    try:
        server.spawn()
        wait_until(lambda: killed() or not server.running or listens(server), "the server's start, or its end", 30)
        if not killed():
            with suppress(OSError):
                point.action.act(ledger, Repository(Client(server), NAME))
                return killed()
        wait_until(killed, "the end of the worker in the trace")
        return True
    finally:
        server.kill()


def listens(server: Server) -> bool:
    """Whether it answers."""
    try:
        return Client(server, timeout=1).get("/healthz").status == 200
    except OSError:
        return False


def survive(point: Point, directory: Path, before: tuple[Path, Ledger]) -> None:
    """Crash, start again, look at everything; then do the action to its end."""
    root, told = before
    shutil.copytree(root, directory / "root")
    ledger = told.copy()
    assert crash(point, directory, ledger) or not point.sure, (
        "the server was not killed: no such point is passed any more"
    )
    with Server(directory, SETTINGS) as server:
        verify(ledger, server)
        repository = Repository(Client(server), NAME)
        if point.action.name != "untag" or "tag" in repository.tags():
            point.action.act(ledger, repository)
        verify(ledger, server)


@pytest.mark.parametrize("point", ESSENTIAL, ids=str)
def test_crash_at_each_name_and_transaction(point: Point, tmp_path: Path, before: tuple[Path, Ledger]) -> None:
    survive(point, tmp_path, before)


@pytest.mark.parametrize("points", [OTHERS, IN_TRANSACTIONS], ids=["others", "in-transactions"])
def test_crash_elsewhere(points: list[Point], tmp_path: Path, before: tuple[Path, Ledger], long: bool) -> None:
    """All of them take long, so a few stand for the rest."""
    for number, point in enumerate(points if long else points[:: len(points) // 3]):
        sys.stderr.write(f"{point}\n")
        (tmp_path / str(number)).mkdir()
        survive(point, tmp_path / str(number), before)
