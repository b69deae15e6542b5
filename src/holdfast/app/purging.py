"""Old uploads that nobody goes on with, removed as `storage.maintenance.uploadpurging` says."""

import asyncio

import structlog

from holdfast.config.settings import UploadPurging
from holdfast.metadata.port import DatabaseError
from holdfast.model.errors import Failure
from holdfast.registry.uploads import Uploads
from holdfast.storage.port import StorageError

log = structlog.get_logger("holdfast")


async def purge_uploads(uploads: Uploads, rules: UploadPurging) -> None:
    """Look for old uploads now and at each interval, until cancelled. One of the workers does it."""
    age = int(rules.age * 1000)
    while True:
        try:
            if rules.dryrun:
                await _tell(uploads, age)
            else:
                await _purge(uploads, age)
        except (StorageError, DatabaseError, Failure) as error:
            log.error("old uploads were not removed", error=str(error))
        await asyncio.sleep(rules.interval)


async def _purge(uploads: Uploads, age: int) -> None:
    expired = await uploads.expire(age)
    if expired:
        log.info("removed uploads that nobody went on with", uploads=expired)


async def _tell(uploads: Uploads, age: int) -> None:
    for upload_id, repository in await uploads.expired(age):
        log.info("an upload that nobody went on with would be removed", upload=upload_id, repository=repository)
