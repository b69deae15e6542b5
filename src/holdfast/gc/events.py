"""What a garbage collection tells while it runs, and what it comes to."""

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast.metadata.queries.collection import ManifestKey, RepositoryCount
from holdfast.model.digests import Digest


@dataclass(frozen=True, slots=True)
class BlobGone:
    """A blob that is deleted, or would be: `size` bytes. `why`: unused, stray (a file that the database does not know) or unfinished
    (its deletion was cut off before).
    """

    digest: Digest
    size: int
    why: str


Event = RepositoryCount | ManifestKey | BlobGone
"""A repository that was looked at, a manifest or a blob that is deleted or would be."""

Tell = Callable[[Event], None]


@dataclass(slots=True)
class Kept:
    """What is kept for the grace time: how many, their bytes, and when the first and the last of them may go (milliseconds since 1970)."""

    count: int = 0
    bytes: int = 0
    first: int = 0
    last: int = 0

    def add(self, size: int, until: int) -> None:
        """Count one more, which may go at `until`."""
        self.first = min(self.first, until) if self.count else until
        self.last = max(self.last, until)
        self.count += 1
        self.bytes += size


@dataclass(slots=True)
class Summary:
    """What a collection came to; in a dry run, what it would have come to."""

    repositories: int = 0
    manifests: int = 0
    blobs_used: int = 0
    manifests_deleted: int = 0
    blobs_deleted: int = 0
    bytes_freed: int = 0
    kept_blobs: Kept = field(default_factory=Kept)
    kept_manifests: Kept = field(default_factory=Kept)
    claimed: int = 0
    """Unused blobs that a push under way claims."""
    foreign: int = 0
    """Files that the database does not know and a link of the tree names: these are left alone."""

    def count(self, gone: BlobGone) -> None:
        """Count a deletion."""
        self.blobs_deleted += 1
        self.bytes_freed += gone.size
