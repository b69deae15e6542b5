"""Old uploads that nobody goes on with, removed as `storage.maintenance.uploadpurging` says."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from holdfast.config.settings import UploadPurging
from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import blobs, parts
from holdfast.registry.clock import Clock
from holdfast.registry.uploads import Uploads
from holdfast.storage.port import BlobStore

log = structlog.get_logger("holdfast")

DAY = 24 * 60 * 60 * 1000
"""Milliseconds after which a claim belongs to nobody: it lasts for as long as a blob is put in place."""


@dataclass(frozen=True, slots=True)
class Purging:
    """Removes old uploads. `shared`: whether several nodes serve, so that what a killed process left is nobody's until it is old."""

    uploads: Uploads
    store: BlobStore
    database: Database
    clock: Clock
    rules: UploadPurging
    shared: bool

    async def run(self) -> None:
        """Look for old uploads once. Raises `StorageError`, `DatabaseError`."""
        age = int(self.rules.age * 1000)
        if self.rules.dryrun:
            await self._tell(age)
            return
        expired = await self.uploads.expire(age)
        if expired:
            log.info("removed uploads that nobody went on with", uploads=expired)
        swept = await self.store.sweep(self.clock() - age, self._known)
        if swept:
            log.info("removed what requests that were killed had left in the store", objects=swept)
        if self.shared:
            before = self.clock() - max(age, DAY)
            await self.database.write(lambda c: blobs.release_old(c, before))

    async def _known(self, names: Sequence[str]) -> set[str]:
        def work(connection: Connection) -> set[str]:
            return parts.known(connection, names)

        return await self.database.read(work)

    async def _tell(self, age: int) -> None:
        for upload_id, repository in await self.uploads.expired(age):
            log.info("an upload that nobody went on with would be removed", upload=upload_id, repository=repository)
