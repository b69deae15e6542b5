"""Bytes on their way into one object of a store."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from holdfast.storage.object_bucket import MOST_PARTS, Bucket
from holdfast.storage.port import StorageError

AHEAD = 1024 * 1024
"""Bytes that wait for the store while it is busy with those before."""


class _AbandonedError(Exception):
    """Makes obstore abort what it has begun."""


class Sink:
    """One object that is being written: with one request if it has no more than `chunk_size` bytes, else in chunks.

    It appears when `end` returns, or never. A write that has begun is never cancelled, because that would leave chunks in the bucket that
    nothing lists: `abandon` makes the stream fail, so that they are removed.
    """

    def __init__(self, bucket: Bucket, path: str) -> None:
        self.path = path
        self.size = 0
        self._bucket = bucket
        self._waiting: deque[bytes] = deque()
        self._waiting_size = 0
        self._changed = asyncio.Event()
        self._complete = False
        self._abandoned = False
        self._writing: asyncio.Task[None] | None = None

    @property
    def begun(self) -> bool:
        """Whether the store was asked for anything."""
        return self._writing is not None

    @property
    def under_way(self) -> bool:
        """Whether the store is being asked for something."""
        return self._writing is not None and not self._writing.done()

    async def add(self, piece: bytes) -> None:
        """Take in more; waits while the store is busy. Raises `StorageError` if the store did not take what was before."""
        self.size += len(piece)
        self._waiting.append(piece)
        self._waiting_size += len(piece)
        self._changed.set()
        if self.size > self._bucket.options.chunk_size * MOST_PARTS:
            raise StorageError(
                "more bytes in one request than the store takes in one object: the setting chunksize must be larger"
            )
        if self._writing is None:
            if self.size > self._bucket.options.chunk_size:
                self._writing = self._started(self._stream())
            return
        while self._waiting_size > AHEAD and not self._writing.done():
            self._changed.clear()
            await self._changed.wait()
        if self._writing.done():
            self._writing.result()

    async def end(self) -> None:
        """Complete the object. Raises `StorageError`: then it does not appear."""
        self._complete = True
        self._changed.set()
        if self._writing is None:
            self._writing = self._started(self._bucket.write(self.path, b"".join(self._waiting)))
            self._waiting.clear()
        await asyncio.shield(self._writing)

    def abandon(self) -> None:
        """Give it up; `ended` waits until nothing of it is left."""
        self._abandoned = True
        self._waiting.clear()
        self._changed.set()

    async def ended(self) -> None:
        """Wait until the store is asked for nothing any more."""
        if self._writing:
            await asyncio.wait([self._writing])

    def _started(self, writing: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(writing)
        task.add_done_callback(self._done)
        return task

    def _done(self, writing: "asyncio.Task[None]") -> None:
        self._changed.set()
        if not writing.cancelled():
            writing.exception()  # nobody waits for it after `abandon`

    async def _stream(self) -> None:
        try:
            await self._bucket.write_stream(self.path, self._pieces())
        except FileNotFoundError:
            if not self._complete or await self._bucket.head(self.path) != self.size:
                raise StorageError("somebody aborted the upload into the store") from None

    async def _pieces(self) -> AsyncIterator[bytes]:
        while not self._abandoned:
            if self._waiting:
                piece = self._waiting.popleft()
                self._waiting_size -= len(piece)
                self._changed.set()
                yield piece
            elif self._complete:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
        raise _AbandonedError
