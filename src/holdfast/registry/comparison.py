"""Comparing one repository's links with what the database has of it: the tree is right."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.metadata.port import Connection
from holdfast.metadata.queries import blobs, imports, manifests, repositories, tags
from holdfast.metadata.queries.imports import Known
from holdfast.metadata.queries.manifests import Pushed
from holdfast.model.digests import Digest, digest_of
from holdfast.model.errors import Failure
from holdfast.model.manifests import LARGEST, parse_manifest
from holdfast.registry.import_batch import Batch, Operation
from holdfast.registry.manifests import SMALL, remove_manifest
from holdfast.storage import paths
from holdfast.storage.links import UNREADABLE, Link, LinkReader, RepositoryLinks

AT_ONCE = 128
BYTES_AT_ONCE = 8 * 1024 * 1024
"""Manifests that are read together."""

NO_BYTES = "a link to a blob that is not there"
NO_MANIFEST = "a manifest whose bytes are not there"
OTHER_BYTES = "a manifest whose bytes do not have its digest"
TOO_LARGE = "a manifest of more than 4 MiB"
SCHEMA_1 = "a schema 1 manifest, which is not supported"
NOT_MANIFEST = "not a manifest"
DANGLING = "a tag on a manifest that is not there"
LACKING = "an image that lacks blobs (it is served all the same)"

_DIGESTS = re.compile(rb"sha256:[0-9a-f]{64}")

BY = "registry:2"
"""Who moved a tag, in its history."""


@dataclass(slots=True)
class Comparison:
    """One repository: `links` is what the tree says, `known` what the database had before. `now`: when things that are gone were removed."""

    batch: Batch
    reader: LinkReader
    name: str
    links: RepositoryLinks
    known: Known
    now: int

    async def run(self) -> None:
        """Let the batch record all that differs."""
        for oddity in self.links.oddities:
            self.batch.report.skip(oddity.why, oddity.path)
        for upload_id in self.links.uploads.keys() - self.known.uploads:
            await self.batch.do(self._upload(upload_id, self.links.uploads[upload_id]))
        await self._new_layers()
        await self._new_manifests()
        await self._new_tags()
        if self.links.readable:
            await self._gone()

    def _upload(self, upload_id: str, written: int) -> Operation:
        """Nobody goes on with it where it is, since how far it was hashed is not known; known as an upload it is removed when it is old."""

        def work(connection: Connection) -> None:
            if imports.take_upload(connection, upload_id, self.name, written):
                self.batch.report.count("uploads left over")

        return work

    async def _new_layers(self) -> None:
        wanted = [
            (name, link, link.target)
            for name, link in self.links.layers.items()
            if link.target in self.links.layers and (name not in self.known.names or link.broken)
        ]  # a link under another algorithm names a blob and gives no right to it: registry:2 writes both, and removes one
        there = await self._present([target for _, _, target in wanted])
        for name, link, target in wanted:
            if target not in there:
                self.batch.report.skip(NO_BYTES, paths.layer_link(self.name, name))
                continue
            if link.broken:
                self.batch.rewrite(self.name, "blob", name)
            if target not in self.known.blobs:
                self.batch.report.count("layers")
            await self.batch.do(self._layer(name, target, link.written))

    async def _present(self, digests: list[Digest]) -> dict[Digest, int]:
        return await self.batch.database.read(lambda c: imports.present(c, digests)) if digests else {}

    def _layer(self, name: Digest, target: Digest, written: int) -> Operation:
        def work(connection: Connection) -> None:
            imports.link(connection, repositories.make(connection, self.name, written), target, written)
            if name != target:
                blobs.alias(connection, name, target)

        return work

    async def _new_manifests(self) -> None:
        new: dict[Digest, tuple[str, Link]] = {}
        for name, link in self.links.revisions.items():
            if link.target and link.target not in self.known.manifests:
                new[link.target] = paths.revision(self.name, name), link
            if link.target and link.broken:
                self.batch.rewrite(self.name, "manifest", link.target)
        sizes = await self._present(list(new))
        for digest in new.keys() - sizes.keys():
            self.batch.report.skip(NO_MANIFEST, f"{new[digest][0]}/link")
        for digest in [digest for digest, size in sizes.items() if size > LARGEST]:
            self.batch.report.skip(TOO_LARGE, f"{new[digest][0]}/link")
            await self._protect(digest, b"")
            del sizes[digest]
        for group in _groups(sizes):
            contents = await self.reader.contents(group, LARGEST)
            types = await self.reader.media_types(self.name, group)
            for digest in group:
                await self._new_manifest(digest, *new[digest], contents.get(digest), types.get(digest, ""))

    async def _new_manifest(
        self, digest: Digest, place: str, link: Link, content: bytes | None, media_type: str
    ) -> None:
        if content is None:
            self.batch.report.skip(UNREADABLE, f"{place}/link")
            return
        if len(content) <= SMALL:
            read = _read(digest, content, media_type)
        else:
            read = await asyncio.to_thread(_read, digest, content, media_type)
        if isinstance(read, tuple):
            self.batch.report.skip(read[0], f"{place}/link{read[1]}")
            await self._protect(digest, content)
            return
        self.known.manifests[digest] = [digest]
        self.batch.report.count("manifests")
        required = list(dict.fromkeys(reference.digest for reference in read.parsed.references if reference.required))

        def work(connection: Connection) -> None:
            number = repositories.make(connection, self.name, link.written)
            manifests.put(connection, number, self.name, read, link.written, "")
            if blobs.missing(connection, self.name, required):
                self.batch.report.skip(LACKING, f"{self.name}@{digest}")

        await self.batch.do(work, rows=2 + len(read.parsed.references), size=len(content))

    async def _protect(self, digest: Digest, content: bytes) -> None:
        """Keep what a manifest that cannot be served may refer to from the garbage collector: registry:2 may serve it one day."""
        named = [Digest(found.decode()) for found in dict.fromkeys(_DIGESTS.findall(content[:LARGEST]))]
        holder = f"{self.name}@{digest}"
        await self.batch.do(lambda c: imports.protect(c, holder, [digest, *named], self.now), rows=1 + len(named))

    async def _new_tags(self) -> None:
        for tag, link in self.links.tags.items():
            before = self.known.tags.get(tag)
            if link.broken and before and self._is_shown(before):
                self.batch.rewrite(self.name, "tag", tag)
                continue
            if link.target is None:
                continue
            digests = self.known.manifests.get(link.target)
            if link.target not in self.links.revisions or not digests:
                self.batch.report.skip(DANGLING, paths.current_link(self.name, tag))
                if before and self.links.readable:
                    await self.batch.do(self._untag(tag))
                continue
            if link.broken:
                self.batch.rewrite(self.name, "tag", tag)
            if before not in digests:
                self.batch.report.count("tags")
                await self.batch.do(self._tag(tag, digests[0], link.written))

    def _is_shown(self, digest: Digest) -> bool:
        """Whether the tree has a manifest that the database knows."""
        return any(digest in digests and blob in self.links.revisions for blob, digests in self.known.manifests.items())

    def _tag(self, tag: str, digest: Digest, written: int) -> Operation:
        def work(connection: Connection) -> None:
            number = repositories.make(connection, self.name, written)
            tags.move(connection, number, self.name, tag, digest, written, BY)

        return work

    def _untag(self, tag: str) -> Operation:
        self.batch.report.count("tags gone")

        def work(connection: Connection) -> None:
            tags.remove(connection, self.name, tag, self.now, BY)

        return work

    async def _gone(self) -> None:
        """What the database has and the tree has not."""
        for tag in self.known.tags.keys() - self.links.tags.keys():
            await self.batch.do(self._untag(tag))
        shown = {link.target or name for name, link in self.links.revisions.items()}
        for blob in self.known.manifests.keys() - shown:
            for digest in self.known.manifests[blob]:
                await self.batch.do(self._unpush(digest))
        for blob in self.known.blobs - self.links.layers.keys():
            await self.batch.do(self._unlink(Digest(blob)))

    def _unpush(self, digest: Digest) -> Operation:
        self.batch.report.count("manifests gone")

        def work(connection: Connection) -> None:
            remove_manifest(connection, self.name, digest, self.now, BY)

        return work

    def _unlink(self, digest: Digest) -> Operation:
        self.batch.report.count("layers gone")

        def work(connection: Connection) -> None:
            blobs.unlink(connection, self.name, digest)
            number = repositories.numbered(connection, self.name)
            if number is not None:
                repositories.remove_if_empty(connection, number)

        return work


def _groups(sizes: dict[Digest, int]) -> Iterator[list[Digest]]:
    """Manifests to read together: a bounded number with a bounded size (each of those that are too large is not read)."""
    group: list[Digest] = []
    total = 0
    for digest, size in sizes.items():
        if group and (len(group) == AT_ONCE or total + size > BYTES_AT_ONCE):
            yield group
            group, total = [], 0
        group.append(digest)
        total += min(size, LARGEST)
    if group:
        yield group


def _read(digest: Digest, content: bytes, media_type: str) -> Pushed | tuple[str, str]:
    """The manifest, or why it cannot be used, with the details."""
    if digest_of(content) != digest:
        return OTHER_BYTES, ""
    try:
        return Pushed(digest, digest, content, parse_manifest(content, media_type))
    except Failure as failure:
        return (SCHEMA_1, "") if "schema 1" in failure.message else (NOT_MANIFEST, f": {failure.message}")
