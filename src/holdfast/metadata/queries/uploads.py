"""Uploads under way, and for a while those that were closed."""

from dataclasses import dataclass

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.repositories import number, text
from holdfast.model.digests import Digest

REMEMBERED = 60 * 60 * 1000
"""Milliseconds for which a closed upload is remembered, so that a repeated closing request is answered alike."""


@dataclass(frozen=True, slots=True)
class UploadRow:
    """An upload: `size` bytes are durable in `parts` (see `storage.port`), `digest` is their SHA-256 and `state` how to go on hashing; `closed`
    the digest it became.
    """

    id: str
    repository: str
    started_at: int
    size: int
    digest: Digest | None
    state: bytes
    closed: Digest | None
    parts: str = ""


def start(connection: Connection, upload_id: str, repository: str, now: int) -> None:
    """Record a new upload."""
    connection.run(
        "INSERT INTO uploads (id, repository, started_at, updated_at, size, state) VALUES (?, ?, ?, ?, 0, ?)",
        upload_id,
        repository,
        now,
        now,
        b"",
    )


def forget_closed(connection: Connection, now: int) -> None:
    """Forget the uploads that were closed some time ago."""
    connection.run("DELETE FROM uploads WHERE closed IS NOT NULL AND updated_at < ?", now - REMEMBERED)


def find(connection: Connection, upload_id: str) -> UploadRow | None:
    """An upload by its id."""
    row = connection.one(
        "SELECT id, repository, started_at, size, digest, state, closed, parts FROM uploads WHERE id = ?", upload_id
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
        text(row[7]),
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


def record(
    connection: Connection, row: UploadRow, size: int, digest: Digest, state: bytes, now: int, parts: str = ""
) -> bool:
    """Record how far the bytes of an upload are durable that was found as `row`; tells whether it is still open and nothing was added since."""
    changed = connection.run(
        "UPDATE uploads SET size = ?, digest = ?, state = ?, parts = ?, updated_at = ?"
        " WHERE id = ? AND closed IS NULL AND size = ? AND parts = ?",
        size,
        digest,
        state,
        parts,
        now,
        row.id,
        row.size,
        row.parts,
    )
    return changed > 0


def is_unchanged(connection: Connection, row: UploadRow) -> bool:
    """Tell whether an upload that was found as `row` is under way and nothing was added since."""
    found = connection.one(
        "SELECT 1 FROM uploads WHERE id = ? AND closed IS NULL AND size = ? AND parts = ?", row.id, row.size, row.parts
    )
    return found is not None


def close(connection: Connection, upload_id: str, digest: Digest, now: int) -> None:
    """Record that an upload has become a blob, whose parts those of the upload are now."""
    connection.run(
        "UPDATE uploads SET closed = ?, state = ?, parts = '', updated_at = ? WHERE id = ?", digest, b"", now, upload_id
    )


def remove(connection: Connection, row: UploadRow) -> bool:
    """Forget an upload that was found as `row`; tells whether it is still open and nothing was added since."""
    changed = connection.run(
        "DELETE FROM uploads WHERE id = ? AND closed IS NULL AND size = ? AND parts = ?", row.id, row.size, row.parts
    )
    return changed > 0
