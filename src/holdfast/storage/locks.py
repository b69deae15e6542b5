"""Locks among the processes of one server, for work on the tree."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

from holdfast.storage.files import translated

RETRY = 0.003


class Locks(Protocol):
    """Mutual exclusion by name."""

    def hold(self, name: str) -> AbstractAsyncContextManager[None]:
        """Wait until nobody else holds `name`, and hold it. Other names can be held besides. Raises `StorageError`."""

    def close(self) -> None:
        """Let go of everything; can be called twice."""


class MemoryLocks:
    """For a single process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        async with self._locks.setdefault(name, asyncio.Lock()):
            yield

    def close(self) -> None:
        self._locks.clear()


class FileLocks:
    """For the processes that share a directory: each name is a byte of one (empty) file, locked with the process's own record locks.

    A process opens that file only once: closing it lets go of all.
    """

    def __init__(self, file: Path) -> None:
        with translated():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._inner = MemoryLocks()

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        place = _place(name)
        async with self._inner.hold(name):
            await self._wait(place)
            try:
                yield
            finally:
                if self._file >= 0:
                    fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    async def _wait(self, place: int) -> None:
        while True:  # the kernel tells nobody that a lock came free, except who blocks a thread for it
            if self._try(place):
                return
            await asyncio.sleep(RETRY)

    def _try(self, place: int) -> bool:
        with translated():
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except (BlockingIOError, PermissionError):
                return False
        return True

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _place(name: str) -> int:
    """The byte that stands for a name, alike in every process: of so many that no two names ever meet."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 2
