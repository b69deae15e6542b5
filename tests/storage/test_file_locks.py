"""Locks on a file, among processes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.storage.contract_locks import LocksContract
from holdfast.storage.locks import FileLocks, Locks
from holdfast.storage.port import StorageError

COUNT = """
import asyncio, sys
from pathlib import Path
from holdfast.storage.locks import FileLocks

async def work():
    locks, counter = FileLocks(Path(sys.argv[1]) / "locks"), Path(sys.argv[1]) / "counter"
    async def add():
        async with locks.hold("counter"):
            before = int(counter.read_text())
            await asyncio.sleep(0)
            counter.write_text(str(before + 1))
    await asyncio.gather(*(add() for _ in range(50)))
    locks.close()

asyncio.run(work())
"""

HOLD = """
import asyncio, sys
from pathlib import Path
from holdfast.storage.locks import FileLocks

async def work():
    async with FileLocks(Path(sys.argv[1]) / "locks").hold("a"):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(work())
"""


class TestFileLocks(LocksContract):
    """What holds among tasks holds on files."""

    def locks(self) -> Locks:
        return FileLocks(self.directory / "locks")


def start(program: str, directory: Path) -> "subprocess.Popen[str]":
    """Run a program that uses the locks in `directory`."""
    return subprocess.Popen([sys.executable, "-c", program, str(directory)], stdout=subprocess.PIPE, text=True)


def test_processes_exclude_each_other(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    processes = [start(COUNT, tmp_path) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (tmp_path / "counter").read_text() == "200"


def test_a_process_that_is_killed_lets_go(tmp_path: Path) -> None:
    with start(HOLD, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"

        async def work() -> None:
            locks = FileLocks(tmp_path / "locks")
            async with asyncio.timeout(20):
                async with locks.hold("b"):
                    pass
                waiting = asyncio.create_task(hold(locks))
                done, _ = await asyncio.wait([waiting], timeout=0.1)
                assert not done
                os.kill(process.pid, signal.SIGKILL)
                await waiting
            locks.close()

        async def hold(locks: FileLocks) -> None:
            async with locks.hold("a"):
                pass

        asyncio.run(work())


def test_no_native_error_crosses_the_port(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        FileLocks(tmp_path / "file" / "locks")
