"""What every blob store must do about bytes that are aimed at a digest, or that lie in parts; implementations subclass this in their tests.

Where nothing lies in parts, the same must hold with empty texts.
"""
# ruff: noqa: S101 - a suite of tests

import time
from collections.abc import Sequence

import pytest

from holdfast.model.digests import Digest, digest_of
from holdfast.storage.contract import (
    StoreContract,
    add,
    cut,
    finish,
    new_key,
    noise,
    on_store,
    open_upload,
    read_all,
    stream,
)
from holdfast.storage.port import BlobStore, Progress

FAR = 60 * 60 * 1000
"""Milliseconds by which clocks of a test and a store never differ."""


async def in_chunks(store: BlobStore, content: bytes, number: int) -> tuple[Digest, str]:
    """Push a blob in several requests; gives its digest and its parts."""
    key, progress = new_key(), None
    for chunk in cut(content, -(-len(content) // number)):
        progress = await add(store, key, chunk, progress)
    assert progress is not None
    return progress.digest, await finish(store, key, progress)


class PartsContract(StoreContract):
    """Aims, parts, and what is left over."""

    @pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
    def test_bytes_with_a_known_digest_are_visible_after_ready_and_at_their_place(self, size: int) -> None:
        @on_store
        async def run(_: StoreContract, store: BlobStore) -> None:
            content = noise(size, size)
            digest = digest_of(content)
            seen: list[tuple[int, int | None]] = []

            async def ready(size: int) -> None:
                seen.append((size, await store.stat(digest)))

            upload = await open_upload(store, new_key())
            upload.aim(digest, ready)
            assert await upload.append(stream(cut(content, 50_000))) == size
            assert seen in ([], [(size, None)])
            assert (await upload.sync()).digest == await upload.digest("sha256") == digest
            assert await upload.digest("sha512") == digest_of(content, "sha512")
            assert await upload.commit(digest) == ""
            await upload.close()
            assert await read_all(self.store(store), digest) == content

        run(self)

    @pytest.mark.parametrize("size", [0, 1, 3_000_000])
    def test_bytes_with_another_digest_than_aimed_at_are_not_seen(self, size: int) -> None:
        @on_store
        async def run(_: StoreContract, store: BlobStore) -> None:
            aimed = digest_of(b"what was announced")

            async def ready(_size: int) -> None:
                raise AssertionError("these are not the bytes")

            upload = await open_upload(store, new_key())
            upload.aim(aimed, ready)
            assert await upload.append(stream(cut(noise(1, size), 50_000))) == size
            progress = await upload.sync()
            assert (progress.offset, progress.digest) == (size, digest_of(noise(1, size)))
            await upload.close()
            assert await store.stat(aimed) is None
            assert await store.stat(progress.digest) is None

        run(self)

    @pytest.mark.parametrize("size", [1, 3_000_000])
    def test_what_ready_raises_keeps_the_bytes_out(self, size: int) -> None:
        @on_store
        async def run(_: StoreContract, store: BlobStore) -> None:
            asked: list[int] = []

            async def ready(size: int) -> None:
                asked.append(size)
                raise LookupError("the upload was cancelled")

            upload = await open_upload(store, new_key())
            upload.aim(digest_of(noise(1, size)), ready)
            try:
                await upload.append(stream(cut(noise(1, size), 50_000)))
            except LookupError:
                assert asked == [size]
            else:
                assert asked == []
            await upload.close()
            assert await store.stat(digest_of(noise(1, size))) is None

        run(self)

    @on_store
    async def test_a_blob_that_came_in_chunks_is_read_before_and_after_it_is_joined(self, store: BlobStore) -> None:
        content = noise(3, 400_000)
        digest, parts = await in_chunks(store, content, 5)
        for _ in range(2):
            assert await store.stat(digest, parts) == len(content)
            assert await read_all(self.store(store), digest, parts) == content
            assert await store.join(digest, parts)
            assert await store.join(digest, parts)
            assert await read_all(store, digest) == content
        await store.drop(digest, parts)
        await store.drop(digest, parts)
        for where in ("", parts):
            assert await store.stat(digest, where) == len(content)
            assert await read_all(store, digest, where) == content
        assert await store.join(digest, parts)
        await store.delete(digest, parts)
        for where in ("", parts):
            assert await store.stat(digest, where) is None
            assert await store.open(digest, where) is None
        assert not await store.join(digest, parts)

    @on_store
    async def test_a_blob_that_came_in_chunks_is_read_in_any_order(self, store: BlobStore) -> None:
        content = noise(4, 300_000)
        digest, parts = await in_chunks(store, content, 4)
        reader = await store.open(digest, parts)
        assert reader is not None
        for offset, length in (
            (74_990, 20),
            (74_990, 150_000),
            (224_990, 30),
            (0, 300_000),
            (299_999, 1),
            (10, 0),
            (0, 5),
            (5, 5),
        ):
            assert await reader.read(offset, length) == content[offset : offset + length]
        reader.close()

    @on_store
    async def test_a_reader_goes_on_where_the_parts_were_joined_and_dropped_meanwhile(self, store: BlobStore) -> None:
        content = noise(5, 400_000)
        digest, parts = await in_chunks(store, content, 4)
        reader = await store.open(digest, parts)
        assert reader is not None
        assert await reader.read(0, 1000) == content[:1000]
        assert await store.join(digest, parts)
        await store.drop(digest, parts)
        assert await reader.read(1000, 399_000) == content[1000:]
        reader.close()

    @on_store
    async def test_parts_of_another_content_are_not_joined(self, store: BlobStore) -> None:
        _, parts = await in_chunks(store, noise(6, 5000), 2)
        other = digest_of(noise(7, 5000))
        assert not await store.join(other, parts)
        assert await store.stat(other) is None

    @on_store
    async def test_dropping_old_parts_leaves_those_of_a_later_push(self, store: BlobStore) -> None:
        content = noise(8, 5000)
        digest, first = await in_chunks(store, content, 2)
        assert await store.join(digest, first)
        _, second = await in_chunks(store, content, 3)
        await store.drop(digest, first)
        assert await read_all(store, digest, second) == content
        await store.delete(digest, second)
        assert await store.stat(digest, second) is None

    @on_store
    async def test_a_sweep_leaves_what_is_recorded_or_young(self, store: BlobStore) -> None:
        keys = [new_key() for _ in range(4)]
        recorded = {key: await add(store, key, key.id.encode()) for key in keys}
        lost = await add(store, new_key(), b"never recorded")
        digest, parts = await in_chunks(store, noise(9, 5000), 2)
        texts = [parts, *(progress.parts for progress in recorded.values())]

        async def known(names: Sequence[str]) -> set[str]:
            return {name for name in names if any(name in text for text in texts)}

        now = int(time.time() * 1000)
        assert await store.sweep(now - FAR, known) == 0
        assert await store.sweep(now + FAR, known) == (1 if lost.parts else 0)
        assert await store.sweep(now + FAR, known) == 0
        assert await read_all(store, digest, parts) == noise(9, 5000)
        for key, progress in recorded.items():
            assert await read_all(store, progress.digest, await finish(store, key, progress)) == key.id.encode()

    @on_store
    async def test_what_was_discarded_is_gone(self, store: BlobStore) -> None:
        key = new_key()
        progress: Progress | None = None
        for chunk in (b"one", b"two"):
            progress = await add(store, key, chunk, progress)
        assert progress is not None
        await store.discard(key, progress.parts)

        async def known(_names: Sequence[str]) -> set[str]:
            return set()

        assert await store.sweep(int(time.time() * 1000) + FAR, known) == 0

    @on_store
    async def test_an_address_is_given_or_not_whether_the_blob_is_there_or_not(self, store: BlobStore) -> None:
        given = {type(await store.url(digest_of(content))) for content in (b"not there", b"nor this")}
        assert given in ({str}, {type(None)})
