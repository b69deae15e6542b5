"""Repositories: listing them, removing one. (Docker Registry V2 "Catalog")"""

from dataclasses import dataclass

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import dirty, repositories
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.model.errors import NAME_UNKNOWN, Failure
from holdfast.model.pagination import Page
from holdfast.registry.clock import Clock
from holdfast.registry.tree import TreeWriter
from holdfast.registry.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Repositories:
    """All repositories."""

    database: Database
    tree: TreeWriter
    uploads: Uploads
    clock: Clock

    async def catalog(self, page: Page) -> list[str]:
        """A page of names of repositories that have a manifest, and one more where others follow."""
        return await self.database.remembered(("catalog", page), lambda c: repositories.catalog(c, page))

    async def delete(self, repository: str, actor: str) -> None:
        """Remove a repository with its tags, manifests, blobs and the uploads under way. Raises `Failure(NAME_UNKNOWN)`."""
        now = self.clock()
        if await self.database.read(lambda c: repositories.numbered(c, repository)) is None:
            raise Failure(NAME_UNKNOWN, detail={"name": repository})
        await self.uploads.forget_all(repository)

        def work(connection: Connection) -> list[DirtyRow]:
            dirty.follow(connection)
            if not repositories.remove(connection, repository, now, actor):
                raise Failure(NAME_UNKNOWN, detail={"name": repository})
            dirty.mark(connection, repository, "repository", repository, None)
            return dirty.followed(connection)

        await self.tree.remove(await self.database.write(work))
