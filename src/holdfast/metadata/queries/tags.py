"""Tags and their history."""

from holdfast.metadata.port import Connection
from holdfast.metadata.queries import dirty
from holdfast.metadata.queries.repositories import numbered, text
from holdfast.model.digests import Digest
from holdfast.model.pagination import Page


def find(connection: Connection, repository: str, tag: str) -> Digest | None:
    """What a tag points to."""
    row = connection.one(
        "SELECT t.digest FROM repositories r JOIN tags t ON t.repository_id = r.id AND t.name = ? WHERE r.name = ?",
        tag,
        repository,
    )
    return Digest(text(row[0])) if row else None


def listed(connection: Connection, repository: str, page: Page) -> list[str] | None:
    """A repository's tags in bytewise order, one more than the page holds if there are more; None if there is no such repository."""
    repository_id = numbered(connection, repository)
    if repository_id is None:
        return None
    rows = connection.all(
        "SELECT name FROM tags WHERE repository_id = ? AND name > ? ORDER BY name LIMIT ?",
        repository_id,
        page.last,
        page.limit + 1,
    )
    return [text(row[0]) for row in rows]


def move(
    connection: Connection, repository_id: int, repository: str, tag: str, digest: Digest, now: int, actor: str
) -> None:
    """Let a tag point to a manifest of its repository."""
    row = connection.one("SELECT digest FROM tags WHERE repository_id = ? AND name = ?", repository_id, tag)
    before = text(row[0]) if row else None
    connection.run(
        "INSERT INTO tags (repository_id, name, digest, updated_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, updated_at = excluded.updated_at",
        repository_id,
        tag,
        digest,
        now,
    )
    if before != digest:
        _moved(connection, repository, tag, before, digest, now, actor)


def remove(connection: Connection, repository: str, tag: str, now: int, actor: str) -> bool:
    """Remove a tag; tells whether there was one."""
    before = find(connection, repository, tag)
    if before is None:
        return False
    connection.run("DELETE FROM tags WHERE repository_id = ? AND name = ?", numbered(connection, repository), tag)
    _moved(connection, repository, tag, before, None, now, actor)
    return True


def pointing_to(connection: Connection, repository_id: int, digest: Digest) -> list[str]:
    """The tags on a manifest."""
    rows = connection.all(
        "SELECT name FROM tags WHERE repository_id = ? AND digest = ? ORDER BY name", repository_id, digest
    )
    return [text(row[0]) for row in rows]


def _moved(
    connection: Connection, repository: str, tag: str, before: str | None, after: str | None, now: int, actor: str
) -> None:
    connection.run(
        "INSERT INTO tag_history (repository, tag, before, after, moved_at, moved_by) VALUES (?, ?, ?, ?, ?, ?)",
        repository,
        tag,
        before,
        after,
        now,
        actor,
    )
    dirty.mark(connection, repository, "tag", tag, before)
