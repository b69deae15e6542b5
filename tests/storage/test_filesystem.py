"""The filesystem store keeps the port's contract, and does what a file system asks for besides: room, descriptors, durable directories."""

import asyncio
import errno
import os
import resource
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from holdfast.model.digests import digest_of
from holdfast.storage import paths
from holdfast.storage.contract import (
    LONG,
    BlobStoreContract,
    StoreContract,
    UploadContract,
    add,
    cut,
    finish,
    new_key,
    noise,
    read_all,
    stream,
)
from holdfast.storage.contract_holds import HoldContract
from holdfast.storage.contract_parts import PartsContract
from holdfast.storage.filesystem import FilesystemBlobStore, prepare
from holdfast.storage.filesystem_upload import FLUSH
from holdfast.storage.port import BlobStore, Progress, StorageError, StorageFull, UploadBusy, UploadKey, UploadLost


class OnFiles(StoreContract):
    """Another store on the same directory stands for another process: their locks exclude each other all the same."""

    def store(self, _before: BlobStore | None = None) -> BlobStore:
        return FilesystemBlobStore(self.directory)

    async def shorten(self, _store: BlobStore, key: UploadKey, _progress: Progress, size: int | None) -> None:
        file = self.directory / paths.ROOT / paths.upload(key.repository, key.id) / "data"
        if size is None:
            file.unlink()
        else:
            os.truncate(file, size)


class TestFilesystemBlobStore(OnFiles, BlobStoreContract):
    """Blobs and small files."""


class TestFilesystemUpload(OnFiles, UploadContract):
    """Uploads."""


class TestFilesystemHolds(OnFiles, HoldContract):
    """One writer at a time."""


class TestFilesystemParts(OnFiles, PartsContract):
    """Nothing lies in parts."""


Work = Callable[[FilesystemBlobStore], Awaitable[None]]


def run(directory: Path, work: Work, reserve: int = 0) -> None:
    """Run `work` on the store in `directory` and close it."""

    async def whole() -> None:
        store = FilesystemBlobStore(directory, reserve)
        try:
            async with asyncio.timeout(LONG):
                await work(store)
        finally:
            await store.close()

    asyncio.run(whole())


def files_below(directory: Path) -> set[str]:
    """The paths of all files below a directory, relative to it."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files longer than `size` bytes, as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The directories and files that were made durable, in order."""
    found: list[Path] = []
    for name in ("fsync", "fdatasync"):
        original: Callable[[int], None] = getattr(os, name)

        def spy(file: int, original: Callable[[int], None] = original) -> None:
            found.append(Path(os.readlink(f"/proc/self/fd/{file}")))
            original(file)

        monkeypatch.setattr(os, name, spy)
    return found


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        key, content = new_key(), noise(1, 3000)
        progress = await add(store, key, content)
        link = paths.current_link("a", "t")
        await store.write_files([(link, b"old")])
        before = files_below(tmp_path)
        with largest_file(4000):
            upload = await store.hold(key, LONG)
            await upload.rewind(progress)
            with pytest.raises(StorageFull):
                await upload.append(stream(cut(noise(2, 3_000_000), 1000)))
            await upload.close()
            with pytest.raises(StorageFull):
                await store.put(digest_of(noise(3, 5000)), noise(3, 5000))
            with pytest.raises(StorageFull):
                await store.write_files([(link, noise(4, 5000))])
        assert files_below(tmp_path) == before
        assert await store.read_file(link) == b"old"
        progress = await add(store, key, b"more", progress)
        assert progress.digest == digest_of(content + b"more")

    run(tmp_path, work)


def test_an_upload_that_cannot_be_begun_for_want_of_room_is_not_held(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        key = new_key()
        with largest_file(0), pytest.raises(StorageFull):
            await store.hold(key, 0)
        await (await store.hold(key, 0)).close()

    run(tmp_path, work)


def test_the_reserve_is_left_free(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        with pytest.raises(StorageFull):
            store.check_room()
        upload = await store.hold(new_key(), 0)
        with pytest.raises(StorageFull):
            await upload.append(stream([b"x"]))
        await upload.close()

    run(tmp_path, work, reserve=1 << 60)

    async def with_room(store: FilesystemBlobStore) -> None:
        store.check_room(1000)
        with pytest.raises(StorageFull):
            store.check_room(1 << 60)

    run(tmp_path, with_room, reserve=1)


def test_no_native_error_crosses_the_port(tmp_path: Path) -> None:
    """A file where a directory should be; a link that leads nowhere."""
    digest = digest_of(b"x")
    for name in ("file", "nowhere"):
        root = tmp_path / name / paths.ROOT
        root.parent.mkdir(parents=True)
        if name == "file":
            root.write_bytes(b"")
        else:
            root.symlink_to(tmp_path / "unmounted" / "disk")

        async def work(store: FilesystemBlobStore) -> None:
            calls: list[Callable[[], Awaitable[object]]] = [
                lambda: store.put(digest, b"x"),
                lambda: store.hold(new_key(), 0),
                lambda: store.write_files([(paths.current_link("a", "b"), b"x")]),
                lambda: store.remove([paths.tag("a", "b")]),
                lambda: store.delete(digest),
            ]
            for call in calls:
                with pytest.raises(StorageError):
                    await call()

        run(tmp_path / name, work)

        async def room(store: FilesystemBlobStore) -> None:
            with pytest.raises(StorageError):
                store.check_room()

        if name == "nowhere":
            run(tmp_path / name, room)


def test_descriptors_are_given_back_on_every_path(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        raise ConnectionError

    async def each(store: FilesystemBlobStore) -> None:
        key = new_key()
        progress = await add(store, key, noise(1, 3000))
        upload = await store.hold(key, 0)
        with pytest.raises(UploadBusy):
            await store.hold(key, 0)
        await upload.rewind(progress)
        with pytest.raises(ConnectionError):
            await upload.append(broken())
        await upload.close()
        with largest_file(0), pytest.raises(StorageError):
            await store.hold(new_key(), 0)
        with largest_file(0), pytest.raises(StorageError):
            await store.put(digest_of(b"x"), b"x")
        going = asyncio.create_task(add(store, key, b"x" * 1_000_000, progress))
        await asyncio.sleep(0)
        going.cancel()
        with suppress(asyncio.CancelledError):
            await going
        await finish(store, key, progress)
        assert await read_all(store, progress.digest)
        await store.open(digest_of(b"none"))
        await store.remove(list(paths.own_directories("team/app")))

    async def work(store: FilesystemBlobStore) -> None:
        await each(store)
        before = sorted(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await each(store)
        assert sorted(os.listdir("/proc/self/fd")) == before

    run(tmp_path, work)


def test_every_new_directory_is_made_durable_each_time_that_it_is_new(tmp_path: Path, synced: list[Path]) -> None:
    """Above all when it was removed and came again, whatever a process remembers of it."""

    prepare(tmp_path)

    async def work(store: FilesystemBlobStore) -> None:
        other = FilesystemBlobStore(tmp_path)
        name = "a/b"
        link, current = paths.layer_link(name, digest_of(b"x")), paths.current_link(name, "t")
        for each in (store, other, store):
            for path, removed in ((link, list(paths.own_directories(name))), (current, [paths.tag(name, "t")])):
                before = {one for one in tmp_path.rglob("*") if one.is_dir()}
                synced.clear()
                await each.write_files([(path, b"x")])
                new = {one for one in tmp_path.rglob("*") if one.is_dir() and "_holdfast" not in str(one)} - before
                assert new, "nothing was new: the test shows nothing"
                assert {one.parent for one in new} <= set(synced)
                assert (tmp_path / paths.ROOT / path).parent in synced
                await (store if each is other else other).remove(removed)
        await other.close()

    run(tmp_path, work)


def test_what_is_removed_is_removed_durably(tmp_path: Path, synced: list[Path]) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        digest = digest_of(b"x")
        await store.put(digest, b"x")
        await store.write_files([(paths.current_link("a", "t"), b"x")])
        synced.clear()
        await store.remove([paths.tag("a", "t")])
        await store.delete(digest)
        root = tmp_path / paths.ROOT
        assert {(root / paths.tag("a", "t")).parent, (root / paths.blob(digest)).parent.parent} <= set(synced)
        assert not files_below(tmp_path)

    run(tmp_path, work)


def test_the_root_is_made_durable_before_serving(tmp_path: Path, synced: list[Path]) -> None:
    root = tmp_path / "new" / "root"
    prepare(root)
    levels = [root / "docker/registry/v2/_holdfast/tmp", *(root / "docker/registry/v2/_holdfast/tmp").parents]
    assert all(level in synced for level in levels[1 : levels.index(tmp_path)])


def test_a_lost_write_is_told_even_if_the_disk_says_so_only_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel reports a failed write to one fdatasync; those after it succeed although the bytes are gone."""
    original, failures = os.fdatasync, [1]

    def failing(file: int) -> None:
        if failures:
            failures.pop()
            raise OSError(errno.EIO, "Input/output error")
        original(file)

    async def work(store: FilesystemBlobStore) -> None:
        upload = await store.hold(new_key(), 0)
        await upload.rewind(None)
        monkeypatch.setattr(os, "fdatasync", failing)

        async def push() -> None:
            await upload.append(stream([bytes(1 << 20)] * (3 * FLUSH >> 20)))
            await upload.sync()

        with pytest.raises(StorageError):
            await push()
        assert not failures
        await upload.close()

    run(tmp_path, work)


def test_an_upload_whose_bytes_were_changed_is_lost(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        key = new_key()
        progress = await add(store, key, noise(1, 3000))
        file = tmp_path / paths.ROOT / paths.upload(key.repository, key.id) / "data"
        file.write_bytes(noise(2, 3000))
        upload = await store.hold(key, 0)
        with pytest.raises(UploadLost):
            await upload.rewind(type(progress)(progress.offset, progress.digest, b"a state of another machine"))
        await upload.close()

    run(tmp_path, work)


def test_a_commit_never_takes_a_file_that_another_request_made(tmp_path: Path) -> None:
    """Cancelled and begun again between the check of the digest and the rename."""

    async def work(store: FilesystemBlobStore) -> None:
        key = new_key()
        upload = await store.hold(key, 0)
        await upload.rewind(None)
        await upload.append(stream([b"checked"]))
        progress = await upload.sync()
        await store.discard(key)
        other = await store.hold(key, 0)
        await other.append(stream([b"not checked"]))
        with pytest.raises(UploadLost):
            await upload.commit(progress.digest)
        await upload.close()
        await other.close()
        assert await store.stat(progress.digest) is None

    run(tmp_path, work)


def test_leftovers_are_cleared_at_the_start_and_nothing_else(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        await store.put(digest_of(b"x"), b"x")
        await add(store, new_key(), b"begun")

    run(tmp_path, work)
    before = files_below(tmp_path)
    (tmp_path / paths.ROOT / paths.TEMPORARY / "left").write_bytes(b"half")
    (tmp_path / paths.ROOT / paths.TEMPORARY / "tree/deep").mkdir(parents=True)
    prepare(tmp_path)
    assert files_below(tmp_path) == before
    assert not list((tmp_path / paths.ROOT / paths.TEMPORARY).iterdir())


def test_a_temporary_directory_that_went_away_is_made_again(tmp_path: Path) -> None:
    async def work(store: FilesystemBlobStore) -> None:
        for _ in range(2):
            await store.put(digest_of(b"x"), b"x")
            shutil.rmtree(tmp_path / paths.ROOT / paths.TEMPORARY)
            await store.remove([paths.blob(digest_of(b"x"))])
            await store.delete(digest_of(b"x"))
            shutil.rmtree(tmp_path / paths.ROOT / paths.TEMPORARY)

    run(tmp_path, work)
