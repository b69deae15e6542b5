"""Locks among nodes: leases in the database, which pass on when their holder is gone.

A lease lasts 20 seconds and is renewed every five. Who could not renew it for ten is told that it is lost, and has the other ten to stop:
until then nobody else gets it. A process that is stopped for longer than that, with its clock, does not notice in time.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any

from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import leases
from holdfast.storage.background import Background
from holdfast.storage.locks import MemoryLocks
from holdfast.storage.port import StorageUnavailable

SECONDS = 20.0
"""How long a lease lasts."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two looks at a lease that somebody else has."""

FORGOTTEN = 60 * 60 * 1000
"""Milliseconds after which a lapsed lease is removed."""


@dataclass(slots=True, eq=False)
class _Hold:
    """A lease that a task has: `renewed` when it was last known to be so, by the monotonic clock; `cancelling` as the task was before."""

    name: str
    task: asyncio.Task[Any]
    renewed: float
    cancelling: int
    lost: bool = False


class LeaseLocks:
    """Locks of one node. `holder`: a name that no other process has; `seconds`: how long a lease lasts that is not renewed."""

    def __init__(self, database: Database, holder: str, seconds: float = SECONDS) -> None:
        self._database = database
        self._holder = holder
        self._seconds = seconds
        self._milliseconds = round(seconds * 1000)
        self._numbers = count()
        self._inner = MemoryLocks()
        self._holds: dict[str, _Hold] = {}
        self._keeping: asyncio.Task[None] | None = None
        self._background = Background()
        self._tidy = False

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """As `Locks.hold`. What is done meanwhile is cancelled when the lease is lost, and ends with a `StorageUnavailable`."""
        task = asyncio.current_task()
        assert task  # noqa: S101 - a coroutine runs in a task
        async with self._inner.hold(name):
            holder = f"{self._holder} {next(self._numbers)}"
            renewed = await self._take(name, holder)
            hold = self._holds[holder] = _Hold(name, task, renewed, task.cancelling())
            self._keep()
            try:
                yield
            except asyncio.CancelledError:
                if not hold.lost or task.uncancel() > hold.cancelling:
                    raise
            finally:
                del self._holds[holder]
                await self._apart(self._release(name, holder))
            if hold.lost:
                raise StorageUnavailable(
                    f"the lease {name!r} was lost: the database could not be reached in time, or another node took it"
                )

    def close(self) -> None:
        """As `Locks.close`. What is still held lapses."""
        if self._keeping:
            self._keeping.cancel()
        self._holds.clear()

    async def _take(self, name: str, holder: str) -> float:
        """Wait for a lease; gives when it was asked for."""
        pause = FIRST_PAUSE
        try:
            while True:
                asked = time.monotonic()
                if await self._attempt(name, holder):
                    return asked
                while True:
                    await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
                    pause = min(pause * 1.5, LONGEST_PAUSE)
                    if not await self._database.read(lambda c: leases.is_taken(c, name)):
                        break
        except DatabaseError as error:
            raise StorageUnavailable(f"waiting for the lease {name!r}: {error}") from error

    async def _attempt(self, name: str, holder: str) -> bool:
        taking = self._background.start(
            self._database.write(lambda c: leases.take(c, name, holder, self._milliseconds))
        )
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            self._background.start(self._give_back(taking, name, holder))
            raise

    async def _give_back(self, taking: asyncio.Task[bool], name: str, holder: str) -> None:
        """Release what was perhaps taken for somebody who did not wait for it."""
        await asyncio.wait([taking])
        await self._release(name, holder)

    async def _release(self, name: str, holder: str) -> None:
        with suppress(DatabaseError):  # it lapses
            await self._database.write(lambda c: leases.release(c, name, holder))

    async def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it to the end, even if this task is cancelled meanwhile."""
        await asyncio.shield(self._background.start(work))

    def _keep(self) -> None:
        if not self._tidy:
            self._tidy = True
            self._background.start(self._database.write(lambda c: leases.forget(c, FORGOTTEN)))
        if self._keeping is None or self._keeping.done():
            self._keeping = self._background.start(self._keep_all())

    async def _keep_all(self) -> None:
        """Renew all that is held, in one transaction, until nothing is."""
        pause = self._seconds / 4
        while self._holds:
            await asyncio.sleep(pause)
            pause = self._seconds / (4 if await self._renewed() else 20)

    async def _renewed(self) -> bool:
        asked = time.monotonic()
        holders = {holder: hold.name for holder, hold in self._holds.items()}
        kept: set[str] | None = None
        with suppress(DatabaseError, TimeoutError):
            async with asyncio.timeout(self._seconds / 4):
                kept = await self._database.write(lambda c: leases.renew(c, holders, self._milliseconds))
        for holder in holders:
            hold = self._holds.get(holder)
            if hold is None or hold.lost:
                continue
            if kept is not None and holder in kept:
                hold.renewed = asked
            elif kept is not None or time.monotonic() - hold.renewed >= self._seconds / 2:
                hold.lost = True
                hold.task.cancel()
        return kept is not None
