"""Repositories: they appear with their first blob or manifest."""

from holdfast.metadata.port import Connection, Row, Value
from holdfast.model.pagination import Page


def text(value: Value) -> str:
    """The value of a column that holds text."""
    assert isinstance(value, str)  # noqa: S101 - the column's type
    return value


def number(value: Value) -> int:
    """The value of a column that holds whole numbers."""
    assert isinstance(value, int)  # noqa: S101 - the column's type
    return value


def numbered(connection: Connection, name: str) -> int | None:
    """A repository's number, or None if there is no such repository."""
    row = connection.one("SELECT id FROM repositories WHERE name = ?", name)
    return number(row[0]) if row else None


def make(connection: Connection, name: str, now: int) -> int:
    """A repository's number; the repository is made if there is none."""
    found = numbered(connection, name)
    if found is not None:
        return found
    row = connection.one("INSERT INTO repositories (name, created_at) VALUES (?, ?) RETURNING id", name, now)
    assert row  # noqa: S101 - RETURNING gives a row
    return number(row[0])


def are_none(connection: Connection) -> bool:
    """Tell whether there is no repository at all."""
    return connection.one("SELECT 1 FROM repositories LIMIT 1") is None


def catalog(connection: Connection, page: Page) -> list[str]:
    """The names of repositories with a manifest, in bytewise order; one more than the page holds if there are more."""
    rows = connection.all(
        "SELECT name FROM repositories r WHERE name > ?"
        " AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id) ORDER BY name LIMIT ?",
        page.last,
        page.limit + 1,
    )
    return _names(rows)


def with_blob(connection: Connection, digest: str, most: int) -> list[str]:
    """The names of at most `most` repositories that have a blob."""
    rows = connection.all(
        "SELECT r.name FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id"
        " JOIN blobs b ON b.digest = l.digest"
        " WHERE l.digest = coalesce((SELECT target FROM aliases WHERE digest = ?), ?)"
        " AND b.state IN ('live', 'condemned') LIMIT ?",
        digest,
        digest,
        most,
    )
    return _names(rows)


def remove(connection: Connection, name: str, now: int, actor: str) -> bool:
    """Remove a repository with all that it has; tells whether there was one. The tags' history stays, this move included."""
    number_ = numbered(connection, name)
    if number_ is None:
        return False
    connection.run(
        "INSERT INTO tag_history (repository, tag, before, after, moved_at, moved_by)"
        " SELECT ?, name, digest, NULL, ?, ? FROM tags WHERE repository_id = ?",
        name,
        now,
        actor,
        number_,
    )
    for table in ("tags", "manifests", "repository_blobs"):
        connection.run(f"DELETE FROM {table} WHERE repository_id = ?", number_)  # noqa: S608 - names from the line above
    connection.run("DELETE FROM repositories WHERE id = ?", number_)
    return True


def remove_if_empty(connection: Connection, number_: int) -> bool:
    """Forget a repository that has neither manifests nor blobs; tells whether it was one."""
    changed = connection.run(
        "DELETE FROM repositories WHERE id = ?"
        " AND NOT EXISTS (SELECT 1 FROM manifests WHERE repository_id = repositories.id)"
        " AND NOT EXISTS (SELECT 1 FROM repository_blobs WHERE repository_id = repositories.id)",
        number_,
    )
    return changed > 0


def _names(rows: list[Row]) -> list[str]:
    return [text(row[0]) for row in rows]
