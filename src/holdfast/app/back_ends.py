"""The stores and databases that a place asks for."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from uuid import uuid4

from holdfast.app.place import Place
from holdfast.config.settings import Settings
from holdfast.metadata.port import Database
from holdfast.metadata.sqlite import SQLiteDatabase
from holdfast.registry.leases import LeaseLocks
from holdfast.registry.tree import TreeWriter
from holdfast.registry.tree_queue import TreeQueue
from holdfast.storage.filesystem import FilesystemBlobStore
from holdfast.storage.filesystem_links import FilesystemLinkReader
from holdfast.storage.links import LinkReader
from holdfast.storage.locks import FileLocks, Locks, MemoryLocks
from holdfast.storage.memory import MemoryBlobStore
from holdfast.storage.object_settings import open_blobs
from holdfast.storage.port import BlobStore


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class BackEnds:
    """What stands behind the ports. `links`: None in memory. `migrate` brings a database server's schema up to date; it comes before all else."""

    store: BlobStore
    links: LinkReader | None
    database: Database
    locks: Locks
    tree: TreeWriter
    migrate: Callable[[], Awaitable[None]]


def stores(settings: Settings, place: Place) -> tuple[BlobStore, LinkReader | None]:
    """Open the store of a place and what reads its links; the caller closes the store. Raises `StorageError`."""
    if place.bucket:
        store, raw = open_blobs(settings.storage)
        from holdfast.storage.object_links import ObjectLinkReader  # noqa: PLC0415 - an extra, whose absence `open_blobs` tells

        return store, ObjectLinkReader(raw)
    if place.root is None:
        return MemoryBlobStore(), None
    reserve = settings.storage.filesystem.minfree if settings.storage.filesystem else 0
    return FilesystemBlobStore(place.root, reserve, place.metadata), FilesystemLinkReader(place.root)


async def back_ends(settings: Settings, place: Place, stack: AsyncExitStack) -> BackEnds:
    """Open them; `stack` closes them. Raises `StorageError`, `DatabaseError`, `PlaceError`."""
    store, links = stores(settings, place)
    stack.push_async_callback(store.close)
    if place.server:
        from holdfast.metadata.postgresql import PostgreSQLDatabase  # noqa: PLC0415 - an extra

        server = PostgreSQLDatabase(settings.metadata.url, settings.metadata.connections)
        stack.push_async_callback(server.close)
        leases = LeaseLocks(server, str(uuid4()))
        stack.callback(leases.close)
        queue = TreeQueue(server, store, leases, written=not settings.storage.links.disabled)
        stack.push_async_callback(queue.close)
        return BackEnds(store, links, server, leases, queue, server.migrate)
    database = SQLiteDatabase(place.metadata, place.mode)
    stack.push_async_callback(database.close)
    locks = FileLocks(place.metadata / "tree.lock") if place.mode == "shared" and place.metadata else MemoryLocks()
    stack.callback(locks.close)
    tree = TreeWriter(database, store, locks)
    stack.push_async_callback(tree.close)
    return BackEnds(store, links, database, locks, tree, _nothing)
