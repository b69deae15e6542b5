"""`holdfast garbage-collect`: a collection beside the running server, or without one."""

import asyncio
import os
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from uuid import uuid4

from holdfast.app import place as places
from holdfast.app.back_ends import back_ends
from holdfast.app.begin import TAKEN, Beginning
from holdfast.app.place import Place, PlaceError, PlaceTaken
from holdfast.config.settings import Settings
from holdfast.gc.collector import CollectionUnderWay, Collector, Wanted
from holdfast.gc.events import Summary, Tell
from holdfast.metadata.port import Database
from holdfast.metadata.queries import meta
from holdfast.registry.clock import system_clock
from holdfast.registry.import_batch import PARTLY
from holdfast.registry.tree import TreeWriter
from holdfast.storage import paths
from holdfast.storage.filesystem_links import FilesystemLinkReader

READY_SECONDS = 30.0
"""How long to wait for a server that has just been started."""


def collect(settings: Settings, wanted: Wanted, tell: Tell) -> Summary:
    """Collect garbage where the settings say. Raises `PlaceError`, `StorageError`, `DatabaseError`; interrupted at any moment, the next
    collection goes on.

    Where no server runs, the place is taken for as long as it lasts, and what registry:2 may have written is taken over first: what the
    database does not know must not pass for garbage.
    """
    place = _find(settings)
    with ExitStack() as stack:
        try:
            for file in places.lock(place, "collecting garbage"):
                stack.callback(os.close, file)
            served = False
        except PlaceTaken as taken:
            if place.mode == "exclusive":
                raise PlaceError(
                    f"a server ({taken.who}) has the database to itself; stop it for the collection: {place.why}"
                ) from None
            served = True
        return asyncio.run(_collect(settings, place, wanted, tell, served=served))


def _find(settings: Settings) -> Place:
    if settings.storage.filesystem is None:
        raise PlaceError(
            "the storage is in memory, inside the server: there is nothing to collect; a restart empties it"
        )
    root = Path(settings.storage.filesystem.rootdirectory).absolute()
    if not (root / paths.ROOT).is_dir():
        raise PlaceError(
            f"there is no registry in {root}: give the configuration file that the server uses, or set"
            " storage.filesystem.rootdirectory (REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY) to its directory"
        )
    place = places.find(settings)
    if place.mode == "read-only":
        raise PlaceError(f"nothing can be deleted: {place.why}")
    return place


async def _collect(settings: Settings, place: Place, wanted: Wanted, tell: Tell, *, served: bool) -> Summary:
    async with AsyncExitStack() as stack:
        store, database, locks = back_ends(settings, place)
        stack.push_async_callback(store.close)
        stack.push_async_callback(database.close)
        stack.callback(locks.close)
        tree = TreeWriter(database, store, locks, system_clock)
        stack.push_async_callback(tree.close)
        if served:
            await _begun(database, place)
        else:
            await Beginning(place, database, store, tree, locks, system_clock).run(str(uuid4()))
        if await database.read(lambda c: meta.get(c, PARTLY)):
            raise PlaceError(
                f"parts of {place.root} cannot be read, so nobody can tell what is garbage; `holdfast import` names them:"
                " correct their rights and start again"
            )
        assert place.root  # noqa: S101 - there is one where there is a directory
        links = FilesystemLinkReader(place.root)
        try:
            return await Collector(database, store, links, tree, locks, system_clock, wanted, tell).run()
        except CollectionUnderWay:
            raise PlaceError("another garbage collection is under way here; wait until it has ended") from None
    raise AssertionError  # pragma: no cover - the block above returns or raises


async def _begun(database: Database, place: Place) -> None:
    """Wait until the server has taken over what was written while none ran."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            while await database.read(lambda c: meta.get(c, TAKEN)) != str(places.taken_at(place)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise PlaceError(
            "the server is still reading what was written while it did not run; collect when its /readyz answers 200"
        ) from None
