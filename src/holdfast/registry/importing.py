"""Importing: taking over what a tree says that registry:2 wrote, or changed while the server was stopped. (Invariant I2)

The tree is compared with the database, repository by repository, and wherever they differ the tree is right: names that are new are
recorded, names that are gone are removed. So one procedure serves a volume never seen, a database that was lost, and an ordinary start,
where only links changed since the last stop are read. Layers are not hashed; manifests are read, and must have their digest.

Work is committed in batches, each with how far it got, so an import goes on where it was stopped; doing it again changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import imports, meta, repositories
from holdfast.model.digests import Digest
from holdfast.registry.clock import Clock
from holdfast.registry.comparison import BY, Comparison
from holdfast.registry.import_batch import TREE_MARK, UNDER_WAY, Batch, Position
from holdfast.registry.report import Report
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import EVERYTHING, LinkReader, RepositoryLinks, order
from holdfast.storage.port import BlobStore

PAGE = 500


class Importer:
    """Imports a tree into the database that belongs to it. Nobody else may write to either meanwhile."""

    def __init__(self, database: Database, store: BlobStore, links: LinkReader, tree: TreeWriter, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._links = links
        self._tree = tree
        self._now = clock()
        self._lost: list[Digest] = []
        self.report = Report()
        """What was done so far; can be looked at while it runs."""

    async def run(self, *, everything: bool) -> Report:
        """Import what changed since the last time, or `everything`. Can be cancelled, and run again, at any time.

        Raises `StorageError`, `DatabaseError`.
        """
        position = await self._begin(everything=everything)
        report = self.report
        report.numbers = position.numbers
        batch = Batch(self._database, self._tree, position, report)
        if position.since == EVERYTHING:
            await batch.flush()
        await self._blobs(batch)
        await self._names(batch)
        await self._absent(batch)
        await batch.flush()
        await self._heal(report)
        await batch.finish()
        return report

    async def _begin(self, *, everything: bool) -> Position:
        began = await self._links.mark()
        saved, mark = await self._database.read(lambda c: (meta.get(c, UNDER_WAY), meta.get(c, TREE_MARK)))
        if saved:
            return Position.decode(saved)
        return Position(began, EVERYTHING if everything or mark is None else int(mark))

    async def _blobs(self, batch: Batch) -> None:
        """Let every file below blobs/ have its row; rows whose files are gone, go."""
        async for shard in self._links.shards(batch.position.since):
            for oddity in shard.oddities:
                batch.report.skip(oddity.why, oddity.path)
            if not shard.prefix:
                continue
            known = await self._database.read(lambda c, p=shard.prefix: imports.stored(c, p))  # type: ignore[misc]
            for digest, stored in shard.blobs.items():
                if known.pop(digest, None) != stored.size:
                    batch.report.count("blobs")
                    batch.report.count("bytes", stored.size)
                    await batch.do(lambda c, d=digest, s=stored: imports.store(c, d, s.size, s.written))  # type: ignore[misc]
            for digest in known:
                await batch.do(lambda c, d=digest: self._lose(c, d, batch.report))  # type: ignore[misc]
        await batch.flush()

    def _lose(self, connection: Connection, digest: Digest, report: Report) -> None:
        if imports.lose(connection, digest):
            report.count("blobs gone")
        else:
            self._lost.append(digest)

    async def _names(self, batch: Batch) -> None:
        position = batch.position
        done = order(position.after) if position.after else []
        async for name, links in self._scanned(batch, done):
            known = await self._database.read(lambda c, n=name: imports.known(c, n))  # type: ignore[misc]
            await Comparison(batch, self._links, name, links, known, self._now).run()
            if done < order(name):
                position.after = name
                batch.report.count("repositories")

    async def _scanned(self, batch: Batch, done: list[str]) -> AsyncIterator[tuple[str, RepositoryLinks]]:
        """All repositories with their links; the next one is read while the present one is worked on."""
        position = batch.position
        coming: tuple[str, asyncio.Task[RepositoryLinks]] | None = None
        try:
            async for page in self._links.repositories():
                for oddity in page.oddities:
                    batch.report.skip(oddity.why, oddity.path)
                for name in page.names:
                    since = position.began if order(name) <= done else position.since
                    ready, coming = coming, (name, asyncio.create_task(self._links.scan(name, since)))
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
                batch.report.count("repositories gone")
                await batch.do(lambda c, n=name: _remove(c, n, self._now))  # type: ignore[misc]
            after = page[-1]

    async def _heal(self, report: Report) -> None:
        """Write the bytes of manifests that are gone from the store and that a repository still has."""
        for digest in self._lost:
            content = await self._database.read(lambda c, d=digest: imports.payload(c, d))  # type: ignore[misc]
            if content is None:
                await self._database.write(lambda c, d=digest: imports.lose(c, d))  # type: ignore[misc]
                report.count("blobs gone")
            else:
                await self._store.put(digest, content)
                report.count("manifests healed")


def _remove(connection: Connection, name: str, now: int) -> None:
    repositories.remove(connection, name, now, BY)
