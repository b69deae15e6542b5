"""Uploads: how blobs come in. (distribution-spec 1.1 "Pushing blobs"; end-4 to end-6, end-13, end-14)

What a request appended counts only when all of it arrived and is durable; of a request that was cut off nothing stays (the client
sends it again). An upload that became a blob is remembered for an hour, so that a closing request whose answer was lost can be repeated.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import blobs, dirty, uploads
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.metadata.queries.uploads import UploadRow
from holdfast.model.digests import Digest, algorithm_of
from holdfast.model.errors import BLOB_UPLOAD_UNKNOWN, DIGEST_INVALID, RANGE_INVALID, UNAVAILABLE, Failure
from holdfast.model.ranges import Span, upload_range
from holdfast.registry.claims import Claims
from holdfast.registry.clock import Clock, rfc3339
from holdfast.registry.manifests import READ_FOR
from holdfast.registry.tree import TreeWriter
from holdfast.storage.port import BlobStore, Progress, Upload, UploadBusy, UploadKey, UploadLost

EXPIRED_TOGETHER = 1000

WAIT = 20.0
"""Seconds that a request waits for another one on the same upload; clients give up after 30."""


class Body(Protocol):
    """A request's body."""

    length: int | None
    """Bytes announced, or None if unknown."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class OutOfOrder(Failure):
    """A chunk that does not start where its upload stands: at `offset` bytes."""

    def __init__(self, row: UploadRow) -> None:
        super().__init__(RANGE_INVALID, detail={"upload": row.id, "range": upload_range(row.size)})
        self.offset = row.size


@dataclass(frozen=True, slots=True)
class Uploads:
    """The uploads of all repositories."""

    database: Database
    store: BlobStore
    tree: TreeWriter
    claims: Claims
    clock: Clock

    async def start(self, repository: str, expected: int = 0) -> str:
        """Begin an upload of perhaps `expected` bytes; gives its id, a UUID. Raises `StorageFull`, `StorageReadOnly`."""
        self.store.check_room(expected)
        upload_id = str(uuid4())
        now = self.clock()
        await self.database.write(lambda c: uploads.start(c, upload_id, repository, now))
        return upload_id

    async def status(self, repository: str, upload_id: str) -> int:
        """The bytes that an upload has. Raises `Failure(BLOB_UPLOAD_UNKNOWN)`."""
        return (await self._find(repository, upload_id)).size

    async def append(self, repository: str, upload_id: str, span: Span | None, body: Body) -> int:
        """Add a chunk; gives the bytes that the upload has now.

        `span`: where the chunk belongs, or None for the end. Raises `OutOfOrder` if that is not where the upload
        stands, `Failure(BLOB_UPLOAD_UNKNOWN)`, what the body raises, `StorageError`.
        """
        self.store.check_room(body.length or 0)
        async with self._held(repository, upload_id) as (row, upload):
            progress = await self._receive(row, upload, span, body)
            await self._record(row, progress)
            return progress.offset

    async def _record(self, row: UploadRow, progress: Progress) -> None:
        """Record what a request added, unless another one was quicker."""
        now = self.clock()

        def work(connection: Connection) -> bool:
            return uploads.record(
                connection, row, progress.offset, progress.digest, progress.state, now, progress.parts
            )

        if not await self.database.write(work):
            raise OutOfOrder(await self._find(row.repository, row.id))

    async def finish(self, repository: str, upload_id: str, digest: Digest, span: Span | None, body: Body) -> None:
        """Add the last chunk, which may be empty, and make the upload the blob `digest` of its repository.

        Raises as `append`; `Failure(DIGEST_INVALID)` if the content has another digest: the upload is then gone.
        """
        try:
            self.store.check_room(body.length or 0)
            async with self._held(repository, upload_id) as (row, upload):
                claims: list[Digest] = []
                if not row.size and algorithm_of(digest) == "sha256":
                    upload.aim(digest, lambda size: self._claim(row, digest, size, claims))
                progress = await self._receive(row, upload, span, body)
                if progress.digest != digest and await upload.digest(algorithm_of(digest)) != digest:
                    await self._drop(row, progress.parts)
                    raise Failure(DIGEST_INVALID, "the content does not have this digest", detail={"digest": digest})
                await self._claim(row, progress.digest, progress.offset, claims)
                await self._link(row, progress.digest, digest, await upload.commit(progress.digest))
        except Failure as failure:
            if failure.kind is not BLOB_UPLOAD_UNKNOWN or not await self._was_closed(repository, upload_id, digest):
                raise

    async def forget(self, repository: str, upload_id: str) -> None:
        """Give an upload up if it is still there."""
        with suppress(Failure):
            await self.cancel(repository, upload_id)

    async def forget_all(self, repository: str) -> None:
        """Give up the uploads that are under way into a repository now."""
        for upload_id in await self.database.read(lambda c: uploads.of_repository(c, repository)):
            await self.forget(repository, upload_id)

    async def expired(self, age: int) -> list[tuple[str, str]]:
        """Ids and repositories of uploads that nothing was added to for more than `age` milliseconds; not all of very many."""
        before = self.clock() - age
        return await self.database.read(lambda c: uploads.untouched(c, before, EXPIRED_TOGETHER))

    async def forget_closed(self) -> None:
        """Forget the uploads that were closed some time ago."""
        now = self.clock()
        await self.database.write(lambda c: uploads.forget_closed(c, now))

    async def expire(self, age: int) -> int:
        """Give up the uploads that nothing was added to for more than `age` milliseconds; gives their number."""
        number = 0
        while old := await self.expired(age):
            for upload_id, repository in old:
                await self.forget(repository, upload_id)
            number += len(old)
        return number

    async def cancel(self, repository: str, upload_id: str) -> None:
        """Give an upload up, also while another request writes to it. Raises `Failure(BLOB_UPLOAD_UNKNOWN)`."""
        while not await self._drop(await self._find(repository, upload_id)):
            pass  # somebody added to it meanwhile

    async def _find(self, repository: str, upload_id: str) -> UploadRow:
        row = await self.database.read(lambda c: uploads.find(c, upload_id))
        if row is None or row.repository != repository or row.closed:
            raise Failure(BLOB_UPLOAD_UNKNOWN, detail={"upload": upload_id})
        return row

    async def _was_closed(self, repository: str, upload_id: str, digest: Digest) -> bool:
        row = await self.database.read(lambda c: uploads.find(c, upload_id))
        return row is not None and row.repository == repository and row.closed == digest

    @asynccontextmanager
    async def _held(self, repository: str, upload_id: str) -> AsyncIterator[tuple[UploadRow, Upload]]:
        """Hold an upload for one request; after waiting for another one, this finds what that one left."""
        key = _key(await self._find(repository, upload_id))
        try:
            upload = await self.store.hold(key, WAIT)
        except UploadBusy:
            raise Failure(
                UNAVAILABLE, "another request writes to this upload", headers=[("Retry-After", "5")]
            ) from None
        try:
            row = await self._find(repository, upload_id)
            await upload.rewind(Progress(row.size, row.digest, row.state, row.parts) if row.digest else None)
            yield row, upload
        except UploadLost:
            if not await self._finished(row):
                await self._drop(row)
            raise Failure(
                BLOB_UPLOAD_UNKNOWN, "the bytes of this upload are gone", detail={"upload": upload_id}
            ) from None
        except Failure as failure:
            if failure.kind is BLOB_UPLOAD_UNKNOWN:
                await self.store.discard(key)
            raise
        finally:
            await upload.close()

    async def _receive(self, row: UploadRow, upload: Upload, span: Span | None, body: Body) -> Progress:
        if span and (span.start != row.size or body.length not in (None, span.length)):
            raise OutOfOrder(row)
        added = await upload.append(body.__aiter__())
        if span and added != span.length:
            raise OutOfOrder(row)
        if row.digest and not added:
            return Progress(row.size, row.digest, row.state, row.parts)
        return await upload.sync()

    async def _claim(self, row: UploadRow, blob: Digest, size: int, done: list[Digest]) -> None:
        """Claim unless it is `done`, put the bytes in place, then link: no file is ever without a row. (Invariant I3)"""
        now = self.clock()
        if blob in done:
            return

        def claim(connection: Connection, revive: bool) -> None:
            if not uploads.is_unchanged(connection, row):
                raise Failure(BLOB_UPLOAD_UNKNOWN, detail={"upload": row.id})
            blobs.claim(connection, row.id, blob, size, now, revive=revive)

        await self.claims.take(claim)
        done.append(blob)

    async def _link(self, row: UploadRow, blob: Digest, digest: Digest, parts: str) -> None:
        now = self.clock()

        def work(connection: Connection) -> list[DirtyRow]:
            if not uploads.is_unchanged(connection, row):
                raise Failure(BLOB_UPLOAD_UNKNOWN, "the upload was cancelled", detail={"upload": row.id})
            dirty.follow(connection)
            linked = blobs.link(connection, row.repository, blob, now)
            if digest != blob:
                linked |= blobs.alias(connection, digest, blob)
            if linked:
                dirty.mark(connection, row.repository, "blob", blob, None)
            uploads.close(connection, row.id, digest, now)
            blobs.settle(connection, row.id, blob, parts, now + READ_FOR)
            return dirty.followed(connection)

        rows = await self.database.write(work)
        await asyncio.gather(self.store.discard(_key(row)), self.tree.write(rows))

    async def _finished(self, row: UploadRow) -> bool:
        """Finish an upload whose bytes were in place already when the process that closed it was killed; tells whether it was one."""
        claimed = await self.database.read(lambda c: blobs.claimed(c, row.id))
        if claimed is None or await self.store.stat(claimed.digest) != claimed.size:
            return False
        await self._link(row, claimed.digest, claimed.digest, "")
        return True

    async def _drop(self, row: UploadRow, parts: str = "") -> bool:
        """Remove an upload that was found as `row`, with its bytes, those in `parts` among them; tells whether nothing was added since, nor made
        a blob of it: then all stays. The row goes first, so that nobody makes a blob of bytes that are going; what a crash leaves is swept when
        it is old.
        """

        def work(connection: Connection) -> bool:
            removed = uploads.remove(connection, row)
            if removed:
                blobs.release(connection, row.id)
            return removed

        removed = await self.database.write(work)
        if removed:
            await self.store.discard(_key(row), parts or row.parts)
        return removed


def _key(row: UploadRow) -> UploadKey:
    return UploadKey(row.repository, row.id, rfc3339(row.started_at))
