"""The link reader port: what a tree says, whoever wrote it.

Only importing, checking and exporting read links; while serving, the database alone is asked. Implementation: `filesystem_links`.
`contract_links.py` holds the suite that each must pass. What cannot be used is told, never raised: one bad file must not hide the others.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.model.digests import Digest

EVERYTHING = 0
"""As `since`: whatever its age."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link. `target`: the digest written in it; None where it was not read, since it is older than asked for or cannot be read.

    `written`: when, in milliseconds since 1970. `media_type`: of a manifest, where the bytes do not tell it. `broken`: the link is empty or
    damaged and `target` was concluded from what is around it.
    """

    target: Digest | None
    written: int
    media_type: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something in the tree that is not as it should be: its path, and why, in one of a few texts."""

    path: str
    why: str


@dataclass(slots=True)
class RepositoryLinks:
    """All links of a repository, by the digest or tag that their place names. `readable`: whether all of its directories could be listed."""

    layers: dict[Digest, Link] = field(default_factory=dict)
    revisions: dict[Digest, Link] = field(default_factory=dict)
    tags: dict[str, Link] = field(default_factory=dict)
    uploads: int = 0
    readable: bool = True
    oddities: list[Oddity] = field(default_factory=list)


@dataclass(slots=True)
class RepositoryPage:
    """Some names of repositories."""

    names: list[str] = field(default_factory=list)
    oddities: list[Oddity] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stored:
    """A blob's bytes: how many, and when they came, in milliseconds since 1970."""

    size: int
    written: int


@dataclass(slots=True)
class Shard:
    """All blobs whose digests begin with `prefix`."""

    prefix: str
    blobs: dict[Digest, Stored] = field(default_factory=dict)
    oddities: list[Oddity] = field(default_factory=list)


def order(name: str) -> list[str]:
    """The key by which `LinkReader.repositories` sorts."""
    return name.split("/")


class LinkReader(Protocol):
    """Reads a tree. Times called `since` are those that `mark` gave."""

    async def mark(self) -> int:
        """The present time on the tree's own clock: what is written from now on is not older. Raises `StorageError`."""

    def repositories(self) -> AsyncIterator[RepositoryPage]:
        """The names of all repositories, in the `order` of their parts, some at a time."""

    async def absent(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that are no repositories in the tree."""

    async def scan(self, repository: str, since: int) -> RepositoryLinks:
        """The links of a repository; of those older than `since` only that they are there. Nothing where there is no such repository."""

    def shards(self, since: int) -> AsyncIterator[Shard]:
        """The blobs of each part of the store in which one was added or removed after `since`."""

    async def contents(self, digests: Sequence[Digest], most: int) -> dict[Digest, bytes]:
        """The bytes of those of `digests` that are there and have at most `most` bytes."""
