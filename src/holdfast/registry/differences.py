"""Where the links of a repository and the database differ."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from holdfast.metadata.port import Database
from holdfast.metadata.queries import imports
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.digests import Digest
from holdfast.storage.links import Link, LinkReader

MOVED = "a tag that the tree has elsewhere"
NOT_KNOWN = "a link that the database does not know"
"""What reports call differences that may be registry:2's doing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A name that tree and database see differently: what each says (a sha256 digest), None where it has no such name. A damaged link says
    nothing, an empty text.

    `kind` is blob, manifest or tag; `name` the digest or tag, as in rows of `dirty`.
    """

    repository: str
    kind: str
    name: str
    tree: str | None
    database: str | None

    @property
    def is_moved(self) -> bool:
        """Whether it is a tag that both have, on different manifests."""
        return bool(self.kind == "tag" and self.tree and self.database)

    @property
    def row(self) -> DirtyRow:
        """What lets the link be written as the database has it."""
        return DirtyRow(0, self.repository, self.kind, self.name, None)


async def differences(database: Database, reader: LinkReader, repository: str) -> list[Difference]:
    """All differences of a repository, in the order in which links are written: blobs, manifests, tags. Raises `DatabaseError`."""
    links = await reader.scan(repository, thoroughly=True)
    known = await database.read(lambda c: imports.known(c, repository))
    blob_of = {digest: blob for blob, digests in known.manifests.items() for digest in digests}
    return [
        *_compared(repository, "blob", links.layers, {digest: digest for digest in known.blobs}),
        *_compared(repository, "manifest", links.revisions, {blob: blob for blob in known.manifests}),
        *_compared(repository, "tag", links.tags, {tag: blob_of[digest] for tag, digest in known.tags.items()}),
    ]


def _compared(
    repository: str, kind: str, links: Mapping[Digest, Link] | Mapping[str, Link], database: Mapping[str, str]
) -> Iterator[Difference]:
    tree = {
        name: "" if link.broken or not link.target else str(link.target)
        for name, link in links.items()
        if not name.startswith("sha512:")  # the same blob's other name
    }
    for name in sorted(tree.keys() | database.keys()):
        if tree.get(name) != database.get(name):
            yield Difference(repository, kind, name, tree.get(name), database.get(name))


async def all_repositories(database: Database, reader: LinkReader) -> list[str]:
    """The names of the repositories of both, sorted. Raises `DatabaseError`."""
    names = {name async for page in reader.repositories() for name in page.names}
    after = ""
    while page := await database.read(lambda c, a=after: imports.names(c, a, 1000)):  # type: ignore[misc]
        names.update(page)
        after = page[-1]
    return sorted(names)
