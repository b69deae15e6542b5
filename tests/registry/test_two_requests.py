"""Two requests on one upload, which an object store does not keep apart: whatever one of them does, a blob that was answered for stays."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from holdfast.metadata.sqlite import SQLiteDatabase
from holdfast.model.digests import Digest, digest_of
from holdfast.model.errors import DIGEST_INVALID, Failure
from holdfast.registry.blobs import Blobs
from holdfast.registry.claims import Claims
from holdfast.registry.clock import system_clock
from holdfast.registry.joining import Joiner
from holdfast.registry.tree import TreeWriter
from holdfast.registry.uploads import Uploads
from holdfast.storage.locks import MemoryLocks
from holdfast.storage.object_bucket import ObjectOptions
from holdfast.storage.object_store import ObjectBlobStore

LARGE = 9 * 1024 * 1024
"""Bytes that stay in parts for a while."""


class Content:
    """A body that is there at once; before its end something else may happen."""

    def __init__(self, content: bytes, *between: AsyncIterator[None]) -> None:
        self.length: int | None = len(content)
        self._content = content
        self._between = between

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content
        for other in self._between:
            async for _ in other:
                pass


class Site:
    """A registry on obstore's memory."""

    def __init__(self, directory: Path) -> None:
        self.store = ObjectBlobStore(MemoryStore(), ObjectOptions("the bucket"))
        self.database = SQLiteDatabase(directory)
        locks = MemoryLocks()
        tree = TreeWriter(self.database, self.store, locks)
        self.uploads = Uploads(self.database, self.store, tree, Claims(self.database, locks), system_clock)
        self.blobs = Blobs(self.database, self.store, tree, system_clock)

    async def content(self, digest: Digest) -> bytes:
        """A blob as it is served."""
        reader = await self.blobs.open("a/b", digest, await self.blobs.find("a/b", digest))
        try:
            return b"".join(
                [await reader.read(at, min(1 << 20, reader.size - at)) for at in range(0, reader.size, 1 << 20)]
            )
        finally:
            reader.close()

    async def push(self, content: bytes) -> None:
        """Push as docker does."""
        upload_id = await self.uploads.start("a/b")
        await self.uploads.append("a/b", upload_id, None, Content(content))
        await self.uploads.finish("a/b", upload_id, digest_of(content), None, Content(b""))

    async def close(self) -> None:
        """Let go of all."""
        await self.store.close()
        await self.database.close()


async def _wrong_beside_right(directory: Path) -> None:
    site = Site(directory)
    content = b"right" * (LARGE // 5)
    digest = digest_of(content)
    upload_id = await site.uploads.start("a/b")
    await site.uploads.append("a/b", upload_id, None, Content(content))

    async def right() -> AsyncIterator[None]:
        await site.uploads.finish("a/b", upload_id, digest, None, Content(b""))
        yield

    with pytest.raises(Failure) as failure:
        await site.uploads.finish("a/b", upload_id, digest, None, Content(b"wrong", right()))
    assert failure.value.kind is DIGEST_INVALID
    assert await site.content(digest) == content
    await site.close()


def test_a_wrong_closing_request_takes_nothing_from_the_right_one(tmp_path: Path) -> None:
    asyncio.run(_wrong_beside_right(tmp_path))


async def _mended(directory: Path) -> None:
    site = Site(directory)
    content = b"right" * (LARGE // 5)
    await site.store.put(digest_of(content), b"wrong" * (LARGE // 5))
    await site.push(content)
    joiner = Joiner(site.database, site.store, system_clock, keep=0)
    assert await joiner.run() == 1
    await joiner.tidy()
    assert await site.content(digest_of(content)) == content
    assert (await site.blobs.find("a/b", digest_of(content))).parts == ""
    await site.close()


def test_bytes_that_were_damaged_are_replaced_by_those_that_were_pushed(tmp_path: Path) -> None:
    asyncio.run(_mended(tmp_path))
