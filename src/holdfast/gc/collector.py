"""Deletes blobs that no manifest uses and, if asked to, manifests that no tag reaches, while pushes and pulls go on.

A blob goes in three steps: a transaction looks once more whether it is unused, marks it as being deleted and takes it from its repositories;
then its links and its file go; then its row. A push of the same bytes waits for the end of that. Whatever step is the last one before a crash,
the next collection goes on there.

Work is done in small batches, so that nobody waits long for the database or for one blob.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from holdfast.gc.events import BlobGone, Summary, Tell
from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import collection, dirty
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.collection import BlobUse, ManifestKey
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.digests import Digest
from holdfast.registry.blobs import TOUCH_EVERY
from holdfast.registry.claims import COLLECTION, attempt
from holdfast.registry.clock import Clock
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import UNREADABLE, LinkReader
from holdfast.storage.locks import Locks
from holdfast.storage.port import BlobStore, StorageError, StorageUnavailable

log = structlog.get_logger("holdfast.gc")

GRACE = 60 * 60 * 1000
"""Milliseconds for which a blob is kept after a push, a mount or a client's question for it, unless set otherwise."""

PATIENCE = 3.0
"""Seconds to wait for the lock of collectors, which a push may hold for a moment."""

PAGE = 1000
BATCH = 32
"""Blobs that are deleted together; a push of one of them waits for the whole batch."""

LATE = 45.0
"""Seconds after which a store that could not be reached has dealt with what it was asked before, or never will."""

NEVER = 1 << 62


class CollectionUnderWay(Exception):
    """Another collection is under way in this registry."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do: only look (`dry_run`), delete manifests that no tag reaches as well (`untagged`), and for how many milliseconds to keep
    what was pushed, mounted or asked for (`grace`).
    """

    dry_run: bool = False
    untagged: bool = False
    grace: int = GRACE


class Collector:
    """One garbage collection. `tell` is called for each repository, and for each manifest and blob when it has been deleted."""

    def __init__(
        self,
        database: Database,
        store: BlobStore,
        links: LinkReader,
        tree: TreeWriter,
        locks: Locks,
        clock: Clock,
        wanted: Wanted,
        tell: Tell,
    ) -> None:
        self._database = database
        self._store = store
        self._links = links
        self._tree = tree
        self._locks = locks
        self._clock = clock
        self._wanted = wanted
        self._tell = tell
        self._grace = wanted.grace + TOUCH_EVERY if wanted.grace else 0
        self._before = clock() - self._grace if wanted.grace else NEVER
        self._doomed: set[tuple[int, Digest]] = set()
        self._freed: set[Digest] = set()
        self.summary = Summary()

    async def run(self) -> Summary:
        """Collect. Raises `CollectionUnderWay`, `StorageError`, `DatabaseError`: the next collection then goes on."""
        async with AsyncExitStack() as stack:
            if not self._wanted.dry_run and not await attempt(self._locks, COLLECTION, stack, PATIENCE):
                raise CollectionUnderWay
            await self._finish_unfinished()
            await self._look_at_repositories()
            if self._wanted.untagged:
                await self._collect_manifests()
            await self._collect_blobs()
            await self._collect_strays()
        return self.summary

    async def _look_at_repositories(self) -> None:
        after = ""
        while page := await self._database.read(lambda c: collection.repositories_page(c, after, PAGE)):  # noqa: B023 - awaited here
            for repository in page:
                self.summary.repositories += 1
                self.summary.manifests += repository.manifests
                self._tell(repository)
            after = page[-1].name

    async def _collect_manifests(self) -> None:
        after: tuple[int, str] | None = (0, "")
        while after:
            start = after
            found, after = await self._database.read(lambda c: collection.untagged(c, start, PAGE))  # noqa: B023 - awaited here
            loose = [one for one in found if await self._database.read(lambda c, one=one: self._is_loose(c, one))]  # type: ignore[misc]
            for first in range(0, len(loose), BATCH):
                await self._remove_manifests(loose[first : first + BATCH])

    def _is_loose(self, connection: Connection, manifest: ManifestKey) -> bool:
        """Whether a manifest can be deleted now; counted if it is only too young. A dry run counts it in any case."""
        family = collection.family(connection, manifest)
        if family.tagged:
            return False
        if not family.loose(self._before):
            self.summary.kept_manifests.add(0, family.pushed + self._grace)
            return False
        if self._wanted.dry_run:
            self._doom(connection, manifest, family.digests)
        return not self._wanted.dry_run

    async def _remove_manifests(self, candidates: Sequence[ManifestKey]) -> None:
        """Those of `candidates` that no tag reaches, with what they belong to, in one transaction: no index is ever without its entries."""

        def work(connection: Connection) -> tuple[list[ManifestKey], list[DirtyRow]]:
            dirty.follow(connection)
            gone = [
                ManifestKey(one.repository_id, one.repository, digest)
                for one in candidates
                for digest in collection.remove_family(connection, one, self._before)
            ]
            return gone, dirty.followed(connection)

        gone, rows = await self._database.write(work)
        await self._tree.write(rows)
        for manifest in gone:
            self._count_manifest(manifest)

    def _doom(self, connection: Connection, manifest: ManifestKey, family: Sequence[Digest]) -> None:
        for digest in family:
            one = ManifestKey(manifest.repository_id, manifest.repository, digest)
            if (one.repository_id, digest) not in self._doomed:
                self._doomed.add((one.repository_id, digest))
                self._freed |= collection.uses(connection, one)
                self._count_manifest(one)

    def _count_manifest(self, manifest: ManifestKey) -> None:
        self.summary.manifests_deleted += 1
        self._tell(manifest)

    async def _collect_blobs(self) -> None:
        after = ""
        while page := await self._database.read(lambda c: self._judged(c, after)):  # noqa: B023 - awaited here
            unused = [blob for blob in page if self._judge(blob)]
            for first in range(0, len(unused), BATCH):
                await self._delete_unused([blob.digest for blob in unused[first : first + BATCH]])
            after = page[-1].digest

    def _judged(self, connection: Connection, after: str) -> list[BlobUse]:
        """A page of blobs, as it would be without the manifests that a dry run would delete."""
        page = collection.blobs_page(connection, after, PAGE)
        return [self._without_doomed(connection, blob) if blob.digest in self._freed else blob for blob in page]

    def _without_doomed(self, connection: Connection, blob: BlobUse) -> BlobUse:
        used = bool(collection.users(connection, blob.digest) - self._doomed)
        return BlobUse(blob.digest, blob.size, blob.touched, blob.claimed, used)

    def _judge(self, blob: BlobUse) -> bool:
        """Whether a blob can be deleted now; counted if not. A dry run counts it in any case."""
        if blob.used:
            self.summary.blobs_used += 1
        elif blob.claimed:
            self.summary.claimed += 1
        elif blob.touched > self._before:
            self.summary.kept_blobs.add(blob.size, blob.touched + self._grace)
        elif self._wanted.dry_run:
            self._count_blob(BlobGone(blob.digest, blob.size, "unused"))
        else:
            return True
        return False

    def _count_blob(self, gone: BlobGone) -> None:
        self.summary.count(gone)
        self._tell(gone)

    async def _delete_unused(self, digests: Sequence[Digest]) -> None:
        def work(connection: Connection) -> tuple[list[Blob], list[DirtyRow]]:
            dirty.follow(connection)
            started = [collection.start_deletion(connection, digest, self._before) for digest in digests]
            return [blob for blob in started if blob], dirty.followed(connection)

        blobs, rows = await self._database.write(work)
        await self._finish(blobs, rows, "unused")

    async def _finish(self, blobs: Sequence[Blob], rows: Sequence[DirtyRow], why: str) -> None:
        """The second and third step. Aliases are part of a blob's row, and its links bear their names: so links go first."""
        await self._tree.write(rows)
        await self._delete_files(blobs)

        def work(connection: Connection) -> None:
            for blob in blobs:
                collection.end_deletion(connection, blob.digest)

        if blobs:
            await self._database.write(work)
        for blob in blobs:
            self._count_blob(BlobGone(blob.digest, blob.size, why))

    async def _delete_files(self, blobs: Sequence[Blob]) -> None:
        """Remove the bytes. Until nothing is under way any more, at a store that did not answer either, pushes of the same bytes have to wait."""
        results = await asyncio.gather(*map(self._delete_file, blobs), return_exceptions=True)
        errors = [result for result in results if isinstance(result, BaseException)]
        if any(isinstance(error, StorageUnavailable) for error in errors):
            await asyncio.sleep(LATE)
        if errors:
            raise errors[0]

    async def _delete_file(self, blob: Blob) -> None:
        await self._store.delete(blob.digest, blob.parts)
        if await self._store.stat(blob.digest, blob.parts) is not None:
            raise StorageError(f"the file of {blob.digest} is still there")

    async def _finish_unfinished(self) -> None:
        """Go on where a collection was cut off."""
        if self._wanted.dry_run:
            for blob in await self._database.read(lambda c: collection.deleting(c, NEVER)):
                self._count_blob(BlobGone(blob.digest, blob.size, "unfinished"))
            return
        try:
            await self._tree.drain(adopt=False)
        except StorageError as error:  # perhaps a full disk, which this is to help
            log.warning("links that were left unwritten are left to the next start", error=str(error))
        while blobs := await self._database.read(lambda c: collection.deleting(c, BATCH)):
            await self._finish(blobs, (), "unfinished")

    async def _collect_strays(self) -> None:
        """Files among the blobs without a row. What is linked is not touched: then the tree knows more than the database."""
        strays: dict[Digest, Blob] = {}
        async for shard in self._links.shards():
            unknown = await self._database.read(lambda c, all=shard.digests: collection.unknown(c, sorted(all)))  # type: ignore[misc]
            found, _ = await self._links.stored(unknown)
            strays.update(
                (digest, Blob(digest, stored.size, stored.parts))
                for digest, stored in found.items()
                if stored.written <= self._before
            )
        if strays:
            linked = await self._linked(set(strays))
            self.summary.foreign = len(linked)
            for digest in linked:
                del strays[digest]
        blobs = list(strays.values())
        for first in range(0, len(blobs), BATCH):
            await self._delete_strays(blobs[first : first + BATCH])

    async def _linked(self, digests: set[Digest]) -> set[Digest]:
        """Those of `digests` that a link names, or that one may name which cannot be read."""
        found: set[Digest] = set()
        async for page in self._links.repositories():
            if any(oddity.why == UNREADABLE for oddity in page.oddities):
                return digests
            for name in page.names:
                links = await self._links.scan(name)
                if not links.readable:
                    return digests
                for place in (links.layers, links.revisions):
                    found.update(digest for link in place.values() if (digest := link.target) in digests)
                    found |= digests & place.keys()
                found.update(digest for link in links.tags.values() if (digest := link.target) in digests)
        return found

    async def _delete_strays(self, blobs: Sequence[Blob]) -> None:
        if self._wanted.dry_run:
            for blob in blobs:
                self._count_blob(BlobGone(blob.digest, blob.size, "stray"))
            return
        now = self._clock()

        def work(connection: Connection) -> list[Blob]:
            return [blob for blob in blobs if collection.start_deletion_of_stray(connection, blob, now)]

        await self._finish(await self._database.write(work), (), "stray")
