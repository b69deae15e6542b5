"""Looks after a server while a test treats it badly."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.server import Server, wait_until
from serving.processes import MIB, answers, descriptors, peak, workers


def upload_directories(server: Server) -> set[Path]:
    """The uploads that have bytes on the disk."""
    found: set[Path] = set()
    for directory, below, _ in os.walk(server.root / "docker/registry/v2/repositories"):
        if directory.endswith("/_uploads"):
            found.update(Path(directory, name) for name in below)
            below.clear()
    return found


class Watch:
    """In a `with` statement: afterwards the same workers answer, their open files are as many as before, and no worker has
    needed more than `memory` further bytes at any time.
    """

    def __init__(self, server: Server, memory: int = 64 * MIB) -> None:
        self.server = server
        self.memory = memory

    def __enter__(self) -> Self:
        assert answers(self.server)
        self._settle()
        self.workers = workers(self.server)
        for pid in self.workers:
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # peaks start anew
        self.before = {pid: peak(pid) for pid in self.workers}
        self.files = descriptors(self.server)
        self.uploads = upload_directories(self.server)
        return self

    def _settle(self) -> None:
        """Wait until the open files of earlier requests are closed."""
        count = -1
        while count != (count := sum(descriptors(self.server).values())):
            time.sleep(0.01)

    def growth(self) -> int:
        """The most further memory that one worker has needed so far."""
        return max(peak(pid) - before for pid, before in self.before.items())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            return
        assert workers(self.server) == self.workers, self.server.log_tail()
        assert answers(self.server)
        wait_until(self._closed, "the workers to close their files", 15)
        assert self.growth() <= self.memory, f"{self.growth() / MIB:.0f} MiB more"
        log = self.server.log_text()
        assert "Traceback" not in log, log[-5000:]

    def _closed(self) -> bool:
        return all(count <= self.files[pid] for pid, count in descriptors(self.server).items())

    def new_uploads(self) -> set[Path]:
        """Upload directories that were not there before."""
        return upload_directories(self.server) - self.uploads


def open_files(pid: int) -> list[str]:
    """What a process has open, for messages."""
    names = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            names.append(os.readlink(f"/proc/{pid}/fd/{number}"))
        except FileNotFoundError:
            continue
    return sorted(names)
