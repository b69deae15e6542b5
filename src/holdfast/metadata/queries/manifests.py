"""Manifests, what they refer to, and what refers to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from holdfast.metadata.port import Connection
from holdfast.metadata.queries import dirty
from holdfast.metadata.queries.repositories import number, text
from holdfast.model.digests import Digest
from holdfast.model.manifests import Manifest
from holdfast.model.pagination import Page


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest as it is served."""

    digest: Digest
    media_type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Pushed:
    """A manifest on its way in: `digest` as the client names it, `blob` the sha256 digest of the same bytes."""

    digest: Digest
    blob: Digest
    payload: bytes
    parsed: Manifest


@dataclass(frozen=True, slots=True)
class ReferrerRow:
    """A manifest with a subject, as the list of referrers shows it."""

    digest: str
    media_type: str
    artifact_type: str
    size: int
    annotations: bytes
    """As JSON."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which referrers: of `subject`, of one of `types` if there are any, on `page`, in at most `room` bytes."""

    subject: Digest
    types: tuple[str, ...]
    page: Page
    room: int


MOST_REFERRERS = 10_000
"""The most entries that one list of referrers has."""

LARGEST_ENTRY = 1024
"""Bytes of an entry besides its annotations and artifact type, at most."""


_BY_TAG = (
    "SELECT m.digest, m.media_type, m.payload FROM repositories r JOIN tags t ON t.repository_id = r.id AND t.name = ?"
    " JOIN manifests m ON m.repository_id = r.id AND m.digest = t.digest WHERE r.name = ?"
)
_BY_DIGEST = (
    "SELECT m.digest, m.media_type, m.payload FROM repositories r"
    " JOIN manifests m ON m.repository_id = r.id AND m.digest = ? WHERE r.name = ?"
)

_IS_THERE = "SELECT 1 FROM repositories r JOIN manifests m ON m.repository_id = r.id AND m.digest = ? WHERE r.name = ?"


def find(connection: Connection, repository: str, reference: str) -> StoredManifest | None:
    """A manifest of a repository by tag or digest."""
    row = connection.one(_BY_DIGEST if ":" in reference else _BY_TAG, reference, repository)
    return StoredManifest(*row) if row else None  # type: ignore[arg-type]


def present(connection: Connection, repository: str, wanted: Sequence[Digest]) -> list[Digest]:
    """Those of `wanted` that are manifests of a repository."""
    return [digest for digest in wanted if connection.one(_IS_THERE, digest, repository)]


def put(connection: Connection, repository_id: int, repository: str, pushed: Pushed, now: int, actor: str) -> None:
    """Record a manifest and its references; pushed again, it only takes the new media type."""
    parsed = pushed.parsed
    before = connection.one(
        "SELECT media_type FROM manifests WHERE repository_id = ? AND digest = ?", repository_id, pushed.digest
    )
    connection.run(
        "INSERT INTO manifests (repository_id, digest, blob, media_type, artifact_type, subject, size, annotations, typed,"
        " pushed_at, pushed_by, payload) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (repository_id, digest) DO UPDATE SET media_type = excluded.media_type, typed = excluded.typed,"
        " artifact_type = excluded.artifact_type, pushed_at = excluded.pushed_at, pushed_by = excluded.pushed_by",
        repository_id,
        pushed.digest,
        pushed.blob,
        parsed.media_type,
        parsed.artifact_type,
        parsed.subject,
        len(pushed.payload),
        msgspec.json.encode(parsed.annotations).decode(),
        int(parsed.typed),
        now,
        actor,
        pushed.payload,
    )
    if before is None:
        for reference in {(reference.digest, reference.kind) for reference in parsed.references}:
            connection.run(
                "INSERT INTO manifest_references (repository_id, parent, child, kind) VALUES (?, ?, ?, ?)",
                repository_id,
                pushed.digest,
                *reference,
            )
    if before != (parsed.media_type,):
        dirty.mark(connection, repository, "manifest", pushed.blob, text(before[0]) if before else None)


def remove(connection: Connection, repository_id: int, repository: str, digest: Digest) -> bool:
    """Remove a manifest that no tag names any more; tells whether there was one."""
    row = connection.one(
        "DELETE FROM manifests WHERE repository_id = ? AND digest = ? RETURNING blob", repository_id, digest
    )
    if row:
        dirty.mark(connection, repository, "manifest", text(row[0]), None)
    return row is not None


def referrers(connection: Connection, repository: str, wanted: Wanted) -> tuple[list[ReferrerRow], bool]:
    """The manifests of a repository with a subject, in order of their digests, as many as there is room for (but one at least), and
    whether there are more.
    """
    types = f" AND m.artifact_type IN ({', '.join('?' * len(wanted.types))})" if wanted.types else ""
    source = (
        " FROM repositories r JOIN manifests m ON m.repository_id = r.id AND m.subject = ? AND m.digest > ?"
        f"{types} WHERE r.name = ? ORDER BY m.digest LIMIT ?"
    )
    limit = min(wanted.page.limit, MOST_REFERRERS)
    parameters = (wanted.subject, wanted.page.last, *wanted.types, repository)
    sizes = connection.all(
        f"SELECT octet_length(m.annotations) + octet_length(m.artifact_type){source}", *parameters, limit + 1
    )
    count = _fitting([number(size) for (size,) in sizes[:limit]], wanted.room)
    rows = connection.all(
        f"SELECT m.digest, m.media_type, m.artifact_type, m.size, m.annotations{source}", *parameters, count
    )
    found = [ReferrerRow(text(a), text(b), text(c), number(d), text(e).encode()) for a, b, c, d, e in rows]
    return found, len(sizes) > count


def _fitting(sizes: list[int], room: int) -> int:
    """How many entries with contents of these sizes have room."""
    total = 0
    for count, size in enumerate(sizes):
        total += size + LARGEST_ENTRY
        if total > room and count:
            return count
    return len(sizes)


def blob_of(connection: Connection, repository: str, digest: str) -> Digest | None:
    """The sha256 digest of a manifest's bytes, which the tree names it by."""
    row = connection.one(
        "SELECT m.blob FROM repositories r JOIN manifests m ON m.repository_id = r.id AND m.digest = ? WHERE r.name = ?",
        digest,
        repository,
    )
    return Digest(text(row[0])) if row else None


def for_tree(connection: Connection, repository: str, blob: str) -> tuple[str, bool] | None:
    """What the tree needs of the manifest with these bytes, by whatever digest: its media type, and whether the bytes tell it."""
    row = connection.one(
        "SELECT m.media_type, m.typed FROM repositories r JOIN manifests m ON m.repository_id = r.id AND m.blob = ?"
        " WHERE r.name = ? ORDER BY m.digest LIMIT 1",
        blob,
        repository,
    )
    return (text(row[0]), bool(row[1])) if row else None
