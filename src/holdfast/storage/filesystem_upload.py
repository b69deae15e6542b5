"""Uploads on a file system: one file each, held by a lock for the length of a request, in whatever process."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from holdfast.model.digests import Digest
from holdfast.storage.files import make_directories, translated
from holdfast.storage.hashing import ContentHash, content_hash, hash_pieces, resumed
from holdfast.storage.port import Progress, StorageError, UploadBusy, UploadLost

T = TypeVar("T")

BATCH = 512 * 1024
"""Bytes that are handed to a thread at once; at most two such batches are in memory for each upload."""

MOST_PIECES = 512
"""The most pieces in a batch: one system call takes no more than 1024."""

FLUSH = 32 * 1024 * 1024
"""Bytes after which the disk is set to work, so that little is left to do at the end."""

RETRY = 0.02
"""Seconds between two tries at a lock that another process holds."""


@dataclass(frozen=True, slots=True)
class Held:
    """An upload's open files: the one with its bytes, and `startedat`, whose lock says who may write.

    The lock is not on the bytes: they are renamed away while the upload is still being closed.
    """

    file: int
    lock: int

    def close(self) -> None:
        """Let go of both."""
        os.close(self.file)
        os.close(self.lock)


def _hold(directory: Path, root: Path, started: str) -> Held | None:
    try:
        lock = _open(directory, root, "startedat")
    except FileNotFoundError:  # somebody removes the directory at this moment
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_in_place(directory / "startedat", lock):
            if os.fstat(lock).st_size == 0:
                os.write(lock, started.encode())
            return Held(_open(directory, root, "data"), lock)
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _open(directory: Path, root: Path, name: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(directory / name, flags, 0o666)
    except FileNotFoundError:
        make_directories(directory, root)
        return os.open(directory / name, flags, 0o666)


def _is_in_place(path: Path, file: int) -> bool:
    """Tell whether an open file is still the one of that name: neither renamed away nor removed."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False


async def hold_files(directory: Path, root: Path, started: str, wait: float, pool: Executor) -> Held:
    """Open an upload's files and lock it, making it if needed. Raises `UploadBusy` after `wait` seconds.

    An upload that was committed or removed while this waited is not the same any more, and what it was is left alone.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait
    while True:
        trying = loop.run_in_executor(pool, _hold, directory, root, started)
        try:
            held = await asyncio.shield(trying)
        except asyncio.CancelledError:
            trying.add_done_callback(_let_go)
            raise
        if held is not None:
            return held
        if loop.time() >= deadline:
            raise UploadBusy
        await asyncio.sleep(RETRY)


def _let_go(trying: asyncio.Future[Held | None]) -> None:
    if not trying.cancelled() and not trying.exception() and (held := trying.result()) is not None:
        held.close()


class FilesystemUpload:
    """A request's hold on an upload's file.

    A thread that works on the file is never left behind: when a request is cancelled, `close` waits for the thread before it gives the
    descriptor back, whose number may be another file's a moment later.
    """

    def __init__(
        self,
        held: Held,
        directory: Path,
        commit: Callable[[Path, Digest], None],
        check_room: Callable[[int], None],
        pool: Executor,
    ) -> None:
        self._held = held
        self._file = held.file
        self._directory = directory
        self._commit = commit
        self._check_room = check_room
        self._pool = pool
        self._hash: ContentHash = content_hash()
        self._size = 0
        self._kept = 0
        self._flushed = 0
        self._running: set[asyncio.Future[Any]] = set()
        self._writing: asyncio.Future[None] | None = None
        self._ahead: asyncio.Future[None] | None = None
        self._closing: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        return self._size

    def _start(self, function: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *arguments))
        self._running.add(future)
        future.add_done_callback(self._ended)
        return future

    def _ended(self, future: asyncio.Future[Any]) -> None:
        self._running.discard(future)
        if not future.cancelled():
            future.exception()  # not everything is awaited after a failure: this says that the error has been seen

    async def _run(self, function: Callable[..., T], *arguments: object) -> T:
        with translated():
            return await asyncio.shield(self._start(function, *arguments))

    async def _idle(self) -> None:
        while self._running:
            await asyncio.wait(self._running)
        self._writing = self._ahead = None

    async def rewind(self, progress: Progress | None) -> None:
        await self._idle()
        offset = progress.offset if progress else 0
        with translated():
            present = os.fstat(self._file).st_size
        if present < offset:
            raise UploadLost
        if present > offset:
            await self._run(os.ftruncate, self._file, offset)
        self._size = self._kept = self._flushed = offset
        known = resumed(progress.state, progress.digest) if progress else content_hash()
        self._hash = known or content_hash()
        if progress and not known:
            await self._run(self._hash_again)
            if self._hash.digest() != progress.digest:
                raise UploadLost

    def _hash_again(self) -> None:
        for piece in self._pieces():
            self._hash.update(piece)

    def _pieces(self) -> Iterator[bytes]:
        for offset in range(0, self._size, BATCH):
            yield os.pread(self._file, min(BATCH, self._size - offset), offset)

    def aim(self, digest: Digest, ready: Callable[[int], Awaitable[None]]) -> None:
        """The bytes are renamed into place anyway."""

    async def append(self, pieces: AsyncIterator[bytes]) -> int:
        before = self._size
        batch: list[bytes] = []
        gathered = 0
        async for piece in pieces:
            batch.append(piece)
            gathered += len(piece)
            if gathered >= BATCH or len(batch) == MOST_PIECES:
                await self._write_behind(batch, gathered)
                batch, gathered = [], 0
        if batch:
            await self._write_behind(batch, gathered)
        await self._written()
        return self._size - before

    async def _write_behind(self, batch: list[bytes], gathered: int) -> None:
        await self._written()
        self._writing = self._start(self._write, batch, self._size)
        self._size += gathered
        if self._size - self._flushed >= FLUSH and (self._ahead is None or self._ahead.done()):
            await self._flushed_ahead()
            self._flushed = self._size
            self._ahead = self._start(os.fdatasync, self._file)

    async def _written(self) -> None:
        if self._writing:
            with translated():
                await asyncio.shield(self._writing)
            self._writing = None

    async def _flushed_ahead(self) -> None:
        """Wait for the flush that runs ahead. Its error must be raised: the kernel tells of a lost write only once."""
        if self._ahead:
            with translated():
                await asyncio.shield(self._ahead)
            self._ahead = None

    def _write(self, batch: list[bytes], offset: int) -> None:
        self._check_room(0)
        for piece in batch:
            self._hash.update(piece)
        wanted = sum(map(len, batch))
        done = os.pwritev(self._file, batch, offset)
        if done < wanted:
            rest = memoryview(b"".join(batch))[done:]
            while rest:
                done += (step := os.pwrite(self._file, rest, offset + done))
                rest = rest[step:]

    async def sync(self) -> Progress:
        await self._flushed_ahead()
        if self._size > self._kept:
            await self._run(os.fdatasync, self._file)
        self._kept = self._size
        return Progress(self._size, self._hash.digest(), self._hash.state)

    async def digest(self, algorithm: str) -> Digest:
        if algorithm == self._hash.algorithm:
            return self._hash.digest()
        return await self._run(hash_pieces, self._pieces(), algorithm)

    async def commit(self, digest: Digest) -> str:
        await self._run(self._commit_own, digest)
        return ""

    def _commit_own(self, digest: Digest) -> None:
        """After a discard another request may have made a file of the same name: that one is not what was checked."""
        if not _is_in_place(self._directory / "data", self._file):
            raise UploadLost
        try:
            self._commit(self._directory / "data", digest)
        except FileNotFoundError:
            raise UploadLost from None

    async def close(self) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await self._idle()
        try:
            if self._size != self._kept:
                with suppress(StorageError):  # the next request's `rewind` cuts it off
                    await self._run(os.ftruncate, self._file, self._kept)
        finally:
            self._held.close()
            self._file = -1
