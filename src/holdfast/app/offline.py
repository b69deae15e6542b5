"""A registry's data opened by a command, without serving."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from holdfast.app import place as places
from holdfast.app.back_ends import back_ends
from holdfast.app.begin import Beginning, check_knowledge, recognise
from holdfast.app.place import Place, PlaceError
from holdfast.config.settings import Settings
from holdfast.metadata.port import Database
from holdfast.registry.clock import system_clock
from holdfast.registry.exporting import Exporter
from holdfast.registry.report import Report, Tell
from holdfast.registry.tree import TreeWriter
from holdfast.registry.verifying import Verifier
from holdfast.storage.filesystem_links import FilesystemLinkReader
from holdfast.storage.links import LinkReader
from holdfast.storage.locks import Locks
from holdfast.storage.port import BlobStore


@dataclass(frozen=True, slots=True)
class Offline:
    """What a command works on."""

    place: Place
    database: Database
    store: BlobStore
    links: LinkReader
    tree: TreeWriter
    locks: Locks


@asynccontextmanager
async def opened(settings: Settings, doing: str, *, alone: bool) -> AsyncIterator[Offline]:
    """Open the data that the settings name. `alone`: no server may use it, and none can start meanwhile; `doing` is what it is told.

    Raises `PlaceError`, `StorageError`, `DatabaseError`.
    """
    place = places.find(settings)
    if place.root is None or place.metadata is None:
        raise PlaceError("the registry is in memory: there is nothing on disk to work on")
    if place.mode == "read-only":
        raise PlaceError(place.why)
    async with AsyncExitStack() as stack:
        if alone or place.mode == "exclusive":
            for file in places.lock(place, doing):
                stack.callback(os.close, file)
        store, database, locks = back_ends(settings, place)
        stack.push_async_callback(store.close)
        stack.push_async_callback(database.close)
        stack.callback(locks.close)
        tree = TreeWriter(database, store, locks, system_clock)
        stack.push_async_callback(tree.close)
        yield Offline(place, database, store, FilesystemLinkReader(place.root), tree, locks)


def _beginning(data: Offline) -> Beginning:
    return Beginning(data.place, data.database, data.store, data.tree, data.locks, system_clock)


async def import_tree(settings: Settings) -> Report:
    """Take over all that the tree says. Raises as `opened`."""
    async with opened(settings, "importing", alone=True) as data:
        await recognise(data.database, data.store, data.place)
        await data.tree.drain(adopt=True)
        return await _beginning(data).take_over(quiet=True)


async def export_tree(settings: Settings, *, prune: bool, overwrite: bool, tell: Tell) -> Report:
    """Write the tree from the database; with `prune`, remove the links that the database does not know; with `overwrite`, also write tags that
    the tree has elsewhere. Raises as `opened`.
    """
    async with opened(settings, "exporting", alone=True) as data:
        await check_knowledge(data.database, data.store, data.place)
        exporter = Exporter(data.database, data.store, data.links, data.tree, tell)
        return await exporter.run(prune=prune, overwrite=overwrite)


async def verify(settings: Settings, *, hashing: bool, tell: Tell) -> Report:
    """Check database, tree and (with `hashing`) the bytes of all blobs against each other, beside a server if need be. Raises as `opened`."""
    async with opened(settings, "verifying", alone=False) as data:
        return await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=False, hashing=hashing)


async def repair(settings: Settings, *, hashing: bool, tell: Tell) -> tuple[Report, Report]:
    """Check and repair: what was found, and what is left. Raises as `opened`."""
    async with opened(settings, "repairing", alone=True) as data:
        await recognise(data.database, data.store, data.place)
        await data.tree.drain(adopt=True)
        found = await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=True, hashing=hashing)
        await _beginning(data).take_over(quiet=True)
        left = await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=False, hashing=False)
        return found, left
