"""A registry's data opened by a command, without serving."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from holdfast.app import place as places
from holdfast.app.back_ends import back_ends
from holdfast.app.begin import LACKING_LINKS, Beginning, check_knowledge, recognise
from holdfast.app.place import Place, PlaceError
from holdfast.app.presence import ALONE, serving
from holdfast.config.settings import Settings
from holdfast.metadata.port import Database
from holdfast.metadata.queries import meta
from holdfast.registry.clock import system_clock
from holdfast.registry.exporting import Exporter
from holdfast.registry.report import Report, Tell
from holdfast.registry.tree import TreeWriter
from holdfast.registry.verifying import Verifier
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
    if place.in_memory:
        raise PlaceError("the registry is in memory: there is nothing on disk to work on")
    if place.mode == "read-only":
        raise PlaceError(place.why)
    async with AsyncExitStack() as stack:
        if alone or place.mode == "exclusive":
            for file in places.lock(place, doing):
                stack.callback(os.close, file)
        ends = await back_ends(settings, place, stack)
        assert ends.links  # noqa: S101 - it is not in memory
        await ends.migrate()
        if alone and place.server:
            await stack.enter_async_context(ends.locks.hold(ALONE))
            await _see_nobody(ends.database, place)
        yield Offline(place, ends.database, ends.store, ends.links, ends.tree, ends.locks)


async def _see_nobody(database: Database, place: Place) -> None:
    """Raise `PlaceError` while nodes serve."""
    nodes = await database.read(serving)
    if nodes:
        raise PlaceError(
            f"{nodes} nodes use {place.names_in}: stop them first; a node that was killed counts for half a minute"
        )


def _beginning(data: Offline) -> Beginning:
    return Beginning(data.place, data.database, data.store, data.links, data.tree, data.locks, system_clock)


async def import_tree(settings: Settings) -> Report:
    """Take over all that the tree says. Raises as `opened`."""
    async with opened(settings, "importing", alone=True) as data:
        await recognise(data.database, data.store, data.links, data.place)
        await data.tree.drain(adopt=True)
        return await _beginning(data).take_over(quiet=True)


async def export_tree(settings: Settings, *, prune: bool, overwrite: bool, tell: Tell) -> Report:
    """Write the tree from the database; with `prune`, remove the links that the database does not know; with `overwrite`, also write tags that
    the tree has elsewhere. Raises as `opened`.
    """
    async with opened(settings, "exporting", alone=True) as data:
        await check_knowledge(data.database, data.store, data.place)
        exporter = Exporter(data.database, data.store, data.links, data.tree, tell)
        report = await exporter.run(prune=prune, overwrite=overwrite)
        if data.tree.keeps_links:
            await data.database.write(lambda c: meta.remove(c, LACKING_LINKS))
        return report


async def verify(settings: Settings, *, hashing: bool, tell: Tell) -> Report:
    """Check database, tree and (with `hashing`) the bytes of all blobs against each other, beside a server if need be. Raises as `opened`."""
    async with opened(settings, "verifying", alone=False) as data:
        return await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=False, hashing=hashing)


async def repair(settings: Settings, *, hashing: bool, tell: Tell) -> tuple[Report, Report]:
    """Check and repair: what was found, and what is left. Raises as `opened`."""
    async with opened(settings, "repairing", alone=True) as data:
        await recognise(data.database, data.store, data.links, data.place)
        await data.tree.drain(adopt=True)
        found = await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=True, hashing=hashing)
        await _beginning(data).take_over(quiet=True)
        left = await Verifier(data.database, data.store, data.links, data.tree, tell).run(repair=False, hashing=False)
        return found, left
