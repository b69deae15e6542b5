"""Reading a blob from an object store: a stream that is read ahead, and taken up again where it broke."""

import asyncio
from bisect import bisect_right
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Any

from holdfast.storage.object_bucket import Bucket, Stream
from holdfast.storage.object_parts import Part
from holdfast.storage.port import StorageError, StorageUnavailable

RESUMED = 5
"""How often a stream that broke is taken up again without having given a byte; each time obstore tries for a while."""


class ObjectBlobReader:
    """A blob in one or several objects. Reads that follow on each other share one request; one piece is fetched ahead.

    Memory: the piece that is being read and the one ahead, 1 MiB each. A read elsewhere fetches just what it asks for.
    """

    def __init__(self, bucket: Bucket, parts: Sequence[Part], whole: str = "", stream: Stream | None = None) -> None:
        """`parts`: where the bytes lie. `whole`: the blob's own object, for when the parts are gone (none if empty). `stream`: the first
        part's, unread.
        """
        self._bucket = bucket
        self._whole = whole
        self._lay(parts)
        self._at = 0
        self._piece = memoryview(b"")
        self._stream = stream
        self._until = parts[0].size if stream else 0
        self._ahead: asyncio.Task[bytes] | None = None

    def _lay(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self._ends = list(accumulate(part.size for part in parts))

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    async def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise StorageError("the blob is shorter than recorded")
        end = self.size
        if offset != self._at:
            self.close()
            self._at, end = offset, offset + length
        pieces: list[memoryview] = []
        while length:
            if not self._piece:
                self._piece = memoryview(await self._next(end))
            pieces.append(self._piece[:length])
            self._piece = self._piece[length:]
            self._at += len(pieces[-1])
            length -= len(pieces[-1])
        return bytes(pieces[0]) if len(pieces) == 1 else b"".join(pieces)

    async def _next(self, end: int) -> bytes:
        """The piece at the current offset; a request that has to be made for it asks for bytes up to `end`."""
        tries_left = RESUMED
        while True:
            try:
                return await self._fetch(end)
            except BaseException as error:
                self.close()
                tries_left -= 1
                if not tries_left or not isinstance(error, StorageUnavailable):
                    raise

    async def _fetch(self, end: int) -> bytes:
        if self._stream is None or self._at >= self._until:
            self.close()
            self._stream = await self._open(end)
        piece = await (self._ahead or self._start(self._stream.next()))
        self._ahead = None
        if not piece:
            raise StorageUnavailable("the store ended a blob too early")
        if self._at + len(piece) < self._until:
            self._ahead = self._start(self._stream.next())
        return piece

    @staticmethod
    def _start(fetching: Coroutine[Any, Any, bytes]) -> asyncio.Task[bytes]:
        task = asyncio.create_task(fetching)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return task

    async def _open(self, end: int) -> Stream:
        number = bisect_right(self._ends, self._at)
        part = self._parts[number]
        before = self._ends[number] - part.size
        until = min(end, self._ends[number])
        whole = until == self._ends[number]
        stream = await self._bucket.stream(part.path, self._at - before, None if whole else until - before)
        if stream is None and self._whole not in {"", part.path}:
            self._lay([Part(self._whole, self.size)])
            return await self._open(end)
        if stream is None:
            raise StorageError("the blob is not there any more")
        if stream.size != part.size:
            raise StorageError("the blob's object is shorter or longer than recorded")
        self._until = until
        return stream

    def close(self) -> None:
        """Let go of the request; the next read makes another one."""
        if self._ahead:
            with suppress(RuntimeError):  # the event loop is gone already
                self._ahead.cancel()
        self._ahead = None
        self._stream = None
        self._piece = memoryview(b"")
