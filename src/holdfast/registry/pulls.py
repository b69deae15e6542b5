"""What is pulled, and what can still be pulled while the database is away.

A manifest or blob that an actor was given a short while ago is given to the same actor again by its digest, which can name nothing else. Tags
can move, so they are not answered.
"""

from dataclasses import dataclass

from holdfast.metadata.port import DatabaseUnavailable
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.manifests import StoredManifest
from holdfast.metadata.recent import RecentPulls
from holdfast.model.digests import Digest
from holdfast.registry.blobs import Blobs
from holdfast.registry.manifests import Manifests


@dataclass(frozen=True, slots=True)
class Pulls:
    """Pulls of manifests and blobs. `recent`: what this node has given; None where the database cannot be away."""

    manifests: Manifests
    blobs: Blobs
    recent: RecentPulls | None

    async def manifest(self, actor: str, repository: str, reference: str) -> StoredManifest:
        """A manifest by tag or digest. Raises as `Manifests.find`, `DatabaseUnavailable`."""
        if self.recent is None:
            return await self.manifests.find(repository, reference)
        try:
            found = await self.manifests.find(repository, reference)
        except DatabaseUnavailable:
            known = self.recent.manifest(actor, repository, Digest(reference)) if ":" in reference else None
            if known is None:
                raise
            return known
        self.recent.gave_manifest(actor, repository, found)
        return found

    async def blob(self, actor: str, repository: str, digest: Digest) -> Blob:
        """A blob of a repository. Raises as `Blobs.find`, `DatabaseUnavailable`."""
        if self.recent is None:
            return await self.blobs.find(repository, digest)
        try:
            found = await self.blobs.find(repository, digest)
        except DatabaseUnavailable:
            known = self.recent.blob(actor, repository, digest)
            if known is None:
                raise
            return known
        self.recent.gave_blob(actor, repository, digest, found)
        return found
