"""Uploads into an object store. Objects cannot grow, so each request writes one of its own: a segment; nothing excludes other requests, whose
segments stay apart until the caller records one of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from uuid import uuid4

from holdfast.model.digests import Digest
from holdfast.storage import paths
from holdfast.storage.background import Background
from holdfast.storage.hashing import ContentHash, content_hash, resumed
from holdfast.storage.object_bucket import Bucket
from holdfast.storage.object_parts import Part, decoded, encoded
from holdfast.storage.object_reader import ObjectBlobReader
from holdfast.storage.object_sink import Sink
from holdfast.storage.port import Progress, StorageError, UploadLost

BATCH = 512 * 1024
"""Bytes that are handed to a thread at once."""

MOST_PIECES = 512
"""The most pieces in a batch."""

COPIED_AT_ONCE = 8 * 1024 * 1024
"""A single segment up to this size becomes the blob by a copy in the store, which takes no longer than writing down where it lies."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Which content an upload should have, and what is awaited before it becomes visible."""

    digest: Digest
    ready: Callable[[int], Awaitable[None]]


class ObjectUpload:
    """A request's hold on an upload.

    Memory: what `Bucket.write_stream` says, and four batches of 512 KiB.
    """

    def __init__(self, bucket: Bucket, pool: Executor, background: Background) -> None:
        self._bucket = bucket
        self._pool = pool
        self._background = background
        self._hash: ContentHash = content_hash()
        self._size = 0
        self._parts: list[Part] = []
        self._kept: set[str] = set()
        """Segments that the caller may have recorded."""
        self._spent: list[str] = []
        """Segments that are of no use any more."""
        self._aim: Aim | None = None
        self._placed: Digest | None = None
        """The blob that the bytes were put in place as; then they lie in no segment."""
        self._hashing: asyncio.Future[bytes] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._sinks: list[Sink] = []

    @property
    def size(self) -> int:
        return self._size

    async def rewind(self, progress: Progress | None) -> None:
        self._aim = self._placed = None
        self._hash = content_hash()
        self._size = progress.offset if progress else 0
        self._parts = decoded(progress.parts) if progress else []
        if sum(part.size for part in self._parts) != self._size:
            raise UploadLost
        if progress and (known := resumed(progress.state, progress.digest)):
            self._hash = known
        elif progress:
            await self._hash_again(self._hash)
            if self._hash.digest() != progress.digest:
                raise UploadLost

    async def _hash_again(self, content: ContentHash) -> None:
        loop = asyncio.get_running_loop()
        async for piece in self._read_back():
            await loop.run_in_executor(self._pool, content.update, piece)

    async def _read_back(self) -> AsyncIterator[bytes]:
        parts = [Part(paths.blob(self._placed), self._size)] if self._placed else self._parts
        reader = ObjectBlobReader(self._bucket, parts)
        try:
            for offset in range(0, self._size, BATCH):
                yield await reader.read(offset, min(BATCH, self._size - offset))
        except StorageError as error:
            # Bytes that are there but cannot be had at the moment are not lost.
            if type(error) is StorageError:
                raise UploadLost from None
            raise
        finally:
            reader.close()

    def aim(self, digest: Digest, ready: Callable[[int], Awaitable[None]]) -> None:
        if not self._size:
            self._aim = Aim(digest, ready)

    async def append(self, pieces: AsyncIterator[bytes]) -> int:
        before = self._size
        aim, self._aim = self._aim, None
        sink = Sink(self._bucket, paths.blob(aim.digest) if aim else paths.segment(str(uuid4())))
        self._sinks.append(sink)
        try:
            await self._receive(pieces, sink)
            if self._placed and sink.size:
                raise StorageError("an upload that was put in place takes no more bytes")
            if aim:
                await self._put_in_place(sink, aim)
            elif sink.size:
                await sink.end()
                self._parts.append(Part(sink.path, sink.size))
        except BaseException:
            sink.abandon()
            raise
        return self._size - before

    async def _receive(self, pieces: AsyncIterator[bytes], sink: Sink) -> None:
        batch: list[bytes] = []
        gathered = 0
        self._hashing = None
        async for piece in pieces:
            batch.append(piece)
            gathered += len(piece)
            if gathered >= BATCH or len(batch) == MOST_PIECES:
                await self._pass_on(batch, sink)
                batch, gathered = [], 0
        await self._pass_on(batch, sink)
        await self._pass_on([], sink)

    async def _pass_on(self, batch: list[bytes], sink: Sink) -> None:
        """Send what was hashed before, and have `batch` hashed meanwhile."""
        if self._hashing:
            hashed = await asyncio.shield(self._hashing)
            self._hashing = None
            self._size += len(hashed)
            await sink.add(hashed)
        if batch:
            self._hashing = asyncio.get_running_loop().run_in_executor(self._pool, _hashed, self._hash, batch)

    async def _put_in_place(self, sink: Sink, aim: Aim) -> None:
        if self._hash.digest() != aim.digest:
            sink.abandon()  # the caller sees by `sync` what came instead
            await sink.ended()
            return
        await aim.ready(self._size)
        await sink.end()
        self._placed = aim.digest

    async def sync(self) -> Progress:
        """Every object that was completed is durable already."""
        self._kept.update(part.path for part in self._parts)
        return Progress(self._size, self._hash.digest(), self._hash.state, encoded(self._parts))

    async def digest(self, algorithm: str) -> Digest:
        if algorithm == self._hash.algorithm:
            return self._hash.digest()
        whole = content_hash(algorithm)
        await self._hash_again(whole)
        return whole.digest()

    async def commit(self, digest: Digest) -> str:
        if self._placed == digest:
            return ""
        if sum(part.size for part in self._parts) != self._size:
            raise UploadLost
        if not self._parts:
            await self._bucket.write(paths.blob(digest), b"")
            return ""
        if len(self._parts) == 1 and self._size <= COPIED_AT_ONCE and self._bucket.options.copies:
            return await self._copy(self._parts[0], digest)
        await asyncio.gather(*(self._look(part) for part in self._parts))
        parts = encoded(self._parts)
        await self._bucket.write(paths.parted(digest), parts.encode())
        return parts

    async def _look(self, part: Part) -> None:
        if await self._bucket.head(part.path) != part.size:
            raise UploadLost

    async def _copy(self, part: Part, digest: Digest) -> str:
        """The copy fails by itself where the segment is gone; one that is there is whole, since it appeared when it was."""
        if not await self._bucket.copy(part.path, paths.blob(digest)):
            raise UploadLost
        self._spent.append(part.path)
        return ""

    async def close(self) -> None:
        """Remove what this request wrote and did not keep. The segment of a blob that was copied goes in the background."""
        if self._closing is None:
            self._closing = self._background.start(self._close())
            if any(sink.under_way for sink in self._sinks):
                await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for sink in self._sinks:
            await sink.ended()
        mine = [sink.path for sink in self._sinks if sink.begun and sink.path.startswith(paths.SEGMENTS)]
        await self._bucket.remove([*self._spent, *(path for path in mine if path not in self._kept)])


def _hashed(content: ContentHash, batch: list[bytes]) -> bytes:
    whole = batch[0] if len(batch) == 1 else b"".join(batch)
    content.update(whole)
    return whole
