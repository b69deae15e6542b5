"""The stores and databases that a place asks for."""

from holdfast.app.place import Place
from holdfast.config.settings import Settings
from holdfast.metadata.port import Database
from holdfast.metadata.sqlite import SQLiteDatabase
from holdfast.storage.filesystem import FilesystemBlobStore
from holdfast.storage.locks import FileLocks, Locks, MemoryLocks
from holdfast.storage.memory import MemoryBlobStore
from holdfast.storage.port import BlobStore


def back_ends(settings: Settings, place: Place) -> tuple[BlobStore, Database, Locks]:
    """Open them; the caller closes them. Raises `StorageError`, `DatabaseError`."""
    if place.root is None:
        return MemoryBlobStore(), SQLiteDatabase(None), MemoryLocks()
    reserve = settings.storage.filesystem.minfree if settings.storage.filesystem else 0
    store = FilesystemBlobStore(place.root, reserve, place.metadata)
    database = SQLiteDatabase(place.metadata, place.mode)
    locks = FileLocks(place.metadata / "tree.lock") if place.mode == "shared" and place.metadata else MemoryLocks()
    return store, database, locks
