"""The link reader port: what a tree says, whoever wrote it.

Only importing, checking and exporting read links; while serving, the database alone is asked. Implementations: `filesystem_links`, `object_links`.
`contract_links.py` holds the suite that each must pass. What cannot be used is told, never raised: one bad file must not hide the others.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.model.digests import Digest

UNREADABLE = "cannot be read"
"""Why something that may well be in order was left out."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `target`: the digest written in it; None where it cannot be read. `written`: when, in milliseconds since 1970. `broken`: the
    link is empty or damaged and `target` was concluded from what is around it.
    """

    target: Digest | None
    written: int
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something in the tree that is not as it should be: its path, and why, in one of a few texts."""

    path: str
    why: str


@dataclass(slots=True)
class RepositoryLinks:
    """All links of a repository, by the digest or tag that their place names. `uploads`: the uploads under way, by their ids (UUIDs), with the
    time of the last addition in milliseconds since 1970. `readable`: whether all of its directories could be listed.
    """

    layers: dict[Digest, Link] = field(default_factory=dict)
    revisions: dict[Digest, Link] = field(default_factory=dict)
    tags: dict[str, Link] = field(default_factory=dict)
    uploads: dict[str, int] = field(default_factory=dict)
    readable: bool = True
    oddities: list[Oddity] = field(default_factory=list)


@dataclass(slots=True)
class RepositoryPage:
    """Some names of repositories."""

    names: list[str] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob's bytes: how many, and when they came, in milliseconds since 1970; `parts` (see `port`) where they are not at their own place."""

    size: int
    written: int
    parts: str = ""


@dataclass(slots=True)
class Shard:
    """All blobs whose digests begin with `prefix`; with an empty prefix only what was found odd."""

    prefix: str
    digests: set[Digest] = field(default_factory=set)
    oddities: list[Oddity] = field(default_factory=list)


def order(name: str) -> list[str]:
    """The key by which `LinkReader.repositories` sorts."""
    return name.split("/")


class LinkReader(Protocol):
    """Reads a tree. All of it costs a few microseconds for each link and less for each blob, so it can be looked at whenever a server starts."""

    def repositories(self) -> AsyncIterator[RepositoryPage]:
        """The names of all repositories, in the `order` of their parts, some at a time."""

    async def absent(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that are no repositories in the tree."""

    async def scan(self, repository: str, *, thoroughly: bool = False) -> RepositoryLinks:
        """The links of a repository; `thoroughly`: also look into those whose place says all that they should. Nothing where there is no
        such repository.
        """

    async def media_types(self, repository: str, manifests: Sequence[Digest]) -> dict[Digest, str]:
        """The media types that the tree has for manifests of a repository whose bytes do not tell them."""

    async def histories(self, repository: str, tags: Sequence[str]) -> dict[str, set[Digest]]:
        """The manifests that each of `tags` ever pointed to, as far as the tree tells; tags without any may be left out."""

    def shards(self) -> AsyncIterator[Shard]:
        """All blobs, in parts."""

    async def stored(self, digests: Sequence[Digest]) -> tuple[dict[Digest, Stored], list[Oddity]]:
        """The blobs among `digests` that are there, and those whose files cannot be what they should."""

    async def contents(self, digests: Sequence[Digest], most: int) -> dict[Digest, bytes]:
        """The bytes of those of `digests` that are there and have at most `most` bytes."""
