"""The object blob store: registry:2's keys in a bucket of S3, Google Cloud Storage or Azure. `paths` draws them.

A bucket has no rename, and copying a large object is slow. So bytes whose digest is known when they start to come are written where they
belong, and completed only if they verify. Others are written to segments, one for each request, and a commit only notes which they are (in
the database, and in a small object, so that the bucket alone tells it as well); `join` moves them in the background.

Durability is the store's own: what it has accepted is durable. Visibility: stores that are read after a write as they were written (S3, GCS,
Azure, Ceph, MinIO, Swift with one proxy) show every object to every node at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from obstore.store import ObjectStore

from holdfast.model.digests import Digest
from holdfast.storage import paths
from holdfast.storage.background import Background
from holdfast.storage.object_bucket import Bucket, ObjectOptions
from holdfast.storage.object_parts import Part, decoded
from holdfast.storage.object_reader import ObjectBlobReader
from holdfast.storage.object_upload import ObjectUpload
from holdfast.storage.port import BlobReader, StorageUnavailable, Upload, UploadKey

LARGEST_SMALL_FILE = 1024 * 1024
LARGEST_COPY = 5 * 1024 * 1024 * 1024
"""No store copies a longer object with one request."""

HASHERS = 4
ASKED_TOGETHER = 100
"""Segments that the caller is asked about at once."""

URLS_KEPT = 10_000
URL_KEPT_FOR = 300.0
"""Seconds for which an address that was made is given again; making one takes two tenths of a millisecond."""


class Unfinished(Protocol):
    """Multipart uploads of a bucket that were begun and not completed, which listings do not show."""

    async def remove(self, prefix: str, before: int) -> int:
        """Abort those below `prefix` that were begun before `before` (milliseconds since 1970); gives their number. Raises `StorageError`."""


class ObjectBlobStore:
    """Blobs, uploads and links below `<prefix>` in a bucket.

    `store`: obstore's. `unfinished`: how to find multipart uploads that were never completed, where that can be done.
    """

    def __init__(self, store: ObjectStore, options: ObjectOptions, unfinished: Unfinished | None = None) -> None:
        self._bucket = Bucket(store, options)
        self._unfinished = unfinished
        self._hashers = ThreadPoolExecutor(HASHERS, "store-hash")
        self._background = Background()
        self._urls: dict[str, tuple[float, str]] = {}

    async def stat(self, digest: Digest, parts: str = "") -> int | None:
        pieces = decoded(parts)
        sizes = await asyncio.gather(*(self._bucket.head(part.path) for part in pieces))
        if pieces and sizes == [part.size for part in pieces]:
            return sum(part.size for part in pieces)
        return await self._bucket.head(paths.blob(digest))

    async def open(self, digest: Digest, parts: str = "") -> BlobReader | None:
        whole = paths.blob(digest)
        pieces = decoded(parts)
        stream = await self._bucket.stream(pieces[0].path) if pieces else None
        if stream is None or stream.size != pieces[0].size:
            stream = await self._bucket.stream(whole)
            if stream is None:
                return None
            pieces = [Part(whole, stream.size)]
        return ObjectBlobReader(self._bucket, pieces, whole, stream)

    async def url(self, digest: Digest, parts: str = "") -> str | None:
        pieces = decoded(parts)
        if len(pieces) > 1:
            return None
        path = paths.blob(digest)
        if pieces and await self._bucket.head(pieces[0].path) == pieces[0].size:  # clients cannot look elsewhere
            path = pieces[0].path
        made, address = self._urls.get(path, (0.0, None))
        now = time.monotonic()
        if address is None or now - made > URL_KEPT_FOR:
            address = await self._bucket.sign(path)
            if address is None:
                return None
            if len(self._urls) >= URLS_KEPT:
                self._urls.clear()
            self._urls[path] = (now, address)
        return address

    async def put(self, digest: Digest, content: bytes) -> None:
        await self._bucket.write(paths.blob(digest), content)

    async def delete(self, digest: Digest, parts: str = "") -> None:
        await self._bucket.remove(
            [paths.blob(digest), paths.parted(digest), *(part.path for part in decoded(parts))],
        )

    async def join(self, digest: Digest, parts: str) -> bool:
        pieces = decoded(parts)
        size = sum(part.size for part in pieces)
        sizes = await asyncio.gather(*(self._bucket.head(part.path) for part in pieces))
        if not pieces or sizes != [part.size for part in pieces]:
            return await self._bucket.head(paths.blob(digest)) == size
        if (
            len(pieces) == 1
            and size <= LARGEST_COPY
            and self._bucket.options.copies
            and await self._copied(pieces[0], digest)
        ):
            return True
        return await self._rewrite(digest, pieces)

    async def _copied(self, part: Part, digest: Digest) -> bool:
        """Copy a part, which had the blob's digest when it was written, to the blob's own place."""
        try:
            copied = await self._bucket.copy(part.path, paths.blob(digest))
        except (
            StorageUnavailable
        ):  # perhaps for the time that it takes; bytes that go through here cannot take too long
            return False
        return copied and await self._bucket.head(paths.blob(digest)) == part.size

    async def _rewrite(self, digest: Digest, pieces: Sequence[Part]) -> bool:
        """Fetch the parts and write them to the blob's own place, if they are the blob."""
        upload = ObjectUpload(self._bucket, self._hashers, self._background)
        reader = ObjectBlobReader(self._bucket, pieces)

        async def content() -> AsyncIterator[bytes]:
            for offset in range(0, reader.size, LARGEST_SMALL_FILE):
                yield await reader.read(offset, min(LARGEST_SMALL_FILE, reader.size - offset))

        async def ready(_size: int) -> None:
            pass

        try:
            upload.aim(digest, ready)
            await upload.append(content())
            return await upload.digest("sha256") == digest
        finally:
            reader.close()
            await upload.close()

    async def drop(self, digest: Digest, parts: str) -> None:
        gone = [part.path for part in decoded(parts)]
        if await self.read_file(paths.parted(digest)) == parts.encode():
            gone.append(paths.parted(digest))
        await self._bucket.remove(gone)

    async def hold(self, key: UploadKey, wait: float) -> Upload:
        return ObjectUpload(self._bucket, self._hashers, self._background)

    async def discard(self, key: UploadKey, parts: str = "") -> None:
        await self._bucket.remove([part.path for part in decoded(parts)])

    async def sweep(self, before: int, known: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
        """As the port says. A request that takes longer than since `before` may lose its bytes: some stores date an object back to when its
        first byte came.
        """
        removed = 0
        async for found in self._bucket.list(paths.SEGMENTS):
            old = [each.path for each in found if each.modified < before]
            for start in range(0, len(old), ASKED_TOGETHER):
                asked = old[start : start + ASKED_TOGETHER]
                kept = await known([_name(path) for path in asked])
                gone = [path for path in asked if _name(path) not in kept]
                await self._bucket.remove(gone)
                removed += len(gone)
        if self._unfinished:
            removed += await self._unfinished.remove(self._bucket.options.prefix, before)
        return removed

    async def read_file(self, path: str) -> bytes | None:
        stream = await self._bucket.stream(path)
        if stream is None:
            return None
        content = b""
        while len(content) < LARGEST_SMALL_FILE and (piece := await stream.next()):
            content += piece
        return content[:LARGEST_SMALL_FILE]

    async def write_files(self, files: list[tuple[str, bytes]]) -> None:
        for path, content in files:
            await self._bucket.write(path, content)

    async def remove(self, paths: list[str]) -> None:
        for path in paths:
            below = [found.path async for some in self._bucket.list(path) for found in some]
            await self._bucket.remove([path, *below])

    def check_room(self, size: int = 0) -> None:
        """A bucket has room, or says at a write that it has none."""

    async def close(self) -> None:
        await self._background.wait()
        self._hashers.shutdown(wait=True)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
