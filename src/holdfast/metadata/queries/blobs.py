"""Blobs: which exist, which repository has which."""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.metadata.port import Connection, Row
from holdfast.metadata.queries.repositories import make, number, numbered, text
from holdfast.model.digests import Digest
from holdfast.model.errors import UNAVAILABLE, Failure

TOGETHER = 500
"""The most parameters in one statement."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob: the sha256 digest that its bytes are kept under, its size in bytes, and its `parts` (see `storage.port`)."""

    digest: Digest
    size: int
    parts: str = ""


def _blob(row: Row) -> Blob:
    return Blob(Digest(text(row[0])), number(row[1]), text(row[2]))


def find(connection: Connection, repository: str, digest: Digest) -> Blob | None:
    """A blob of a repository, by any of its digests."""
    if digest.startswith("sha256:"):
        row = connection.one(
            "SELECT b.digest, b.size, b.parts FROM repositories r JOIN repository_blobs l ON l.repository_id = r.id AND l.digest = ?"
            " JOIN blobs b ON b.digest = l.digest WHERE r.name = ? AND b.state IN ('live', 'condemned')",
            digest,
            repository,
        )
    else:
        row = connection.one(
            "SELECT b.digest, b.size, b.parts FROM aliases a JOIN blobs b ON b.digest = a.target"
            " JOIN repository_blobs l ON l.digest = b.digest JOIN repositories r ON r.id = l.repository_id"
            " WHERE a.digest = ? AND r.name = ? AND b.state IN ('live', 'condemned')",
            digest,
            repository,
        )
    return _blob(row) if row else None


def parts(connection: Connection, digest: Digest) -> str:
    """The `parts` of a blob; empty where it is not known."""
    row = connection.one("SELECT parts FROM blobs WHERE digest = ?", digest)
    return text(row[0]) if row else ""


class BeingDeleted(Failure):
    """A blob cannot be claimed while the garbage collector deletes it."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(
            UNAVAILABLE,
            "this blob is being deleted at the moment; push it again",
            detail={"digest": digest},
            headers=[("Retry-After", "5")],
        )


def claim(connection: Connection, holder: str, digest: Digest, size: int, now: int, *, revive: bool = False) -> None:
    """Say that `holder` is about to put a blob's bytes in place: its row becomes live, and stays so until `release`. A blob whose bytes were
    found damaged becomes live with `settle` only.

    Raises `BeingDeleted` while the blob is being deleted; with `revive`, the caller has made sure that nobody is at it.
    """
    row = connection.one("SELECT state FROM blobs WHERE digest = ?", digest)
    if row and row[0] == "deleting" and not revive:
        raise BeingDeleted(digest)
    connection.run(
        "INSERT INTO blobs (digest, size, state, created_at, touched_at) VALUES (?, ?, 'live', ?, ?)"
        " ON CONFLICT (digest) DO UPDATE SET size = excluded.size, touched_at = excluded.touched_at,"
        " state = CASE blobs.state WHEN 'quarantined' THEN blobs.state ELSE 'live' END",
        digest,
        size,
        now,
        now,
    )
    connection.run(
        "INSERT INTO claims (holder, digest, claimed_at) VALUES (?, ?, ?)"
        " ON CONFLICT (holder, digest) DO UPDATE SET claimed_at = excluded.claimed_at",
        holder,
        digest,
        now,
    )


def claimed(connection: Connection, holder: str) -> Blob | None:
    """The blob that a holder has claimed."""
    row = connection.one(
        "SELECT b.digest, b.size, b.parts FROM claims c JOIN blobs b ON b.digest = c.digest WHERE c.holder = ?", holder
    )
    return _blob(row) if row else None


def settle(connection: Connection, holder: str, digest: Digest, where: str = "", due: int = 0) -> None:
    """Drop a holder's claim on one blob: its bytes are in place (or in the parts `where`), and right.

    Parts that the blob had before are of no use after `due`.
    """
    row = connection.one("SELECT parts, state FROM blobs WHERE digest = ?", digest)
    if row and (row[0] != where or row[1] == "quarantined"):
        if row[0] and row[0] != where:
            connection.run(
                "INSERT INTO leftovers (digest, parts, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                digest,
                row[0],
                due,
            )
        connection.run(
            "UPDATE blobs SET parts = ?, state = CASE state WHEN 'quarantined' THEN 'live' ELSE state END WHERE digest = ?",
            where,
            digest,
        )
    connection.run("DELETE FROM claims WHERE holder = ? AND digest = ?", holder, digest)


def release(connection: Connection, holder: str) -> None:
    """Drop all that a holder has claimed."""
    connection.run("DELETE FROM claims WHERE holder = ?", holder)


def release_all(connection: Connection) -> None:
    """Drop the claims of a former run, except those of uploads that can still be finished, and what `imports.protect` keeps."""
    connection.run(
        "DELETE FROM claims WHERE holder NOT IN (SELECT id FROM uploads WHERE closed IS NULL) AND holder NOT LIKE 'protected %'"
    )


def release_old(connection: Connection, before: int) -> None:
    """Drop the claims of processes that ended without a word before `before`, with the exceptions of `release_all`."""
    connection.run(
        "DELETE FROM claims WHERE claimed_at < ? AND holder NOT IN (SELECT id FROM uploads WHERE closed IS NULL)"
        " AND holder NOT LIKE 'protected %'",
        before,
    )


def link(connection: Connection, repository: str, digest: Digest, now: int) -> bool:
    """Give a live blob to a repository; tells whether it did not have it. The blob counts as used now."""
    repository_id = make(connection, repository, now)
    _touch(connection, digest, now)
    changed = connection.run(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        repository_id,
        digest,
        now,
    )
    return changed > 0


def untouched(connection: Connection, digest: Digest, before: int) -> bool:
    """Tell whether a blob was last used at `before` or earlier."""
    return connection.one("SELECT 1 FROM blobs WHERE digest = ? AND touched_at <= ?", digest, before) is not None


def touch(connection: Connection, repository: str, digest: Digest, now: int) -> bool:
    """Let a blob of a repository count as used now; tells whether the repository has it."""
    found = find(connection, repository, digest)
    if found:
        _touch(connection, found.digest, now)
    return found is not None


def _touch(connection: Connection, digest: Digest, now: int) -> None:
    connection.run(
        "UPDATE blobs SET state = 'live', touched_at = ? WHERE digest = ? AND state IN ('live', 'condemned')",
        now,
        digest,
    )


def alias(connection: Connection, other: Digest, digest: Digest) -> bool:
    """Record another digest of a blob; tells whether it is new."""
    return (
        connection.run("INSERT INTO aliases (digest, target) VALUES (?, ?) ON CONFLICT DO NOTHING", other, digest) > 0
    )


def aliases(connection: Connection, digest: Digest) -> list[Digest]:
    """The other digests of a blob."""
    return [Digest(text(row[0])) for row in connection.all("SELECT digest FROM aliases WHERE target = ?", digest)]


def missing(connection: Connection, repository: str, wanted: Sequence[Digest]) -> list[Digest]:
    """Those of `wanted` that a repository does not have, in the order given."""
    present: set[str] = set()
    for start in range(0, len(wanted), TOGETHER):
        part = wanted[start : start + TOGETHER]
        marks = ", ".join("?" * len(part))
        rows = connection.all(
            f"WITH wanted AS (SELECT digest AS asked, digest FROM blobs WHERE digest IN ({marks})"  # noqa: S608 - question marks
            f" UNION ALL SELECT digest AS asked, target AS digest FROM aliases WHERE digest IN ({marks}))"
            " SELECT w.asked FROM wanted w JOIN blobs b ON b.digest = w.digest AND b.state IN ('live', 'condemned')"
            " JOIN repository_blobs l ON l.digest = w.digest JOIN repositories r ON r.id = l.repository_id WHERE r.name = ?",
            *part,
            *part,
            repository,
        )
        present.update(text(row[0]) for row in rows)
    return [digest for digest in wanted if digest not in present]


def referenced(connection: Connection, repository: str, digests: Sequence[Digest]) -> bool:
    """Tell whether a manifest of a repository has one of `digests` as config, layer or blob."""
    marks = ", ".join("?" * len(digests))
    row = connection.one(
        "SELECT 1 FROM manifest_references f JOIN repositories r ON r.id = f.repository_id"  # noqa: S608 - question marks
        f" WHERE f.child IN ({marks}) AND r.name = ? AND f.kind IN ('config', 'layer', 'blob') LIMIT 1",
        *digests,
        repository,
    )
    return row is not None


def unlink(connection: Connection, repository: str, digest: Digest) -> bool:
    """Take a blob from a repository; tells whether it had it. The bytes stay for the garbage collector."""
    repository_id = numbered(connection, repository)
    if repository_id is None:
        return False
    return (
        connection.run("DELETE FROM repository_blobs WHERE repository_id = ? AND digest = ?", repository_id, digest) > 0
    )
