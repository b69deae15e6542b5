"""The link tree written from a queue: with a database server, answers do not wait for links. (Invariant I2)

Dirty rows are the queue. One node at a time works on it, under a lease; what it does not come to, another one does. Whatever order links are
written in, each is read from the database under the lease just before, so the tree ends where the database does.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import structlog

from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import dirty
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.registry.tree import TreeWriter
from holdfast.storage.background import all_ended
from holdfast.storage.locks import Locks, MemoryLocks
from holdfast.storage.port import BlobStore, StorageError

log = structlog.get_logger("holdfast.tree")

TOGETHER = 500
AT_ONCE = 16
"""Repositories whose links are written at the same time."""

LOOK_EVERY = 1.0
"""Seconds between two looks for rows that other nodes have left."""

RETRY_AFTER = 10.0

AT_THE_END = 2.0
"""Seconds that an orderly stop waits for links."""

LEASE = "link tree"


class TreeQueue(TreeWriter):
    """Leaves dirty rows where they are, for whoever runs `work_off`. `written`: whether links are written at all."""

    def __init__(self, database: Database, store: BlobStore, leases: Locks, *, written: bool = True) -> None:
        super().__init__(database, store, MemoryLocks())
        self._leases = leases
        self._links = written
        self._moved = asyncio.Event()
        self._begun = False

    @property
    def keeps_links(self) -> bool:
        return self._links

    async def settle(self) -> None:
        await self.drain(adopt=False)

    async def write(self, rows: Sequence[DirtyRow]) -> None:
        """Let the queue be looked at soon."""
        if rows:
            self._moved.set()

    async def remove(self, rows: Sequence[DirtyRow]) -> None:
        """As `write`: a deletion holds, since links are not read while there is a database."""
        await self.write(rows)

    async def drain(self, *, adopt: bool) -> int:
        """Write all links that are waiting; gives the number of rows. Nothing is adopted: see `TreeWriter.drain`. Raises as that one."""
        del adopt
        position = total = 0
        failure: StorageError | None = None
        async with self._leases.hold(LEASE):
            while rows := await self._database.read(lambda c, p=position: dirty.some(c, p, TOGETHER)):  # type: ignore[misc]
                position = rows[-1].id
                written, error = await self._write_batch(rows)
                total += written
                failure = failure or error
        if failure:
            raise failure
        return total

    async def work_off(self) -> None:
        """Write links as names move, here and on other nodes, until cancelled."""
        self._begun = True
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), LOOK_EVERY)
            self._moved.clear()
            try:
                if await self._database.read(lambda c: dirty.some(c, 0, 1)):
                    await self.drain(adopt=False)
            except (StorageError, DatabaseError) as error:
                log.error("links were not written", error=str(error), retry_seconds=RETRY_AFTER)
                await asyncio.sleep(RETRY_AFTER)
            except Exception:
                log.exception("a defect of the program: links were not written")
                await asyncio.sleep(RETRY_AFTER)

    async def close(self) -> None:
        """Write what is waiting, if that takes no time; what stays is written by others, or at the next start."""
        with suppress(StorageError, DatabaseError, TimeoutError):
            async with asyncio.timeout(AT_THE_END):
                if self._begun:
                    await self.drain(adopt=False)
        await super().close()

    async def _write_batch(self, rows: Sequence[DirtyRow]) -> tuple[int, StorageError | None]:
        """Write links, those of one repository in order; gives the number of rows that are done, and what prevented others."""
        by_repository: dict[str, list[DirtyRow]] = {}
        for row in rows:
            by_repository.setdefault(row.repository, []).append(row)
        room = asyncio.Semaphore(AT_ONCE)
        results = await all_ended(self._write_all(group, room) for group in by_repository.values())
        written = [id_ for ids, _ in results for id_ in ids]
        await self._database.write(lambda c: dirty.clean(c, written))
        return len(written), next((error for _, error in results if error), None)

    async def _write_all(
        self, rows: Sequence[DirtyRow], room: asyncio.Semaphore
    ) -> tuple[list[int], StorageError | None]:
        """Write the links of one repository, each once; gives the rows that are done, and what prevented the others."""
        names: dict[tuple[str, str], list[DirtyRow]] = {}
        for row in rows:
            names.setdefault((row.kind, row.name), []).append(row)
        done: list[int] = []
        async with room:
            for moves in names.values():
                before = next((row.before for row in moves if row.before), None)
                try:
                    if self._links:
                        await self._write_row(replace(moves[-1], before=before))
                except StorageError as error:
                    return done, error
                done += [row.id for row in moves]
        return done, None
