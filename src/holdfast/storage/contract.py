"""What every blob store must do; implementations subclass the two suites here and that of `contract_parts` in their tests, and that of
`contract_holds` where one request on an upload excludes others.

A subclass gives `store` and `shorten`. Each test runs on an event loop of its own, with a directory of its own in `directory`.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest

from holdfast.model.digests import Digest, digest_of
from holdfast.storage import paths
from holdfast.storage.port import BlobStore, Progress, StorageError, Upload, UploadKey, UploadLost

SHORT = 0.05
"""Seconds that a test waits for what will not come."""

LONG = 20.0
"""Seconds within which what must come has come."""


class StoreContract:
    """Base of the two suites for stores."""

    directory: Path

    rounds = 100
    """How often what must hold at any moment is tried; fewer where each try takes long."""

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def store(self, before: BlobStore | None = None) -> BlobStore:
        """An empty store; or, given one, the store that another process has on the same bytes (the same one if there cannot be another)."""
        raise NotImplementedError

    async def shorten(self, store: BlobStore, key: UploadKey, progress: Progress, size: int | None) -> None:
        """Cut an upload's bytes off at `size`, or remove them (None), behind the store's back."""
        raise NotImplementedError


Contract = TypeVar("Contract", bound=StoreContract)


def on_store(test: Callable[[Contract, BlobStore], Awaitable[None]]) -> Callable[[Contract], None]:
    """Make a test of a coroutine that takes a fresh store."""

    def run(self: Contract) -> None:
        async def whole() -> None:
            store = self.store()
            try:
                async with asyncio.timeout(4 * LONG):
                    await test(self, store)
            finally:
                await store.close()

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def new_key() -> UploadKey:
    """An upload that no other test has."""
    return UploadKey("team/app", str(uuid4()), "2026-01-02T03:04:05Z")


def noise(seed: int, size: int) -> bytes:
    """`size` bytes that look random and depend on `seed` alone."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


async def stream(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Pieces as they come over a network, giving others their turn."""
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


def cut(content: bytes, size: int) -> list[bytes]:
    """Content in pieces of `size` bytes."""
    return [content[start : start + size] for start in range(0, len(content), size)]


async def read_all(store: BlobStore, digest: Digest, parts: str = "") -> bytes:
    """A blob's whole content, which must be there and have its digest."""
    reader = await store.open(digest, parts)
    assert reader is not None
    try:
        content = b"".join([await reader.read(at, min(65536, reader.size - at)) for at in range(0, reader.size, 65536)])
    finally:
        reader.close()
    assert digest_of(content) == digest
    return content


async def add(store: BlobStore, key: UploadKey, content: bytes, progress: Progress | None = None) -> Progress:
    """What one request does that adds a chunk."""
    upload = await store.hold(key, LONG)
    try:
        await upload.rewind(progress)
        assert await upload.append(stream(cut(content, 1000))) == len(content)
        return await upload.sync()
    finally:
        await upload.close()


async def finish(store: BlobStore, key: UploadKey, progress: Progress) -> str:
    """What one request does that closes an upload; gives the blob's `parts`."""
    upload = await store.hold(key, LONG)
    try:
        await upload.rewind(progress)
        return await upload.commit(progress.digest)
    finally:
        await upload.close()


async def open_upload(store: BlobStore, key: UploadKey, progress: Progress | None = None) -> Upload:
    """Hold and rewind."""
    upload = await store.hold(key, LONG)
    await upload.rewind(progress)
    return upload


class BlobStoreContract(StoreContract):
    """Blobs and small files."""

    @on_store
    async def test_what_was_never_put_is_not_there(self, store: BlobStore) -> None:
        digest = digest_of(b"never")
        assert await store.stat(digest) is None
        assert await store.open(digest) is None
        await store.delete(digest)

    @on_store
    async def test_a_blob_is_read_as_it_was_put_whole_and_in_parts(self, store: BlobStore) -> None:
        content = noise(1, 100_000)
        await store.put(digest_of(content), content)
        for each in (store, self.store(store)):
            assert await each.stat(digest_of(content)) == len(content)
            assert await read_all(each, digest_of(content)) == content
            reader = await each.open(digest_of(content))
            assert reader is not None
            assert await reader.read(99_990, 10) == content[-10:]
            assert await reader.read(0, 1) == content[:1]
            with pytest.raises(StorageError):
                await reader.read(99_990, 11)
            reader.close()
            reader.close()

    @on_store
    async def test_an_empty_blob_is_a_blob(self, store: BlobStore) -> None:
        await store.put(digest_of(b""), b"")
        assert await store.stat(digest_of(b"")) == 0
        assert await read_all(store, digest_of(b"")) == b""

    @on_store
    async def test_a_reader_survives_that_its_blob_is_replaced_and_deleted(self, store: BlobStore) -> None:
        content = noise(2, 50_000)
        digest = digest_of(content)
        await store.put(digest, content)
        reader = await store.open(digest)
        assert reader is not None
        await store.put(digest, content)
        assert await reader.read(0, 20_000) == content[:20_000]
        await store.delete(digest)
        assert await store.stat(digest) is None
        assert await store.open(digest) is None
        assert await reader.read(20_000, 30_000) == content[20_000:]
        reader.close()
        await store.put(digest, content)
        assert await read_all(store, digest) == content

    @on_store
    async def test_many_put_and_read_at_once(self, store: BlobStore) -> None:
        contents = [noise(number % 10, 3000) for number in range(60)]
        other = self.store(store)
        await asyncio.gather(
            *((store, other)[number % 2].put(digest_of(content), content) for number, content in enumerate(contents))
        )
        assert await asyncio.gather(*(read_all(store, digest_of(content)) for content in contents)) == contents

    @on_store
    async def test_there_is_room(self, store: BlobStore) -> None:
        store.check_room()
        store.check_room(1)

    @on_store
    async def test_small_files_are_written_replaced_and_removed(self, store: BlobStore) -> None:
        first, second = paths.current_link("a/b", "t"), paths.current_link("a/b", "u")
        assert await store.read_file(first) is None
        await store.write_files([(first, b"1"), (second, b"2"), (first, b"3")])
        for each in (store, self.store(store)):
            assert await each.read_file(first) == b"3"
            assert await each.read_file(second) == b"2"
        await store.remove([first])
        assert await store.read_file(first) is None
        assert await store.read_file(second) == b"2"
        await store.remove([first, paths.tag("a/b", "u"), "repositories/never/_layers"])
        assert await store.read_file(second) is None
        await store.write_files([(second, b"4")])
        assert await store.read_file(second) == b"4"

    @on_store
    async def test_removing_a_directory_leaves_its_neighbours(self, store: BlobStore) -> None:
        names = [paths.current_link(name, tag) for name in ("a", "a/b", "ab", "a/b/c") for tag in ("t", "tt")]
        await store.write_files([(name, name.encode()) for name in names])
        await store.remove([paths.tag("a", "t"), *paths.own_directories("a/b")])
        gone = {paths.current_link("a", "t"), paths.current_link("a/b", "t"), paths.current_link("a/b", "tt")}
        for name in names:
            assert await store.read_file(name) == (None if name in gone else name.encode())

    @on_store
    async def test_a_small_file_is_never_seen_in_part(self, store: BlobStore) -> None:
        path, contents = paths.current_link("a", "t"), {noise(number, 5000) for number in range(3)}
        await store.write_files([(path, next(iter(contents)))])
        done = asyncio.Event()

        async def look() -> None:
            while not done.is_set():
                assert await store.read_file(path) in contents
                await asyncio.sleep(0)

        looking = asyncio.create_task(look())
        for _ in range(10):
            await asyncio.gather(*(self.store(store).write_files([(path, content)]) for content in contents))
        done.set()
        await looking

    @on_store
    async def test_writing_one_name_and_removing_another_do_not_disturb_each_other(self, store: BlobStore) -> None:
        """Whoever removes the last name takes directories away that another one needs."""
        other = self.store(store)

        async def come_and_go(each: BlobStore, tag: str) -> None:
            path = paths.index_link("a/b", tag, digest_of(b"x"))
            for _ in range(self.rounds):
                await each.write_files([(path, b"x")])
                assert await each.read_file(path) == b"x"
                await each.remove([paths.tag("a/b", tag)])
                assert await each.read_file(path) is None

        await asyncio.gather(*(come_and_go((store, other)[number % 2], f"t{number}") for number in range(4)))

    @on_store
    async def test_writing_and_removing_the_same_repository_gives_the_one_or_the_other(self, store: BlobStore) -> None:
        path = paths.layer_link("a/b", digest_of(b"x"))

        async def write() -> None:
            for _ in range(self.rounds):
                await store.write_files([(path, b"x")])

        async def remove() -> None:
            for _ in range(self.rounds):
                await store.remove(list(paths.own_directories("a/b")))

        await asyncio.gather(write(), remove(), write(), remove())
        await store.write_files([(path, b"y")])
        assert await store.read_file(path) == b"y"


class UploadContract(StoreContract):
    """Uploads: nothing counts before `sync`, nothing is visible before `commit`."""

    @on_store
    async def test_nothing_is_visible_before_commit(self, store: BlobStore) -> None:
        key, content = new_key(), noise(1, 10_000)
        upload = await open_upload(store, key)
        assert upload.size == 0
        assert await upload.append(stream(cut(content, 777))) == 10_000
        assert upload.size == 10_000
        progress = await upload.sync()
        assert (progress.offset, progress.digest) == (10_000, digest_of(content))
        assert await store.stat(progress.digest) is None
        parts = await upload.commit(progress.digest)
        assert await store.stat(progress.digest, parts) == 10_000
        await upload.close()
        await upload.close()
        assert await read_all(self.store(store), progress.digest, parts) == content

    @on_store
    async def test_an_upload_of_nothing_becomes_the_empty_blob(self, store: BlobStore) -> None:
        key = new_key()
        progress = await add(store, key, b"")
        assert (progress.offset, progress.digest) == (0, digest_of(b""))
        await finish(store, key, progress)
        assert await read_all(store, digest_of(b"")) == b""

    @pytest.mark.parametrize("piece", [1, 4096, 3_000_000])
    @pytest.mark.parametrize("size", [1500, 2_000_003])
    def test_pieces_of_any_size_are_put_together(self, piece: int, size: int) -> None:
        size = min(size, 3000 * piece)

        @on_store
        async def run(_: StoreContract, store: BlobStore) -> None:
            key, content = new_key(), noise(piece, size)
            upload = await open_upload(store, key)
            assert await upload.append(stream([b"", *cut(content, piece), b""])) == size
            assert await upload.append(stream([])) == 0
            progress = await upload.sync()
            assert await upload.digest("sha256") == progress.digest == digest_of(content)
            assert await upload.digest("sha512") == digest_of(content, "sha512")
            parts = await upload.commit(progress.digest)
            await upload.close()
            assert await read_all(store, progress.digest, parts) == content

        run(self)

    @pytest.mark.parametrize("resumable", [True, False])
    def test_each_request_goes_on_where_the_last_one_ended_in_whatever_process(self, resumable: bool) -> None:
        @on_store
        async def run(_: StoreContract, store: BlobStore) -> None:
            key, content, progress = new_key(), noise(4, 700_000), None
            for each, piece in zip([store, self.store(store)] * 10, cut(content, 99_991), strict=False):
                progress = await add(each, key, piece, progress)
                if not resumable:
                    progress = Progress(progress.offset, progress.digest, b"", progress.parts)
            assert progress is not None
            assert (progress.offset, progress.digest) == (700_000, digest_of(content))
            parts = await finish(self.store(store), key, progress)
            assert await read_all(store, progress.digest, parts) == content

        run(self)

    @on_store
    async def test_what_was_not_synced_does_not_count(self, store: BlobStore) -> None:
        key = new_key()
        progress = await add(store, key, b"one")
        upload = await open_upload(store, key, progress)
        await upload.append(stream([b"lost" * 1000]))
        await upload.close()
        progress = await add(self.store(store), key, b" two", progress)
        assert (progress.offset, progress.digest) == (7, digest_of(b"one two"))
        parts = await finish(store, key, progress)
        assert await read_all(store, digest_of(b"one two"), parts) == b"one two"

    @on_store
    async def test_synced_bytes_that_were_not_recorded_do_not_count(self, store: BlobStore) -> None:
        """The transaction after `sync` may fail: the next request goes on at what is recorded."""
        key = new_key()
        progress = await add(store, key, b"one")
        await add(store, key, b" and a half", progress)
        assert (await add(store, key, b" two", progress)).digest == digest_of(b"one two")
        assert (await add(store, key, b"again", None)).digest == digest_of(b"again")

    @on_store
    async def test_a_hold_can_be_rewound_again(self, store: BlobStore) -> None:
        key = new_key()
        progress = await add(store, key, b"one")
        upload = await open_upload(store, key, progress)
        await upload.append(stream([b" three"]))
        await upload.rewind(progress)
        await upload.append(stream([b" two"]))
        assert (await upload.sync()).digest == digest_of(b"one two")
        await upload.rewind(None)
        await upload.append(stream([b"new"]))
        assert (await upload.sync()).digest == digest_of(b"new")
        await upload.close()

    @on_store
    async def test_what_the_stream_raises_is_raised_and_its_bytes_are_cut_off(self, store: BlobStore) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * 2_000_000
            raise ConnectionError("the client went away")

        key = new_key()
        progress = await add(store, key, b"one")
        upload = await open_upload(store, key, progress)
        with pytest.raises(ConnectionError, match="the client went away"):
            await upload.append(broken())
        await upload.close()
        assert (await add(store, key, b" two", progress)).digest == digest_of(b"one two")

    @on_store
    async def test_a_cancelled_request_lets_go_and_leaves_nothing(self, store: BlobStore) -> None:
        key = new_key()
        progress = await add(store, key, b"one")
        for turns in range(0, 40, 3):
            going = asyncio.create_task(add(store, key, b"x" * 1_000_000, progress))
            for _ in range(turns**2):
                await asyncio.sleep(0)
            going.cancel()
            with suppress(asyncio.CancelledError):
                await going
        progress = await add(self.store(store), key, b" two", progress)
        assert (progress.offset, progress.digest) == (7, digest_of(b"one two"))

    @on_store
    async def test_lost_bytes_are_noticed(self, store: BlobStore) -> None:
        for size in (None, 0, 2999):
            key = new_key()
            progress = await add(store, key, noise(1, 3000))
            await self.shorten(store, key, progress, size)
            await self._is_lost(store, key, progress)
            assert (await add(store, key, b"new", None)).digest == digest_of(b"new")

    async def _is_lost(self, store: BlobStore, key: UploadKey, progress: Progress) -> None:
        """That bytes are gone is said when the upload is taken up, or at the latest when it becomes a blob."""
        upload = await store.hold(key, LONG)

        async def go_on() -> None:
            await upload.rewind(progress)
            await upload.append(stream([b"more"]))
            await upload.commit((await upload.sync()).digest)

        with pytest.raises(UploadLost):
            await go_on()
        await upload.close()
        assert await store.stat(progress.digest) is None

    @on_store
    async def test_an_upload_that_was_discarded_is_lost(self, store: BlobStore) -> None:
        key = new_key()
        progress = await add(store, key, b"one")
        upload = await open_upload(store, key, progress)
        await upload.append(stream([b" more"]))
        more = await upload.sync()
        await self.store(store).discard(key, progress.parts)
        await store.discard(key, progress.parts)
        with pytest.raises(UploadLost):
            await upload.commit(more.digest)
        await upload.close()
        assert await store.stat(more.digest) is None
        await self._is_lost(store, key, progress)

    @on_store
    async def test_the_same_content_many_times_at_once_is_one_blob(self, store: BlobStore) -> None:
        content = noise(9, 300_000)

        async def push(each: BlobStore) -> None:
            key = new_key()
            parts = await finish(each, key, await add(each, key, content))
            assert await read_all(each, digest_of(content), parts) == content

        other = self.store(store)
        await asyncio.gather(*(push(each) for each in [store, other] * 8))

    @on_store
    async def test_many_uploads_at_once_do_not_mix(self, store: BlobStore) -> None:
        async def push(number: int) -> None:
            key, content, progress = new_key(), noise(number, 50_000 + number), None
            for piece in cut(content, 20_000):
                progress = await add(store, key, piece, progress)
            assert progress is not None
            parts = await finish(store, key, progress)
            assert await read_all(store, digest_of(content), parts) == content

        await asyncio.gather(*(push(number) for number in range(40)))
