"""Which processes serve a database server's registry, so that a command that must be alone knows of them, and they of it.

Each announces itself before it looks whether a command is at work, and a command says so before it looks who serves: one of them sees the other.
"""

import asyncio
from uuid import uuid4

from holdfast.metadata.port import Connection, Database, DatabaseUnavailable
from holdfast.metadata.queries import leases
from holdfast.storage.locks import Locks
from holdfast.storage.port import StorageError

SERVING = "serving "
"""The begin of the names of the leases of processes that serve."""

ALONE = "alone"
"""The name of the lease of a command that must be alone."""

AGAIN = 1.0


def serving(connection: Connection) -> int:
    """How many nodes serve."""
    return leases.counted(connection, SERVING)


class Presence:
    """The announcement of one process. `start` is the same for all processes of a node."""

    def __init__(self, locks: Locks, database: Database, start: str) -> None:
        self._name = f"{SERVING}{start} {uuid4()}"
        self._locks = locks
        self._database = database
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def announce(self) -> None:
        """Announce this process until `close`, and wait while a command is alone. Raises `DatabaseUnavailable`."""
        if self._task is None:
            self._task = asyncio.create_task(self._serve(self._name))
        try:
            await asyncio.wait_for(self._told.wait(), AGAIN * 10)
        except TimeoutError:
            raise DatabaseUnavailable("this process could not announce itself") from None
        while await self._database.read(lambda c: leases.is_taken(c, ALONE)):  # noqa: ASYNC110 - another process
            await asyncio.sleep(AGAIN)

    async def close(self) -> None:
        """Take the announcement back."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _serve(self, name: str) -> None:
        while True:
            try:
                async with self._locks.hold(name):
                    self._told.set()
                    await asyncio.Event().wait()
            except StorageError:  # the database is away: so is everything that could be written
                await asyncio.sleep(AGAIN)
