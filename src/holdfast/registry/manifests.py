"""Manifests and tags. (distribution-spec 1.1 "Pulling manifests", "Pushing manifests", "Deleting", "Content Discovery")"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import uuid4

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import blobs, dirty, manifests, repositories, tags
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.metadata.queries.manifests import Pushed, ReferrerRow, StoredManifest, Wanted
from holdfast.model.digests import Digest, algorithm_of, digest_of
from holdfast.model.errors import (
    DIGEST_INVALID,
    MANIFEST_BLOB_UNKNOWN,
    MANIFEST_UNKNOWN,
    NAME_UNKNOWN,
    TAG_INVALID,
    TOO_MANY_TAGS,
    Failure,
)
from holdfast.model.manifests import Manifest, parse_manifest
from holdfast.model.names import check_tag, is_tag
from holdfast.model.pagination import Page
from holdfast.model.rules import LENIENT, Rules
from holdfast.registry.claims import Claims
from holdfast.registry.clock import Clock
from holdfast.registry.tree import TreeWriter
from holdfast.storage.port import BlobStore

READ_FOR = 60 * 60 * 1000
"""Milliseconds for which parts that are of no use any more stay, for those who read from them."""

MOST_TAGS = 100
"""The most tags that one push may set."""

SMALL = 32 * 1024
"""Bytes of a manifest up to which hashing and parsing it is quicker than handing it to a thread."""


FEW = 200
"""References up to which a first look, before anything is written, is worth its time on the event loop."""

MOST_TOLD = 100
"""The most missing blobs that an answer names."""

LACKS_CHILDREN = (
    "the index lists manifests that this repository does not have; validation.manifests.indexes.platforms asks for them"
)


@dataclass(frozen=True, slots=True)
class Manifests:
    """The manifests and tags of all repositories."""

    database: Database
    store: BlobStore
    tree: TreeWriter
    claims: Claims
    clock: Clock
    rules: Rules = LENIENT

    async def find(self, repository: str, reference: str) -> StoredManifest:
        """A manifest by tag or digest. Raises `Failure(MANIFEST_UNKNOWN)`, whether or not the repository is known, as registry:2 does."""
        found = await self.database.read(lambda c: manifests.find(c, repository, reference))
        if found is None:
            raise _unknown(repository, reference)
        return found

    async def put(
        self, repository: str, reference: str, extra_tags: Sequence[str], content_type: str, payload: bytes, actor: str
    ) -> tuple[Digest, Manifest]:
        """Keep a manifest of at most 4 MiB and let tags point to it; gives its digest as the client names it.

        `reference` is a tag or the digest of `payload`; `extra_tags` go with a digest. Raises `Failure`: MANIFEST_INVALID,
        MANIFEST_BLOB_UNKNOWN, DIGEST_INVALID, TAG_INVALID, TOO_MANY_TAGS; `StorageError`.
        """
        wanted = _wanted_tags(reference, extra_tags)
        self.store.check_room(len(payload))
        if len(payload) <= SMALL:
            pushed = _read(payload, content_type, reference, self.rules)
        else:
            pushed = await asyncio.to_thread(_read, payload, content_type, reference, self.rules)
        if len(pushed.parsed.references) <= FEW:
            await self.database.read(lambda c: _check_references(c, repository, pushed))
        holder, now = str(uuid4()), self.clock()
        await self.claims.take(lambda c, revive: blobs.claim(c, holder, pushed.blob, len(payload), now, revive=revive))

        def work(connection: Connection) -> list[DirtyRow]:
            _check_references(connection, repository, pushed)
            dirty.follow(connection)
            repository_id = repositories.make(connection, repository, now)
            manifests.put(connection, repository_id, repository, pushed, now, actor)
            for tag in wanted:
                tags.move(connection, repository_id, repository, tag, pushed.digest, now, actor)
            blobs.settle(connection, holder, pushed.blob, due=now + READ_FOR)
            return dirty.followed(connection)

        try:
            await self.store.put(pushed.blob, payload)
            rows = await self.database.write(work)
        except BaseException:
            await self.database.write(lambda c: blobs.release(c, holder))
            raise
        await self.tree.write(rows)
        return pushed.digest, pushed.parsed

    async def delete(self, repository: str, reference: str, actor: str) -> None:
        """Remove a tag, or a manifest by digest with every tag on it. Raises as `find`."""
        now = self.clock()

        def work(connection: Connection) -> list[DirtyRow] | None:
            dirty.follow(connection)
            if is_tag(reference):
                removed = tags.remove(connection, repository, reference, now, actor)
            else:
                removed = remove_manifest(connection, repository, Digest(reference), now, actor)
            return dirty.followed(connection) if removed else None

        rows = await self.database.write(work)
        if rows is None:
            raise _unknown(repository, reference)
        await self.tree.remove(rows)

    async def tags(self, repository: str, page: Page) -> list[str]:
        """A page of tags, and one more where others follow. Raises `Failure(NAME_UNKNOWN)`."""
        found = await self.database.remembered(("tags", repository, page), lambda c: tags.listed(c, repository, page))
        if found is None:
            raise Failure(NAME_UNKNOWN, detail={"name": repository})
        return found

    async def referrers(self, repository: str, wanted: Wanted) -> tuple[list[ReferrerRow], bool]:
        """The manifests with a subject, none where anything is unknown, and whether there are more than fit."""
        return await self.database.read(lambda c: manifests.referrers(c, repository, wanted))


def _unknown(repository: str, reference: str) -> Failure:
    return Failure(MANIFEST_UNKNOWN, detail={"name": repository, "reference": reference})


def _wanted_tags(reference: str, extra_tags: Sequence[str]) -> list[str]:
    if len(extra_tags) > MOST_TAGS:
        raise Failure(TOO_MANY_TAGS)
    if is_tag(reference):
        if extra_tags:
            raise Failure(TAG_INVALID, "tag parameters go with a push by digest only")
        return [reference]
    return [check_tag(tag) for tag in dict.fromkeys(extra_tags)]


def _read(payload: bytes, content_type: str, reference: str, rules: Rules) -> Pushed:
    blob = digest_of(payload)
    digest = blob
    if not is_tag(reference):
        digest = Digest(reference)
        if digest != blob and digest != digest_of(payload, algorithm_of(digest)):
            raise Failure(DIGEST_INVALID, "the manifest does not have this digest", detail={"digest": digest})
    return Pushed(digest, blob, payload, parse_manifest(payload, content_type, rules))


def _check_references(connection: Connection, repository: str, pushed: Pushed) -> None:
    references = [reference for reference in pushed.parsed.references if reference.required]
    required = list(dict.fromkeys(reference.digest for reference in references))
    lacking = blobs.missing(connection, repository, required)
    children = {reference.digest for reference in references if reference.kind == "manifest"}
    if lacking and children:
        known = set(manifests.present(connection, repository, [digest for digest in lacking if digest in children]))
        lacking = [digest for digest in lacking if digest not in known]
    if lacking:
        message = LACKS_CHILDREN if children.intersection(lacking) else ""
        raise Failure(MANIFEST_BLOB_UNKNOWN, message, details=[{"digest": digest} for digest in lacking[:MOST_TOLD]])


def remove_manifest(connection: Connection, repository: str, digest: Digest, now: int, actor: str) -> bool:
    """Remove a manifest with every tag on it, and the repository with its last manifest and blob; tells whether it was there."""
    repository_id = repositories.numbered(connection, repository)
    if repository_id is None:
        return False
    for tag in tags.pointing_to(connection, repository_id, digest):
        tags.remove(connection, repository, tag, now, actor)
    if not manifests.remove(connection, repository_id, repository, digest):
        return False
    if repositories.remove_if_empty(connection, repository_id):
        dirty.mark(connection, repository, "repository", repository, None)
    return True
