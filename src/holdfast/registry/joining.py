"""Joining: blobs whose bytes came in parts are put at registry:2's place in the background, and the parts go when nobody reads them any more."""

from dataclasses import dataclass, field
from uuid import uuid4

import structlog

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import blobs, parts
from holdfast.metadata.queries.blobs import Blob
from holdfast.registry.clock import Clock
from holdfast.registry.manifests import READ_FOR
from holdfast.storage.background import all_ended
from holdfast.storage.port import BlobStore, StorageError

log = structlog.get_logger("holdfast.joining")

PAGE = 100
AGAIN = 60 * 60 * 1000
"""Milliseconds after which parts that are missing or damaged are looked at again."""

AT_ONCE = 2
"""Blobs that are joined at the same time."""


@dataclass(frozen=True, slots=True)
class Joiner:
    """Joins blobs. One node at a time does it, under a lease. `keep`: milliseconds for which parts stay after that."""

    database: Database
    store: BlobStore
    clock: Clock
    keep: int = READ_FOR
    _hopeless: dict[str, int] = field(default_factory=dict)
    """Until when parts that could not be joined are left alone."""

    async def run(self) -> int:
        """Join all that there is, and remove what is left over; gives the number of blobs joined. Raises `StorageError`, `DatabaseError`."""
        joined = 0
        after = ""
        while page := await self.database.read(lambda c, a=after: parts.parted(c, a, PAGE)):  # type: ignore[misc]
            after = page[-1].digest
            for first in range(0, len(page), AT_ONCE):
                joined += sum(await all_ended(map(self._join, page[first : first + AT_ONCE])))
        await self.tidy()
        return joined

    async def tidy(self) -> None:
        """Remove the parts whose time is over."""
        while old := await self.database.read(lambda c: parts.left_over(c, self.clock(), PAGE)):
            for digest, where in old:
                await self.store.drop(digest, where)
                await self.database.write(lambda c, d=digest, w=where: parts.dropped(c, d, w))  # type: ignore[misc]

    async def _join(self, blob: Blob) -> bool:
        holder, now = f"joining {uuid4()}", self.clock()

        def claim(connection: Connection) -> bool:
            return parts.claim(connection, holder, blob, now)

        if self._hopeless.get(blob.parts, 0) > now or not await self.database.write(claim):
            return False
        try:
            if await self.store.join(blob.digest, blob.parts):
                due = self.clock() + self.keep
                return await self.database.write(lambda c: parts.joined(c, blob, due))
            self._hopeless[blob.parts] = now + AGAIN
            log.error("the bytes of a blob are missing or damaged; pushing it again mends it", digest=blob.digest)
        except StorageError as error:
            log.warning(
                "a blob could not be put in place; it is served from its parts", digest=blob.digest, error=str(error)
            )
        finally:
            await self.database.write(lambda c: blobs.release(c, holder))
        return False
