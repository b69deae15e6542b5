"""The memory blob store: for tests and throw-away registries (registry:2's `inmemory`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from holdfast.model.digests import Digest
from holdfast.storage import paths
from holdfast.storage.hashing import hash_pieces
from holdfast.storage.port import BlobReader, Progress, StorageError, Upload, UploadBusy, UploadKey, UploadLost


@dataclass(slots=True)
class _Session:
    content: bytearray = field(default_factory=bytearray)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class MemoryBlobReader:
    """Bytes of a blob in memory."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return len(self._content)

    async def read(self, offset: int, length: int) -> bytes:
        piece = self._content[offset : offset + length]
        if len(piece) != length:
            raise StorageError("the blob is shorter than recorded")
        return piece

    def close(self) -> None:
        pass


class MemoryUpload:
    """A hold on an upload in memory."""

    def __init__(self, store: "MemoryBlobStore", key: UploadKey, session: _Session) -> None:
        self._store = store
        self._key = key
        self._session = session
        self._kept = len(session.content)
        self._open = True

    async def rewind(self, progress: Progress | None) -> None:
        self._kept = progress.offset if progress else 0
        if self.size < self._kept:
            raise UploadLost
        del self._session.content[self._kept :]

    def aim(self, digest: Digest, ready: Callable[[int], Awaitable[None]]) -> None:
        pass

    @property
    def size(self) -> int:
        return len(self._session.content)

    async def append(self, pieces: AsyncIterator[bytes]) -> int:
        before = self.size
        async for piece in pieces:
            self._session.content += piece
        return self.size - before

    async def sync(self) -> Progress:
        self._kept = self.size
        return Progress(self.size, await self.digest("sha256"), b"")

    async def digest(self, algorithm: str) -> Digest:
        return await asyncio.to_thread(hash_pieces, [bytes(self._session.content)], algorithm)

    async def commit(self, digest: Digest) -> str:
        if not self._store.has(self._key, self._session):
            raise UploadLost
        await self._store.put(digest, bytes(self._session.content))
        self._session.content.clear()
        return ""

    async def close(self) -> None:
        if self._open:
            self._open = False
            del self._session.content[self._kept :]
            self._session.lock.release()


class MemoryBlobStore:
    """All in dictionaries; one process, one event loop."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._uploads: dict[str, _Session] = {}

    async def stat(self, digest: Digest, parts: str = "") -> int | None:
        content = self._files.get(paths.blob(digest))
        return None if content is None else len(content)

    async def open(self, digest: Digest, parts: str = "") -> BlobReader | None:
        content = self._files.get(paths.blob(digest))
        return None if content is None else MemoryBlobReader(content)

    async def url(self, digest: Digest, parts: str = "") -> str | None:
        return None

    async def put(self, digest: Digest, content: bytes) -> None:
        self._files[paths.blob(digest)] = content

    async def delete(self, digest: Digest, parts: str = "") -> None:
        self._files.pop(paths.blob(digest), None)

    async def join(self, digest: Digest, parts: str) -> bool:
        return await self.stat(digest) is not None

    async def drop(self, digest: Digest, parts: str) -> None:
        """Nothing lies in parts here."""

    async def sweep(self, before: int, known: Callable[[Sequence[str]], Awaitable[set[str]]]) -> int:
        return 0

    async def hold(self, key: UploadKey, wait: float) -> Upload:
        try:
            async with asyncio.timeout(wait):
                while True:
                    session = self._uploads.setdefault(key.id, _Session())
                    await session.lock.acquire()
                    if self.has(key, session):
                        return MemoryUpload(self, key, session)
                    session.lock.release()
        except TimeoutError:
            raise UploadBusy from None

    def has(self, key: UploadKey, session: _Session) -> bool:
        """Tell whether an upload has not been committed or discarded."""
        return self._uploads.get(key.id) is session

    async def discard(self, key: UploadKey, parts: str = "") -> None:
        self._uploads.pop(key.id, None)

    async def read_file(self, path: str) -> bytes | None:
        return self._files.get(path)

    async def write_files(self, files: list[tuple[str, bytes]]) -> None:
        self._files.update(files)

    async def remove(self, paths: list[str]) -> None:
        for path in paths:
            for known in [name for name in self._files if name == path or name.startswith(f"{path}/")]:
                del self._files[known]

    def check_room(self, size: int = 0) -> None:
        pass

    async def close(self) -> None:
        self._files.clear()
        self._uploads.clear()
