"""Importing: taking over what a tree says that registry:2 wrote, or changed while the server was stopped. (Invariant I2)

The tree is compared with the database, repository by repository, and wherever they differ the tree is right: names that are new are
recorded, names that are gone are removed. So one procedure serves a volume never seen, a database that was lost, and an ordinary start,
where names are only looked at. It trusts no clock. Layers are not hashed; new manifests are read, and must have their digest.

Work is committed in batches, and what the database has already is not done again: so an import that was stopped goes on, and a second one
changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import imports, repositories
from holdfast.model.digests import Digest
from holdfast.registry.clock import Clock
from holdfast.registry.comparison import BY, Comparison
from holdfast.registry.import_batch import Batch
from holdfast.registry.report import Report
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import LinkReader, Oddity, RepositoryLinks, Shard
from holdfast.storage.port import BlobStore

PAGE = 500


class Importer:
    """Imports a tree into the database that belongs to it. Nobody else may write to either meanwhile; `alone`: no garbage is collected either."""

    def __init__(
        self, database: Database, store: BlobStore, links: LinkReader, tree: TreeWriter, clock: Clock, *, alone: bool
    ) -> None:
        self._alone = alone
        self._database = database
        self._store = store
        self._links = links
        self._tree = tree
        self._now = clock()
        self._lost: list[Digest] = []
        self.report = Report()
        """What was done so far; can be looked at while it runs."""

    async def run(self) -> Report:
        """Import what is new. Can be cancelled, and run again, at any time. Raises `StorageError`, `DatabaseError`."""
        batch = Batch(self._database, self._tree, self.report)
        if await self._database.read(imports.is_protected):
            await batch.do(imports.unprotect)
        await self._blobs(batch)
        await self._names(batch)
        await self._absent(batch)
        await batch.flush()
        await self._heal()
        await batch.finish()
        return self.report

    async def _blobs(self, batch: Batch) -> None:
        """Let every file below blobs/ have its row; rows whose files are gone, go."""
        async for shard in self._links.shards():
            self._tell(shard.oddities)
            if not shard.prefix:
                continue
            await self._revive(shard)
            known = await self._database.read(lambda c, p=shard.prefix: imports.stored(c, p))  # type: ignore[misc]
            found, oddities = await self._links.stored(sorted(shard.digests - known.keys()))
            self._tell(oddities)
            for digest, stored in found.items():
                self.report.count("blobs")
                self.report.count("bytes", stored.size)
                await batch.do(lambda c, d=digest, s=stored: imports.store(c, d, s.size, s.written, s.parts))  # type: ignore[misc]
            for digest in known.keys() - shard.digests:
                await batch.do(lambda c, d=digest: self._lose(c, d))  # type: ignore[misc]
        await batch.flush()

    async def _revive(self, shard: Shard) -> None:
        """Take back blobs that a collection was killed in the middle of deleting: registry:2 may have taken them since."""
        if not self._alone:
            return
        deleting = await self._database.read(lambda c: imports.deleting(c, shard.prefix))
        if deleting:
            there, _ = await self._links.stored(sorted(deleting & shard.digests))
            await self._database.write(lambda c: imports.revive(c, list(there)))

    def _tell(self, oddities: Sequence[Oddity]) -> None:
        for oddity in oddities:
            self.report.skip(oddity.why, oddity.path)

    def _lose(self, connection: Connection, digest: Digest) -> None:
        if imports.lose(connection, digest):
            self.report.count("blobs gone")
        else:
            self._lost.append(digest)

    async def _names(self, batch: Batch) -> None:
        async for name, links in self._scanned():
            known = await self._database.read(lambda c, n=name: imports.known(c, n))  # type: ignore[misc]
            await Comparison(batch, self._links, name, links, known, self._now).run()
            self.report.count("repositories")

    async def _scanned(self) -> AsyncIterator[tuple[str, RepositoryLinks]]:
        """All repositories with their links; the next one is read while the present one is worked on."""
        coming: tuple[str, asyncio.Task[RepositoryLinks]] | None = None
        try:
            async for page in self._links.repositories():
                self._tell(page.oddities)
                for name in page.names:
                    ready, coming = coming, (name, asyncio.create_task(self._links.scan(name)))
                    if ready:
                        yield ready[0], await ready[1]
            if coming:
                yield coming[0], await coming[1]
        finally:
            if coming:
                coming[1].cancel()

    async def _absent(self, batch: Batch) -> None:
        """Remove repositories whose directories somebody has removed."""
        after = ""
        while page := await self._database.read(lambda c, a=after: imports.names(c, a, PAGE)):  # type: ignore[misc]
            for name in await self._links.absent(page):
                self.report.count("repositories gone")
                await batch.do(lambda c, n=name: _remove(c, n, self._now))  # type: ignore[misc]
            after = page[-1]

    async def _heal(self) -> None:
        """Write the bytes of manifests that are gone from the store and that a repository still has."""
        for digest in self._lost:
            content = await self._database.read(lambda c, d=digest: imports.payload(c, d))  # type: ignore[misc]
            if content is None:
                await self._database.write(lambda c, d=digest: imports.lose(c, d))  # type: ignore[misc]
                self.report.count("blobs gone")
            else:
                await self._store.put(digest, content)
                self.report.count("manifests healed")


def _remove(connection: Connection, name: str, now: int) -> None:
    repositories.remove(connection, name, now, BY)
