"""Uploads under way, and for a while those that were closed."""

from dataclasses import dataclass

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.repositories import number, text
from holdfast.model.digests import Digest

REMEMBERED = 60 * 60 * 1000
"""Milliseconds for which a closed upload is remembered, so that a repeated closing request is answered alike."""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload: `size` bytes are durable, `digest` is their SHA-256 and `state` how to go on hashing; `closed` the digest it became."""

    id: str
    repository: str
    started_at: int
    size: int
    digest: Digest | None
    state: bytes
    closed: Digest | None


def start(connection: Connection, upload_id: str, repository: str, now: int) -> None:
    """Record a new upload; forget those that were closed some time ago."""
    connection.run("DELETE FROM uploads WHERE closed IS NOT NULL AND updated_at < ?", now - REMEMBERED)
    connection.run(
        "INSERT INTO uploads (id, repository, started_at, updated_at, size, state) VALUES (?, ?, ?, ?, 0, x'')",
        upload_id,
        repository,
        now,
        now,
    )


def find(connection: Connection, upload_id: str) -> UploadRow | None:
    """An upload by its id."""
    row = connection.one(
        "SELECT id, repository, started_at, size, digest, state, closed FROM uploads WHERE id = ?", upload_id
    )
    if row is None:
        return None
    state = row[5]
    assert isinstance(state, bytes)  # noqa: S101 - the column's type
    return UploadRow(
        text(row[0]),
        text(row[1]),
        number(row[2]),
        number(row[3]),
        Digest(text(row[4])) if row[4] else None,
        state,
        Digest(text(row[6])) if row[6] else None,
    )


def of_repository(connection: Connection, repository: str) -> list[str]:
    """Ids of the uploads under way into a repository."""
    rows = connection.all("SELECT id FROM uploads WHERE repository = ? AND closed IS NULL", repository)
    return [text(row[0]) for row in rows]


def untouched(connection: Connection, before: int, most: int) -> list[tuple[str, str]]:
    """Ids and repositories of at most `most` uploads under way that nothing was added to since `before`."""
    rows = connection.all(
        "SELECT id, repository FROM uploads WHERE closed IS NULL AND updated_at < ? LIMIT ?", before, most
    )
    return [(text(row[0]), text(row[1])) for row in rows]


def record(connection: Connection, upload_id: str, size: int, digest: Digest, state: bytes, now: int) -> bool:
    """Record how far an open upload's bytes are durable; tells whether there was one."""
    changed = connection.run(
        "UPDATE uploads SET size = ?, digest = ?, state = ?, updated_at = ? WHERE id = ? AND closed IS NULL",
        size,
        digest,
        state,
        now,
        upload_id,
    )
    return changed > 0


def is_open(connection: Connection, upload_id: str) -> bool:
    """Tell whether an upload is under way."""
    return connection.one("SELECT 1 FROM uploads WHERE id = ? AND closed IS NULL", upload_id) is not None


def close(connection: Connection, upload_id: str, digest: Digest, now: int) -> None:
    """Record that an upload has become a blob."""
    connection.run("UPDATE uploads SET closed = ?, state = x'', updated_at = ? WHERE id = ?", digest, now, upload_id)


def remove(connection: Connection, upload_id: str) -> None:
    """Forget an upload."""
    connection.run("DELETE FROM uploads WHERE id = ?", upload_id)
