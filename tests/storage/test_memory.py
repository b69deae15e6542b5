"""The memory store keeps the port's contract."""

from holdfast.storage.contract import BlobStoreContract, StoreContract, UploadContract, stream
from holdfast.storage.contract_holds import HoldContract
from holdfast.storage.contract_locks import LocksContract
from holdfast.storage.contract_parts import PartsContract
from holdfast.storage.locks import Locks, MemoryLocks
from holdfast.storage.memory import MemoryBlobStore
from holdfast.storage.port import BlobStore, Progress, UploadKey


class InMemory(StoreContract):
    """One process alone can have it."""

    def store(self, before: BlobStore | None = None) -> BlobStore:
        return before or MemoryBlobStore()

    async def shorten(self, store: BlobStore, key: UploadKey, _progress: Progress, size: int | None) -> None:
        await store.discard(key)
        if size is not None:
            upload = await store.hold(key, 0)
            await upload.append(stream([bytes(size)]))
            await upload.sync()
            await upload.close()


class TestMemoryBlobStore(InMemory, BlobStoreContract):
    """Blobs and small files."""


class TestMemoryUpload(InMemory, UploadContract):
    """Uploads."""


class TestMemoryHolds(InMemory, HoldContract):
    """One writer at a time."""


class TestMemoryParts(InMemory, PartsContract):
    """Nothing lies in parts."""


class TestMemoryLocks(LocksContract):
    """Locks."""

    def locks(self) -> Locks:
        return MemoryLocks()
