"""Verifying: database, tree and bytes against each other, and repairing what can be.

Repairs lose nothing: a link that the database knows is written again, one that only the tree has is taken over, and so is a tag that it has
elsewhere (the caller imports the tree afterwards); a manifest whose bytes are
gone or damaged gets those that the database keeps. A layer whose bytes are gone or damaged is not served any more, so the next push brings it again.
"""

import asyncio
import hashlib
from collections.abc import Callable

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import blobs, imports, manifests, repositories
from holdfast.metadata.queries import parts as queries
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.digests import Digest
from holdfast.model.manifests import parse_manifest
from holdfast.registry.differences import MOVED, NOT_KNOWN, all_repositories, differences
from holdfast.registry.report import Report, Tell
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import LinkReader, Stored
from holdfast.storage.port import BlobReader, BlobStore, StorageError

MIB = 1024 * 1024
EVERY = 1_000_000
DATABASE = "the database is damaged"
NO_LINK = "a link is missing or wrong"
NO_BYTES = "a blob whose bytes are gone"
DAMAGED = "a blob whose bytes do not have its digest"
RIGHT_AGAIN = "a blob that was damaged and is right again, but not served"
OTHER_SIZE = "a blob whose size is not the recorded one"
UNREADABLE = "a blob that cannot be read"
ELSEWHERE = "a blob whose bytes lie elsewhere than is recorded"
NO_ROW = "a blob that the database does not know"
LACKING = "an image that lacks blobs"


class Verifier:
    """One check. `tell` is called for each repository and each part of the blobs."""

    def __init__(self, database: Database, store: BlobStore, reader: LinkReader, tree: TreeWriter, tell: Tell) -> None:
        self._database = database
        self._store = store
        self._reader = reader
        self._tree = tree
        self._tell = tell
        self._report = Report()

    async def run(self, *, repair: bool, hashing: bool) -> Report:
        """Check, and `repair`; `hashing`: read all bytes. Raises `StorageError`, `DatabaseError`."""
        for problem in await self._database.check():
            self._report.skip(DATABASE, problem)
        await self._blobs(repair=repair, hashing=hashing)
        for name in await all_repositories(self._database, self._reader):
            self._tell(name, self._report.numbers)
            await self._repository(name, repair=repair)
        return self._report

    def _found(self, why: str, what: str, *, repaired: bool) -> None:
        self._report.count("problems")
        if repaired:
            self._report.count("repaired")
        self._report.skip(why, what)

    async def _blobs(self, *, repair: bool, hashing: bool) -> None:
        async for shard in self._reader.shards():
            known = await self._database.read(lambda c, p=shard.prefix: imports.stored(c, p) if p else {})  # type: ignore[misc]
            self._tell(f"blobs {shard.prefix}", self._report.numbers)
            found, oddities = await self._reader.stored(sorted(shard.digests))
            for oddity in (*shard.oddities, *oddities):
                self._found(oddity.why, oddity.path, repaired=False)
            for digest, stored in found.items():
                self._report.count("blobs")
                self._report.count("bytes", stored.size)
                await self._blob(digest, stored, known.pop(digest, None), repair=repair, hashing=hashing)
            for digest in known:
                if await self._store.stat(digest, await self._parts(digest)) is None and await self._has_row(digest):
                    await self._lost(digest, NO_BYTES, repair=repair)

    async def _has_row(self, digest: Digest) -> bool:
        """Whether the database knows a blob, be it one that is being deleted or was found damaged."""
        return await self._database.read(lambda c: imports.has_blob(c, digest))

    async def _blob(self, digest: Digest, found: Stored, recorded: int | None, *, repair: bool, hashing: bool) -> None:
        size, parts = found.size, found.parts
        if hashing:
            try:
                actual = await self._hash(digest, parts)
            except StorageError as error:
                self._found(UNREADABLE, f"{digest}: {error}", repaired=False)
                return
            if actual not in (digest, None):
                await self._lost(digest, DAMAGED, repair=repair)
                return
            if recorded is None and actual and await self._database.read(lambda c: imports.is_quarantined(c, digest)):
                self._found(RIGHT_AGAIN, digest, repaired=repair)
                if repair:
                    await self._write(lambda c: imports.release(c, digest))
                return
        await self._look_elsewhere(digest, parts, repair=repair and hashing)
        if recorded is None and not await self._has_row(digest):
            self._found(NO_ROW, digest, repaired=repair)
        elif recorded is not None and recorded != size:
            self._found(OTHER_SIZE, f"{digest}: {size} bytes, {recorded} recorded", repaired=repair and hashing)
        else:
            return
        if repair and (hashing or recorded is None):
            stored = (await self._store.stat(digest, parts)) or size
            await self._write(lambda c: imports.store(c, digest, stored, 0, parts))

    async def _look_elsewhere(self, digest: Digest, parts: str, *, repair: bool) -> None:
        """See that pulls find the bytes that the store tells of: what is recorded may name parts that are gone."""
        if parts and await self._has_row(digest) and not await self._store.stat(digest, await self._parts(digest)):
            self._found(ELSEWHERE, digest, repaired=repair)
            if repair:
                await self._write(lambda c: queries.moved(c, digest, parts))

    async def _parts(self, digest: Digest) -> str:
        return await self._database.read(lambda c: blobs.parts(c, digest))

    async def _hash(self, digest: Digest, parts: str) -> Digest | None:
        """The digest of a blob's bytes; None where it has gone meanwhile."""
        reader = await self._store.open(digest, parts)
        if reader is None:
            return None
        try:
            return await _hashed(reader)
        finally:
            reader.close()

    async def _lost(self, digest: Digest, why: str, *, repair: bool) -> None:
        """Bytes are gone or damaged: those of a manifest are in the database, a layer must be pushed again."""
        content = await self._database.read(lambda c: imports.payload(c, digest))
        self._found(why, digest, repaired=repair)
        if repair and content is not None:
            await self._store.put(digest, content)
        elif repair and why == NO_BYTES:
            names = await self._database.read(lambda c: repositories.with_blob(c, digest, EVERY))
            await self._write(lambda c: imports.lose(c, digest))
            for name in names:
                await self._tree.write_now(DirtyRow(0, name, "blob", digest, None))
        elif repair:
            await self._write(lambda c: imports.quarantine(c, digest))

    async def _repository(self, name: str, *, repair: bool) -> None:
        self._report.count("repositories")
        found = await differences(self._database, self._reader, name) if self._tree.keeps_links else []
        if found and not repair:
            await self._tree.settle()
            found = [item for item in await differences(self._database, self._reader, name) if item in found]
        for difference in found:
            what = f"{name}: {difference.kind} {difference.name}"
            if difference.database is None:
                self._found(NOT_KNOWN, what, repaired=False)
                continue
            self._found(MOVED if difference.is_moved else NO_LINK, what, repaired=repair)
            if repair and not difference.is_moved:
                await self._tree.write_now(difference.row)
        for digest in await self._database.read(lambda c: imports.lacking(c, name)):
            if await self._database.read(lambda c, d=digest: _lacks(c, name, d)):  # type: ignore[misc]
                self._found(LACKING, f"{name}@{digest}", repaired=False)

    async def _write(self, work: Callable[[Connection], object]) -> None:
        await self._database.write(work)


def _lacks(connection: Connection, repository: str, digest: Digest) -> bool:
    """Whether a manifest lacks blobs that clients do not fetch from elsewhere."""
    found = manifests.find(connection, repository, digest)
    if found is None:
        return False
    parsed = parse_manifest(found.payload, found.media_type)
    return bool(blobs.missing(connection, repository, [item.digest for item in parsed.references if item.required]))


async def _hashed(reader: BlobReader) -> Digest:
    hasher = hashlib.sha256(usedforsecurity=False)
    for offset in range(0, reader.size, MIB):
        piece = await reader.read(offset, min(MIB, reader.size - offset))
        await asyncio.to_thread(hasher.update, piece)
    return Digest(f"sha256:{hasher.hexdigest()}")
