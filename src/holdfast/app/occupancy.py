"""Who uses a bucket: one database only, since each would know of its own pushes alone; an embedded one belongs to one server.

Directories have locks for that; a bucket has an object that the server writes again and again. Whether another one writes it is seen by its
changing: no clock is trusted.
"""

import asyncio
import json
import socket
from dataclasses import dataclass
from itertools import count
from uuid import uuid4

import structlog

from holdfast.app.place import PlaceError
from holdfast.metadata.port import Database, DatabaseError, DatabaseUnavailable
from holdfast.metadata.queries import meta
from holdfast.storage import paths
from holdfast.storage.port import BlobStore, StorageError

log = structlog.get_logger("holdfast")

EVERY = 8.0
"""Seconds between two signs of life."""

SILENT = 25.0
"""Seconds without a sign of life after which a server is taken for gone."""

LARGEST_WHO = 200

KEY = "database"


@dataclass(frozen=True, slots=True)
class Occupancy:
    """A server's claim on a bucket. `start` tells one start of the server from another; `shared`: whether others have the same
    database.
    """

    store: BlobStore
    database: Database
    place: str
    start: str
    shared: bool = False
    every: float = EVERY
    silent: float = SILENT

    async def take(self) -> None:
        """Take the bucket, waiting for the end of a server that may have been killed. Raises `PlaceError` if another one lives, `StorageError`."""
        found = await self.store.read_file(paths.SERVER)
        if found and _of(found, "database") != await self._own():
            log.warning("waiting whether another server uses the bucket", server=_of(found, "who"), seconds=self.silent)
            await asyncio.sleep(self.silent)
            if await self.store.read_file(paths.SERVER) not in (None, found):
                raise PlaceError(
                    f"another server ({_of(found, 'who')}) keeps names for {self.place} in a database of its own; several servers on one bucket"
                    " need one database: set metadata.url to a PostgreSQL database for all of them"
                )
        await self._sign(0)

    async def keep(self) -> None:
        """Give signs of life, until another server has taken the bucket. Raises `PlaceError` then; `DatabaseError`."""
        for number in count(1):
            await asyncio.sleep(self.every)
            try:
                found = await self.store.read_file(paths.SERVER)
                if found and not await self._is_ours(found):
                    raise PlaceError(
                        f"{self.place} was taken by another server ({_of(found, 'who')}) with a database of its own; several servers on one"
                        " bucket need one database: set metadata.url"
                    )
                await self._sign(number)
            except (StorageError, DatabaseUnavailable) as error:
                log.warning("no sign of life could be given in the bucket", error=str(error))

    async def leave(self) -> None:
        """Let the next server begin at once."""
        try:
            found = await self.store.read_file(paths.SERVER)
            if found and await self._is_ours(found):
                await self.store.remove([paths.SERVER])
        except (StorageError, DatabaseError) as error:
            log.warning("the bucket is still taken for used for a moment", error=str(error))

    async def _is_ours(self, found: bytes) -> bool:
        if self.shared:
            return _of(found, "database") == await self._own()
        return _of(found, "start") == self.start

    async def _own(self) -> str:
        """What tells this server's database from any other."""
        if known := await self.database.read(lambda c: meta.get(c, KEY)):
            return known
        return await self.database.write(lambda c: meta.put_once(c, KEY, str(uuid4())))

    async def _sign(self, number: int) -> None:
        sign = {"start": self.start, "database": await self._own(), "who": socket.gethostname(), "sign": number}
        await self.store.write_files([(paths.SERVER, json.dumps(sign).encode())])


def _of(content: bytes, field: str) -> str:
    """A field of what a server wrote; empty where it cannot be read."""
    try:
        return str(json.loads(content)[field])[:LARGEST_WHO]
    except (ValueError, LookupError, TypeError):
        return ""
