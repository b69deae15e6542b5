"""Claims: what keeps a blob from the garbage collector while its bytes are put in place. (Invariant I3, "claim before rename")

A blob that is being deleted is not there any more, and is there again when the deletion is over: a push of the same bytes waits for that.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries.blobs import BeingDeleted
from holdfast.storage.locks import Locks

COLLECTION = "garbage collection"
"""The name of the lock that a garbage collector holds for as long as it may delete files."""

WAIT = 5.0
"""Seconds that a push waits for the end of a deletion."""

STEP = 0.5
"""Seconds that a look takes at most; a database server needs some of them to give a lease."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims blobs. `wait`: seconds that a push waits for the end of a deletion."""

    database: Database
    locks: Locks
    wait: float = WAIT

    async def take(self, work: Callable[[Connection, bool], None]) -> None:
        """Run `work` in a transaction. It claims a blob, with its second argument as `revive`.

        Where a collector was killed in the middle of a deletion, the blob is taken back from it. Raises what `work` raises; `BeingDeleted`
        if a deletion takes too long.
        """
        end = time.monotonic() + self.wait
        while True:
            try:
                return await self.database.write(lambda c: work(c, False))
            except BeingDeleted:
                if time.monotonic() > end:
                    raise
            async with AsyncExitStack() as stack:
                if await attempt(self.locks, COLLECTION, stack, STEP):
                    return await self.database.write(lambda c: work(c, True))


async def attempt(locks: Locks, name: str, stack: AsyncExitStack, seconds: float) -> bool:
    """Try for some time to hold a lock until `stack` ends; tells whether it is held. Raises `StorageError`."""
    try:
        async with asyncio.timeout(seconds):
            await stack.enter_async_context(locks.hold(name))
    except TimeoutError:
        return False
    return True
