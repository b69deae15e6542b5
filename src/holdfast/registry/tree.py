"""The link tree: what registry:2 reads, kept in step with the database. (Invariant I2)

The transaction that moves a name leaves a dirty row. For each row, under a lock of that name, the current value is read
from the database and written, so however many move a name at once the tree ends where the database does. Rows are
forgotten afterwards, many together: a row too many only costs looking again at the next start.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress

import structlog

from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import blobs, dirty, manifests, tags
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.digests import Digest, is_digest
from holdfast.storage import paths
from holdfast.storage.locks import Locks
from holdfast.storage.port import BlobStore, StorageError

log = structlog.get_logger("holdfast.tree")

FORGET_AFTER = 0.05
"""Seconds after which written rows are forgotten, many together."""

SETTLED = 0.2
"""Seconds within which a link follows its name."""

RETRY_AFTER = 30.0
"""Seconds after which links that could not be written are tried again."""


class TreeWriter:
    """Writes links for dirty rows."""

    def __init__(self, database: Database, store: BlobStore, locks: Locks) -> None:
        self._database = database
        self._store = store
        self._locks = locks
        self._written: list[int] = []
        self._background: set[asyncio.Task[None]] = set()

    @property
    def keeps_links(self) -> bool:
        """Whether links are written at all."""
        return True

    async def settle(self) -> None:
        """Let moves that are under way come to their end: a server may be between the database and the link."""
        await asyncio.sleep(SETTLED)

    async def write(self, rows: Sequence[DirtyRow]) -> None:
        """Bring the links of `rows` up to date before the answer; what fails is logged and tried again later."""
        with suppress(StorageError, DatabaseError):
            await self._write(rows)

    async def _write(self, rows: Sequence[DirtyRow]) -> None:
        try:
            for row in rows:
                await self._write_row(row)
        except (StorageError, DatabaseError) as error:
            log.error(
                "links were not written", repository=rows[0].repository, error=str(error), retry_seconds=RETRY_AFTER
            )
            self._later(self._retry(rows))
            raise
        self._forget(rows)

    async def remove(self, rows: Sequence[DirtyRow]) -> None:
        """As `write`, for what was deleted: the rows are forgotten at once, or where links could not be removed say that the answer was given
        all the same. Other rows of deletions that a killed server leaves are not trusted at the next start (`drain`). Raises `DatabaseError`.
        """
        try:
            await self._write(rows)
        except (StorageError, DatabaseError):
            await self._database.write(lambda c: dirty.acknowledge(c, [row.id for row in rows]))
        else:
            await self._flush()

    async def write_now(self, row: DirtyRow) -> None:
        """Bring one link up to date. Raises `StorageError`, `DatabaseError`."""
        await self._write_row(row)

    async def drain(self, *, adopt: bool) -> int:
        """Write what was left behind by a process that was killed; gives the number of rows.

        `adopt`: the server was stopped meanwhile, and registry:2 may have written since. Then a tag's link that is none of the values that the
        tag had here is its own, and wins; and nothing is removed, since it may have been pushed again: both are left for the import.
        Raises `StorageError`, `DatabaseError`.
        """
        rows = await self._database.read(lambda c: dirty.since(c, 0))
        foreign = await self._foreign_tags(rows) if adopt else set()
        for row in rows:
            if (row.repository, row.name) in foreign and row.kind == "tag":
                continue
            if not adopt or row.acknowledged or await self._database.read(lambda c, r=row: dirty.is_known(c, r)):  # type: ignore[misc]
                await self._write_row(row)
        ids = [row.id for row in rows]
        if ids:
            await self._database.write(lambda c: dirty.clean(c, ids))
        return len(rows)

    async def close(self) -> None:
        """Forget what has been written; what has not stays for the next start."""
        for task in list(self._background):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._flush()

    async def _foreign_tags(self, rows: Sequence[DirtyRow]) -> set[tuple[str, str]]:
        """Repositories and tags whose links somebody else wrote."""
        had: dict[tuple[str, str], set[str]] = {}
        for row in rows:
            if row.kind == "tag":
                had.setdefault((row.repository, row.name), set()).update([row.before] if row.before else [])
        return {place for place, values in had.items() if await self._is_foreign(*place, values)}

    async def _is_foreign(self, repository: str, tag: str, had: set[str]) -> bool:
        content = await self._store.read_file(paths.current_link(repository, tag))
        found = content.decode("ascii", "replace").strip() if content else ""
        current = await self._database.read(lambda c: tags.find(c, repository, tag))
        known = {await self._target(repository, value) for value in [*had, *([current] if current else [])]}
        return is_digest(found) and found not in known

    async def _write_row(self, row: DirtyRow) -> None:
        async with self._locks.hold(f"{row.repository} {row.kind} {row.name}"):
            if row.kind == "blob":
                await self._write_blob(row.repository, Digest(row.name))
            elif row.kind == "manifest":
                await self._write_manifest(row.repository, Digest(row.name), retyped=row.before is not None)
            elif row.kind == "tag":
                await self._write_tag(row.repository, row.name)
            else:
                await self._write_repository(row.repository)

    async def _write_blob(self, repository: str, digest: Digest) -> None:
        found = await self._database.read(lambda c: blobs.find(c, repository, digest))
        names = [digest, *await self._database.read(lambda c: blobs.aliases(c, digest))]
        links = [paths.layer_link(repository, name) for name in names]
        if found:
            await self._store.write_files([(link, digest.encode()) for link in links])
        else:
            await self._store.remove([link.removesuffix("/link") for link in links])

    async def _write_manifest(self, repository: str, blob: Digest, *, retyped: bool) -> None:
        found = await self._database.read(lambda c: manifests.for_tree(c, repository, blob))
        directory = paths.revision(repository, blob)
        if found is None:
            await self._store.remove([directory])
            return
        media_type, typed = found
        if typed and retyped:
            await self._store.remove([f"{directory}/mediatype"])
        files = [] if typed else [(f"{directory}/mediatype", media_type.encode())]
        await self._store.write_files([*files, (f"{directory}/link", blob.encode())])

    async def _write_tag(self, repository: str, tag: str) -> None:
        current = await self._database.read(lambda c: tags.find(c, repository, tag))
        if current is None:
            await self._store.remove([paths.tag(repository, tag)])
            return
        target = await self._target(repository, current)
        link = target.encode()
        await self._store.write_files(
            [(paths.index_link(repository, tag, target), link), (paths.current_link(repository, tag), link)]
        )

    async def _target(self, repository: str, digest: str) -> Digest:
        """The sha256 digest that the tree names a manifest by."""
        return await self._database.read(lambda c: manifests.blob_of(c, repository, digest)) or Digest(digest)

    async def _write_repository(self, repository: str) -> None:
        """Remove what is left of a deleted repository; what was pushed into it since is written again, since that may have gone too."""
        await self._store.remove(list(paths.own_directories(repository)))
        for kind, name in await self._database.read(lambda c: dirty.everything(c, repository)):
            await self._write_row(DirtyRow(0, repository, kind, name, None))

    def _forget(self, rows: Sequence[DirtyRow]) -> None:
        if not self._written and rows:
            self._later(self._flush_soon())
        self._written.extend(row.id for row in rows)

    async def _flush_soon(self) -> None:
        await asyncio.sleep(FORGET_AFTER)
        await self._flush()

    async def _flush(self) -> None:
        written, self._written = self._written, []
        if not written:
            return
        try:
            await self._database.write(lambda c: dirty.clean(c, written))
        except DatabaseError:
            self._written = [*written, *self._written]
            self._later(self._flush_again())

    async def _flush_again(self) -> None:
        await asyncio.sleep(RETRY_AFTER)
        await self._flush()

    async def _retry(self, rows: Sequence[DirtyRow]) -> None:
        await asyncio.sleep(RETRY_AFTER)
        await self.write(rows)

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
