"""The filesystem blob store: registry:2's tree. `paths` draws it.

Durability: bytes are written to a file that nothing points to, fdatasync makes them durable, rename makes them visible, and fsync of the
directory (and of each directory that was made for it) makes the name durable. Only then does a method that promises durability return.
"""

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from holdfast.model.digests import Digest
from holdfast.storage import paths
from holdfast.storage.cached_read import read_cached
from holdfast.storage.files import MOST_TRIES, Directories, fsync_directory, make_directories, translated
from holdfast.storage.filesystem_upload import FilesystemUpload, hold_files
from holdfast.storage.port import BlobReader, StorageError, StorageFull, StorageReadOnly, Upload, UploadKey

LARGEST_SMALL_FILE = 1024 * 1024
WRITERS = 16
READERS = 8

LOOK_AGAIN = 0.1
PLENTY = 1024 * 1024 * 1024
"""While there is so much room that a tenth of a second cannot use it up, the file system is asked for it no more often than that."""

T = TypeVar("T")


class FilesystemBlobReader:
    """A blob's open file."""

    def __init__(self, file: int, pool: ThreadPoolExecutor) -> None:
        self._file = file
        self._pool = pool
        self._size = os.fstat(file).st_size

    @property
    def size(self) -> int:
        return self._size

    async def read(self, offset: int, length: int) -> bytes:
        cached = read_cached(self._file, offset, length)
        if cached is not None:
            return cached
        with translated():
            piece = await asyncio.get_running_loop().run_in_executor(self._pool, os.pread, self._file, length, offset)
        if len(piece) != length:
            raise StorageError("the blob's file is shorter than recorded")
        return piece

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class FilesystemBlobStore:
    """Blobs, uploads and links below `<rootdirectory>/docker/registry/v2`.

    `reserve`: bytes of the file system that pushes leave free, also of that of `database`, whose directory may be on another one.
    """

    def __init__(self, root: Path, reserve: int = 0, database: Path | None = None) -> None:
        self._root = root / paths.ROOT
        with suppress(OSError):  # where it cannot be made, what needs it says why
            self._root.mkdir(parents=True, exist_ok=True)
        self._database = database
        self._reserve = reserve
        self._directories = Directories(self._root)
        self._room = 0
        self._looked = 0.0
        self._writers = ThreadPoolExecutor(WRITERS, "store-write")
        self._readers = ThreadPoolExecutor(READERS, "store-read")

    async def _run(self, function: Callable[[], T]) -> T:
        with translated():
            return await asyncio.get_running_loop().run_in_executor(self._writers, function)

    def _path(self, path: str) -> Path:
        return self._root / path

    async def stat(self, digest: Digest, parts: str = "") -> int | None:
        with translated():
            try:
                return os.stat(self._path(paths.blob(digest))).st_size
            except FileNotFoundError:
                return None

    async def open(self, digest: Digest, parts: str = "") -> BlobReader | None:
        with translated():
            try:
                file = os.open(self._path(paths.blob(digest)), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            return FilesystemBlobReader(file, self._readers)

    async def url(self, digest: Digest, parts: str = "") -> str | None:
        return None

    async def put(self, digest: Digest, content: bytes) -> None:
        await self._run(partial(self._write_small, [(paths.blob(digest), content)]))

    async def delete(self, digest: Digest, parts: str = "") -> None:
        await self._run(partial(self._unlink, self._path(paths.blob(digest))))

    async def join(self, digest: Digest, parts: str) -> bool:
        return await self.stat(digest) is not None

    async def drop(self, digest: Digest, parts: str) -> None:
        """Nothing lies in parts here."""

    async def sweep(self, before: int, known: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
        return await self._run(partial(self._sweep_temporary, before / 1000))

    def _sweep_temporary(self, before: float) -> int:
        """Remove temporary files of processes that were killed; what else a request leaves is in its upload's own directory."""
        swept = 0
        with suppress(FileNotFoundError), os.scandir(self._path(paths.TEMPORARY)) as entries:
            for entry in entries:
                with suppress(FileNotFoundError, IsADirectoryError):
                    if entry.stat().st_mtime < before:
                        os.unlink(entry.path)
                        swept += 1
        return swept

    async def hold(self, key: UploadKey, wait: float) -> Upload:
        directory = self._path(paths.upload(key.repository, key.id))
        with translated():
            held = await hold_files(directory, self._root, key.started, wait, self._writers)
        return FilesystemUpload(held, directory, self._commit, self.check_room, self._writers)

    def _commit(self, source: Path, digest: Digest) -> None:
        self._put_in_place(source, self._path(paths.blob(digest)))

    def _put_in_place(self, source: Path, target: Path) -> None:
        """Rename durably, also while others remove the directory that `target` is in."""
        for tries_left in reversed(range(MOST_TRIES)):
            made = self._directories.make(target.parent)
            try:
                os.rename(source, target)
            except FileNotFoundError:
                if not tries_left or not source.exists():
                    raise
            else:
                self._directories.sync(target.parent, made)
                return

    async def discard(self, key: UploadKey, parts: str = "") -> None:
        directory = self._path(paths.upload(key.repository, key.id))
        await self._run(partial(shutil.rmtree, directory, ignore_errors=True))

    async def read_file(self, path: str) -> bytes | None:
        return await self._run(partial(self._read_small, self._path(path)))

    def _read_small(self, path: Path) -> bytes | None:
        try:
            with path.open("rb") as file:
                return file.read(LARGEST_SMALL_FILE)
        except FileNotFoundError:
            return None

    async def write_files(self, files: list[tuple[str, bytes]]) -> None:
        await self._run(partial(self._write_small, files))

    def _write_small(self, files: Sequence[tuple[str, bytes]]) -> None:
        for path, content in files:
            source = self._temporary()
            self._write_temporary(source, content)
            try:
                self._put_in_place(source, self._path(path))
            except BaseException:
                source.unlink(missing_ok=True)
                raise

    def _temporary(self) -> Path:
        """A new name beside the tree, in a directory that is emptied at each start."""
        return self._path(paths.TEMPORARY) / uuid4().hex

    def _write_temporary(self, path: Path, content: bytes) -> None:
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:
            make_directories(path.parent, self._root)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(file, view) :]
            os.fdatasync(file)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)

    async def remove(self, paths: list[str]) -> None:
        await self._run(partial(self._remove, [self._path(path) for path in paths]))

    def _remove(self, targets: list[Path]) -> None:
        """Move them out of the tree, make that durable, and only then take them to pieces."""
        moved = []
        for target in targets:
            away = self._temporary()
            make_directories(away.parent, self._root)
            with suppress(FileNotFoundError):
                os.rename(target, away)
                moved.append(away)
            with suppress(FileNotFoundError):
                fsync_directory(target.parent)
        for away in moved:
            if away.is_dir():
                shutil.rmtree(away, ignore_errors=True)
            else:
                away.unlink(missing_ok=True)

    def _unlink(self, file: Path) -> None:
        """Remove a file and its directory, durably; what else is in the directory stays."""
        try:
            os.unlink(file)
        except FileNotFoundError:
            # Where the disk is not there, nothing is known of the file.
            make_directories(self._path(paths.TEMPORARY), self._root)
        with suppress(OSError):
            os.rmdir(file.parent)
        for level in (file.parent, file.parent.parent):
            with suppress(FileNotFoundError):
                fsync_directory(level)

    def check_room(self, size: int = 0) -> None:
        now = time.monotonic()
        if now >= self._looked + LOOK_AGAIN or self._room - size < PLENTY:
            self._room = self._look()
            self._looked = now
        if self._room < size:
            raise StorageFull

    def _look(self) -> int:
        """How many bytes there are beyond the reserve."""
        with translated():
            try:
                state = os.statvfs(self._root)
            except FileNotFoundError:
                raise StorageError(f"{self._root} is not there any more: is its disk not mounted?") from None
        if state.f_flag & os.ST_RDONLY or not os.access(self._root, os.W_OK):
            raise StorageReadOnly
        if self._database and _free(os.statvfs(self._database)) < self._reserve:
            raise StorageFull("the disk of the database")
        return _free(state) - self._reserve

    async def close(self) -> None:
        self._writers.shutdown(wait=True)
        self._readers.shutdown(wait=True)


def _free(state: os.statvfs_result) -> int:
    return state.f_bavail * state.f_frsize


def prepare(root: Path) -> None:
    """Make the tree's root durably and empty the directory of temporary files; for the one process that starts a server."""
    temporary = root / paths.ROOT / paths.TEMPORARY
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, exist_ok=True)
    for level in temporary.parents:
        with suppress(PermissionError):  # above our own directories reading may be forbidden
            fsync_directory(level)
        if level == root.parent:
            break
