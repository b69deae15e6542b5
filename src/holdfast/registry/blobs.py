"""Blobs of repositories: reading, mounting, deleting. (distribution-spec 1.1 "Pulling blobs", "Mounting", "Deleting blobs")"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import structlog

from holdfast.metadata.port import Connection, Database, DatabaseError
from holdfast.metadata.queries import blobs, dirty, repositories
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.digests import Digest
from holdfast.model.errors import BLOB_REFERENCED, BLOB_UNKNOWN, Failure
from holdfast.model.names import is_repository
from holdfast.registry.clock import Clock
from holdfast.registry.tree import TreeWriter
from holdfast.storage.port import BlobReader, BlobStore, StorageError

log = structlog.get_logger("holdfast.blobs")

TOUCH_EVERY = 10_000
"""Milliseconds between two records that a blob was asked for. The collector's grace is longer by that."""

SEARCHED = 100
"""The most repositories that are looked at for a mount without a source."""


@dataclass(frozen=True, slots=True)
class Blobs:
    """The blobs of all repositories."""

    database: Database
    store: BlobStore
    tree: TreeWriter
    clock: Clock

    async def find(self, repository: str, digest: Digest) -> Blob:
        """A blob of a repository. Raises `Failure(BLOB_UNKNOWN)`, whether or not the repository is known, as registry:2 does."""
        found = await self.database.read(lambda c: blobs.find(c, repository, digest))
        if found is None:
            raise Failure(BLOB_UNKNOWN, detail={"name": repository, "digest": digest})
        return found

    async def keep(self, repository: str, digest: Digest) -> None:
        """Let the collector's grace of a blob begin anew: who asked for it will rely on the answer. Raises as `find`."""
        found = await self.find(repository, digest)
        now = self.clock()
        if await self.database.read(lambda c: blobs.untouched(c, found.digest, now - TOUCH_EVERY)):
            with suppress(DatabaseError):  # pulls go on while nothing can be written
                if not await self.database.write(lambda c: blobs.touch(c, repository, digest, now)):
                    raise Failure(BLOB_UNKNOWN, detail={"name": repository, "digest": digest})

    async def measure(self, repository: str, digest: Digest, found: Blob) -> BlobReader:
        """As `open`, for who wants to know only whether the bytes are there: nothing can be read from it."""
        if await self.store.stat(found.digest, found.parts) != found.size:
            raise _lost(repository, digest, found)
        return _Measured(found.size)

    async def open(self, repository: str, digest: Digest, found: Blob) -> BlobReader:
        """Open what `find` gave; the caller closes it. Raises as `find`, also where the bytes are lost: then a push mends it."""
        reader = await self.store.open(found.digest, found.parts)
        if reader is not None and reader.size == found.size:
            return reader
        if reader is not None:
            reader.close()
        raise _lost(repository, digest, found)

    async def url(self, found: Blob) -> str | None:
        """An address at which the client can read what `find` gave; None where the store has none."""
        return await self.store.url(found.digest, found.parts)

    async def mount(self, repository: str, digest: Digest, source: str | None, may_pull: Callable[[str], bool]) -> bool:
        """Give a repository a blob that another one has; tells whether it could.

        `source`: where to look, or None for anywhere that `may_pull` allows. A source that may not be pulled is as if it were not there.
        """
        if source is None:
            sources = await self.database.read(lambda c: repositories.with_blob(c, digest, SEARCHED))
        else:
            sources = [source] if is_repository(source) else []
        allowed = [name for name in sources if may_pull(name)]
        if not await self._has_bytes(allowed, digest):
            return False
        now = self.clock()

        def work(connection: Connection) -> list[DirtyRow] | None:
            found = next((blob for name in allowed if (blob := blobs.find(connection, name, digest))), None)
            if found is None:
                return None
            dirty.follow(connection)
            if blobs.link(connection, repository, found.digest, now):
                dirty.mark(connection, repository, "blob", found.digest, None)
            return dirty.followed(connection)

        rows = await self.database.write(work)
        if rows is None:
            return False
        await self.tree.write(rows)
        return True

    async def _has_bytes(self, sources: list[str], digest: Digest) -> bool:
        """Tell whether one of `sources` has a blob whose bytes are there as well."""
        for source in sources:
            found = await self.database.read(partial(blobs.find, repository=source, digest=digest))
            if found:
                return await self.store.stat(found.digest, found.parts) == found.size
        return False

    async def delete(self, repository: str, digest: Digest) -> None:
        """Take a blob from a repository. Raises `Failure(BLOB_REFERENCED)` while a manifest there uses it, and as `find`."""
        found = await self.find(repository, digest)

        def work(connection: Connection) -> list[DirtyRow]:
            names = [found.digest, *blobs.aliases(connection, found.digest)]
            if blobs.referenced(connection, repository, names):
                raise Failure(BLOB_REFERENCED, detail={"digest": digest}, headers=[("Allow", "GET, HEAD, OPTIONS")])
            dirty.follow(connection)
            if blobs.unlink(connection, repository, found.digest):
                dirty.mark(connection, repository, "blob", found.digest, None)
            repository_id = repositories.numbered(connection, repository)
            if repository_id is not None and repositories.remove_if_empty(connection, repository_id):
                dirty.mark(connection, repository, "repository", repository, None)
            return dirty.followed(connection)

        await self.tree.write(await self.database.write(work))


class _Measured:
    """A blob of which nothing but the size is wanted."""

    def __init__(self, size: int) -> None:
        self.size = size

    async def read(self, offset: int, length: int) -> bytes:
        raise StorageError(f"bytes {offset} to {offset + length} were asked for of a blob that was only measured")

    def close(self) -> None:
        pass


def _lost(repository: str, digest: Digest, found: Blob) -> Failure:
    """What is said of a blob whose bytes are not there, or not all; it is logged."""
    log.error(
        "a blob's bytes are missing or not all there; pushing it again mends it",
        repository=repository,
        digest=found.digest,
        size=found.size,
    )
    return Failure(BLOB_UNKNOWN, detail={"name": repository, "digest": digest})
