"""What a server does between opening its port and answering for names: it sees that database and tree belong together, finishes what a
crash left, and takes over what registry:2 wrote.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import structlog

from holdfast.app import place as places
from holdfast.app.place import Place, PlaceError
from holdfast.metadata.port import Connection, Database, DatabaseFull, DatabaseUnavailable
from holdfast.metadata.queries import blobs, imports, meta, repositories
from holdfast.registry.claims import COLLECTION, attempt
from holdfast.registry.clock import Clock
from holdfast.registry.copying import INCOMPLETE
from holdfast.registry.import_batch import DONE, UNDER_WAY
from holdfast.registry.importing import Importer
from holdfast.registry.report import Report
from holdfast.registry.tree import TreeWriter
from holdfast.storage import paths
from holdfast.storage.links import LinkReader
from holdfast.storage.locks import Locks
from holdfast.storage.port import BlobStore, StorageFull, StorageUnavailable

SAMPLE = 1000
PATIENCE = 5.0
"""Seconds to wait for a collection that is under way."""

WAIT_AGAIN = 1.0
"""Seconds between two tries at a server that cannot be reached."""

TELL_EVERY = 10.0
"""Seconds between two lines that tell how far an import is."""

LACKING_LINKS = "links lacking"
"""Key of the note that links were not written for a time."""

LOOKED_AT = frozenset({"repositories"})
"""Numbers in a report that tell of no change."""

TAKEN = "taken"
"""Key of when the place was taken by the server whose start came to its end."""

log = structlog.get_logger("holdfast")


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first steps on a place that can be written."""

    place: Place
    database: Database
    store: BlobStore
    links: LinkReader | None
    tree: TreeWriter
    locks: Locks
    clock: Clock

    async def join(self) -> None:
        """The same as `run` for one of several nodes: the first one of all takes over what is in the store, the others wait for that. Claims and
        the tree are the business of all of them, and the database alone tells what is right. Raises as `run`.
        """
        known, due = await self.database.read(lambda c: (meta.get(c, "instance"), _is_due(c)))
        found = (await self.store.read_file(paths.INSTANCE) or b"").decode("ascii", "replace").strip()
        if known and not due and not self.tree.keeps_links:
            await self.database.write(lambda c: meta.put_once(c, LACKING_LINKS, "yes"))
        if known and not due and known == found:
            return
        async with self.locks.hold("start"):
            await recognise(self.database, self.store, self.links, self.place)
            if await self.database.read(_is_due):
                await self.take_over()
            if not self.tree.keeps_links:
                await self.database.write(lambda c: meta.put_once(c, LACKING_LINKS, "yes"))

    async def run(self, start: str) -> None:
        """Do what is left to do before names can be answered for. `start` tells one start of the server from another.

        The first process of a start knows that nobody else is at work: claims are void then, and what is in the tree and not in the database is
        registry:2's. Raises `PlaceError`, `StorageError`, `DatabaseError`.
        """
        async with self.locks.hold("start"):
            await recognise(self.database, self.store, self.links, self.place)
            try:
                await self._catch_up(start)
            except (StorageFull, DatabaseFull) as error:
                if await self.database.read(_is_due):
                    raise
                log.error("no room: what is left to do is done at the next start", error=str(error))

    async def _catch_up(self, start: str) -> None:
        first = await self.database.read(lambda c: meta.get(c, "start")) != start
        written = await self.tree.drain(adopt=first)
        if written:
            log.info("wrote links that were left unwritten", links=written)
        if first:
            if not self.place.bucket or await self.database.read(_is_due):
                await self.take_over()
            taken = str(places.taken_at(self.place))
            await self.database.write(lambda c: _begun(c, start, taken))

    async def take_over(self, *, quiet: bool = False) -> Report:
        """Import what the database does not know; the result is logged unless `quiet`. Raises as `run`."""
        if self.links is None:
            return Report()
        if await self.database.read(lambda c: meta.get(c, LACKING_LINKS)):
            raise PlaceError(
                f"links were not written for a time (storage.links.disabled), so {self.place.bytes_in} lacks names that the database in"
                f" {self.place.names_in} has: let `holdfast export` write them first"
            )
        async with AsyncExitStack() as stack:
            alone = await attempt(self.locks, COLLECTION, stack, PATIENCE)
            importer = Importer(self.database, self.store, self.links, self.tree, self.clock, alone=alone)
            await stack.enter_async_context(_telling(importer.report, whole=await self.database.read(_is_due)))
            report = await importer.run()
        if not quiet:
            tell(report)
        return report


async def begun(
    beginning: Beginning, migrate: Callable[[], Awaitable[None]], start: str, waits: Callable[[str], None]
) -> None:
    """Do what comes before names can be answered for. Where a server has the database or the bytes and cannot be reached, this waits for it;
    `waits` is told why, each time.

    Raises as `Beginning.run`.
    """
    place = beginning.place
    told = False
    while True:
        try:
            await migrate()
            if place.server:
                await beginning.join()
            elif place.mode != "read-only":
                await beginning.run(start)
        except (DatabaseUnavailable, StorageUnavailable) as error:
            if not place.server and not place.bucket:
                raise
            if not told:
                log.error("waiting for what this server needs", error=str(error))
            told = True
            waits(str(error))
            await asyncio.sleep(WAIT_AGAIN)
        else:
            return


def _begun(connection: Connection, start: str, taken: str) -> None:
    blobs.release_all(connection)
    meta.put(connection, "start", start)
    meta.put(connection, TAKEN, taken)


def _is_due(connection: Connection) -> bool:
    return meta.get(connection, DONE) is None or meta.get(connection, UNDER_WAY) is not None


@asynccontextmanager
async def _telling(report: Report, *, whole: bool) -> AsyncIterator[None]:
    """Log now and then how far an import is."""

    async def tell_again() -> None:
        while True:
            await asyncio.sleep(TELL_EVERY)
            log.info("reading the tree", **_numbers(report))

    if whole:
        log.info("reading the tree: the names of what is stored are imported")
    task = asyncio.create_task(tell_again())
    try:
        yield
    finally:
        task.cancel()


def tell(report: Report) -> None:
    """Log what an import did and what it could not use."""
    if any(number for name, number in report.numbers.items() if name not in LOOKED_AT):
        log.info("took over what the tree says", **_numbers(report))
    for why, reason in report.skipped.items():
        log.warning("skipped in the tree", why=why, count=reason.count, examples=reason.examples[:3])


def _numbers(report: Report) -> dict[str, int]:
    return {name.replace(" ", "_"): number for name, number in report.numbers.items() if number}


async def check_knowledge(database: Database, store: BlobStore, place: Place) -> None:
    """Raise `PlaceError` unless a database knows all of the tree that belongs to it, so that the tree can be written from it."""
    found = (await store.read_file(paths.INSTANCE) or b"").decode("ascii", "replace").strip()
    known, due = await database.read(lambda c: (meta.get(c, "instance"), _is_due(c)))
    if due or not known or (found and found != known):
        raise PlaceError(
            f"the database in {place.names_in} does not know all that is in {place.bytes_in}: let `holdfast import` read it first,"
            " or set metadata.path to the directory of the database that belongs to it"
        )


async def _is_another(database: Database, links: LinkReader, place: Place) -> bool:
    """Whether a tree that says nothing of its database has none of the repositories that this one knows."""
    names = await database.read(lambda c: imports.names(c, "", SAMPLE))
    return await _has(links, place, "repositories") and await links.absent(names) == names


async def _has(links: LinkReader, place: Place, part: str) -> bool:
    """Whether a part of the tree (`repositories` or `blobs/sha256`) holds anything."""
    if place.root:
        return places.has(place.root, part)
    if part == "repositories":
        async for page in links.repositories():
            if page.names:
                return True
        return False
    async for shard in links.shards():
        if shard.digests:
            return True
    return False


def _founded(connection: Connection, *, empty: bool) -> str:
    """Give a new database its id; of an `empty` tree everything is known."""
    if empty:
        meta.put(connection, DONE, "yes")
    return meta.put_once(connection, "instance", str(uuid4()))


async def recognise(database: Database, store: BlobStore, links: LinkReader | None, place: Place) -> None:
    """See that database and tree belong together, and mark a fresh one. Raises `PlaceError` if they do not."""
    if links is None:
        return
    known = await database.read(lambda c: meta.get(c, "instance"))
    found = (await store.read_file(paths.INSTANCE) or b"").decode("ascii", "replace").strip()
    repositories_known, blobs_known = await database.read(
        lambda c: (not repositories.are_none(c) and imports.is_clean(c), imports.has_blobs(c))
    )
    if found.startswith(INCOMPLETE):
        raise PlaceError(
            f"{place.bytes_in} is an incomplete copy of another store: run `holdfast storage copy` again until it comes to its end"
        )
    if found and found != known and (repositories_known or blobs_known):
        raise PlaceError(
            f"{place.bytes_in} was filled by a registry whose database is not the one in {place.names_in}; set metadata.path to the"
            " directory that has it, or move this database away: the names are then read from the tree"
        )
    if known and repositories_known and not found and await _is_another(database, links, place):
        raise PlaceError(
            f"{place.bytes_in} has none of the repositories that the database in {place.names_in} knows; set metadata.path to the directory of"
            " the database that belongs to it, or move this database away: the names are then read from the tree"
        )
    for part, expected in (("repositories", repositories_known), ("blobs/sha256", blobs_known)):
        if expected and not await _has(links, place, part):
            raise PlaceError(
                f"{place.bytes_in}/{paths.ROOT}/{part} is empty, but the database in {place.names_in} knows what was there: is a disk"
                " not mounted? If links alone were lost, `holdfast export` writes them again"
            )
    if found and not known:
        log.warning(
            "the database is new or was lost: names are read from the tree;"
            " what only the database had (history, times of pushes by users) is gone"
        )
    if not known:
        empty = not await _has(links, place, "repositories") and not await _has(links, place, "blobs")
        known = await database.write(lambda c: _founded(c, empty=empty))
    if found != known:
        await store.write_files([(paths.INSTANCE, f"{known}\n".encode())])
