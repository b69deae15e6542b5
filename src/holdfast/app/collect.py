"""`holdfast garbage-collect`: a collection beside the running server, or without one."""

import asyncio
from pathlib import Path
from uuid import uuid4

from holdfast.app import place as places
from holdfast.app.begin import TAKEN, Beginning
from holdfast.app.offline import Offline, opened
from holdfast.app.place import PlaceError, PlaceTaken
from holdfast.config.settings import Settings
from holdfast.gc.collector import CollectionUnderWay, Collector, Wanted
from holdfast.gc.events import Summary, Tell
from holdfast.metadata.queries import meta
from holdfast.registry.clock import system_clock
from holdfast.registry.import_batch import PARTLY
from holdfast.storage import paths

READY_SECONDS = 30.0
"""How long to wait for a server that has just been started."""

DOING = "collecting garbage"


async def collect(settings: Settings, wanted: Wanted, tell: Tell) -> Summary:
    """Collect garbage where the settings say. Raises `PlaceError`, `StorageError`, `DatabaseError`; interrupted at any moment, the next
    collection goes on.

    Where no server runs, the place is taken for as long as it lasts, and what registry:2 may have written is taken over first: what the
    database does not know must not pass for garbage.
    """
    _check(settings)
    if settings.metadata.url:
        async with opened(settings, DOING, alone=False) as data:
            return await _run(data, wanted, tell)
    try:
        async with opened(settings, DOING, alone=True) as data:
            begin = Beginning(data.place, data.database, data.store, data.links, data.tree, data.locks, system_clock)
            await begin.run(str(uuid4()))
            return await _run(data, wanted, tell)
    except PlaceTaken as taken:
        who = taken.who
    return await _beside(settings, wanted, tell, who)


def _check(settings: Settings) -> None:
    """See that there is something: a mistyped directory must not become an empty registry."""
    if settings.storage.filesystem is None:
        return
    root = Path(settings.storage.filesystem.rootdirectory).absolute()
    if not (root / paths.ROOT).is_dir():
        raise PlaceError(
            f"there is no registry in {root}: give the configuration file that the server uses, or set"
            " storage.filesystem.rootdirectory (REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY) to its directory"
        )


async def _beside(settings: Settings, wanted: Wanted, tell: Tell, who: str) -> Summary:
    """Collect while `who` has the place: a server, or another command."""
    try:
        async with opened(settings, DOING, alone=False) as data:
            await _begun(data, who)
            return await _run(data, wanted, tell)
    except PlaceTaken as taken:
        raise PlaceError(
            f"a server ({taken.who}) has the database to itself, since it is on a network file system;"
            " stop it for the collection, or set metadata.path to a directory on a local disk"
        ) from None


async def _run(data: Offline, wanted: Wanted, tell: Tell) -> Summary:
    if await data.database.read(lambda c: meta.get(c, PARTLY)):
        raise PlaceError(
            f"parts of {data.place.bytes_in} cannot be read, so nobody can tell what is garbage; `holdfast import` names them:"
            " correct their rights, and start the server again"
        )
    collector = Collector(data.database, data.store, data.links, data.tree, data.locks, system_clock, wanted, tell)
    try:
        return await collector.run()
    except CollectionUnderWay:
        raise PlaceError("another garbage collection is under way here; wait until it has ended") from None


async def _begun(data: Offline, who: str) -> None:
    """Wait until the server has taken over what was written while none ran."""
    taken = str(places.taken_at(data.place))
    try:
        async with asyncio.timeout(READY_SECONDS):
            while await data.database.read(lambda c: meta.get(c, TAKEN)) != taken:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise PlaceError(
            f"names are still being read ({who}): collect when that has ended, for a server when its /readyz answers 200"
        ) from None
