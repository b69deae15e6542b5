"""Exporting: writing the tree again from the database, for registry:2, where links were lost. (Invariant I2)

Only links that are not there or say something else are written, so a tree that is in order is only read.
"""

from holdfast.metadata.port import Database
from holdfast.metadata.queries import blobs, imports, parts
from holdfast.metadata.queries.dirty import MANY
from holdfast.model.digests import Digest
from holdfast.registry.clock import system_clock
from holdfast.registry.differences import MOVED, NOT_KNOWN, Difference, all_repositories, differences
from holdfast.registry.joining import Joiner
from holdfast.registry.report import Report, Tell
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import LinkReader
from holdfast.storage.port import BlobStore

IN_PARTS = "a blob that could not be put where registry:2 looks for it"


class Exporter:
    """One export. `tell` is called for each repository."""

    def __init__(self, database: Database, store: BlobStore, reader: LinkReader, tree: TreeWriter, tell: Tell) -> None:
        self._database = database
        self._store = store
        self._reader = reader
        self._tree = tree
        self._tell = tell
        self._report = Report()

    async def run(self, *, prune: bool, overwrite: bool) -> Report:
        """Write what is lacking; with `prune`, remove links that the database does not know; with `overwrite`, also write tags that the tree has
        elsewhere, which registry:2 may have moved. Raises `StorageError`, `DatabaseError`.
        """
        report = self._report
        await self._join()
        await self._tree.drain(adopt=False)
        for name in await all_repositories(self._database, self._reader):
            self._tell(name, report.numbers)
            report.count("repositories")
            for difference in await differences(self._database, self._reader, name):
                await self._settle(difference, prune=prune, overwrite=overwrite)
            for blob in await self._database.read(lambda c, n=name: imports.known(c, n).manifests):  # type: ignore[misc]
                await self._put_manifest(Digest(blob))
        return report

    async def _join(self) -> None:
        """Put blobs whose bytes are in parts where registry:2 looks for them."""
        joined = await Joiner(self._database, self._store, system_clock).run()
        if joined:
            self._report.count("blobs put in place", joined)
        for blob in await self._database.read(lambda c: parts.parted(c, "", MANY)):
            self._report.skip(IN_PARTS, blob.digest)

    async def _settle(self, difference: Difference, *, prune: bool, overwrite: bool) -> None:
        if difference.is_moved and not overwrite:
            self._report.skip(MOVED, f"{difference.repository}: {difference.name}")
        elif difference.database is not None:
            self._report.count("links written")
            await self._tree.write_now(difference.row)
        elif prune:
            self._report.count("links removed")
            await self._tree.write_now(difference.row)
        else:
            self._report.skip(NOT_KNOWN, f"{difference.repository}: {difference.kind} {difference.name}")

    async def _put_manifest(self, blob: Digest) -> None:
        parts = await self._database.read(lambda c: blobs.parts(c, blob))
        if await self._store.stat(blob, parts) is None:
            content = await self._database.read(lambda c: imports.payload(c, blob))
            if content is not None:
                await self._store.put(blob, content)
                self._report.count("manifests written")
