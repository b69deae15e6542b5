"""A disk that fails once: strace lets a chosen system call fail. The client is told, or the push holds; the next try comes through."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from durability.actions import ACTIONS, LOG, NAME, SETTINGS, Action
from durability.ledger import Ledger, verify
from durability.strace import TracedServer
from harness.http import Client
from harness.repository import Repository
from harness.server import Server

TRIES = 20
"""A fault comes once in each thread, and the store has not many more threads than this."""


@dataclass(frozen=True)
class Fault:
    """A call on a path (below the root) that fails, the nth one in its thread."""

    action: Action
    call: str
    path: str
    error: str
    nth: int = 1

    def __str__(self) -> str:
        return f"{self.action.name}-{self.call}-{self.error}-{Path(self.path).name[:12]}-{self.nth}"


def faults() -> Iterator[Fault]:
    """Of each kind of name one that cannot be made, and one that cannot be made durable; a log that takes no more."""
    for action in ACTIONS:
        if action.name in {"blob", "manifest", "untag"}:
            for directory in action.directories:
                yield Fault(action, "mkdir", directory, "ENOSPC")
                yield Fault(action, "fsync", directory, "EIO")
            for directory in action.removed:
                yield Fault(action, "rename", directory, "EIO")
            yield from (Fault(action, "fdatasync", LOG, "EIO", nth) for nth in range(3, action.transactions + 2))
    for action in ACTIONS[:1]:
        yield from (Fault(action, "pwrite64", LOG, "ENOSPC", nth) for nth in range(10, 40, 7))


def told(fault: Fault, ledger: Ledger, repository: Repository) -> bool:
    """Try once; tells whether it succeeded, and makes sure that the client was told otherwise."""
    try:
        fault.action.act(ledger, repository)
    except AssertionError as error:
        if re.search(r"\n=> (500|503|507)\n", str(error)):
            return False
        raise
    return True


@pytest.mark.parametrize("fault", list(faults()), ids=str)
def test_a_disk_error_is_told_or_made_good(fault: Fault, tmp_path: Path, before: tuple[Path, Ledger]) -> None:
    shutil.copytree(before[0], tmp_path / "root")
    ledger = before[1].copy()
    inject = f"inject={fault.call}:error={fault.error}:when={fault.nth}"
    with TracedServer(
        tmp_path, SETTINGS, ("-s", "32", "-P", str(tmp_path / "root" / fault.path), "-e", inject)
    ) as server:
        repository = Repository(Client(server), NAME)
        answers = [told(fault, ledger, repository)]
        while not (answers[-1] and any("(INJECTED)" in line for line in server.lines())):
            assert len(answers) < TRIES, f"it never failed, or never came through: {answers}"
            answers.append(told(fault, ledger, repository))
    (tmp_path / "server.log").unlink()
    with Server(tmp_path, SETTINGS) as server:
        verify(ledger, server)
