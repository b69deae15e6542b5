"""What nothing refers to any more, for the garbage collector.

A blob is in use while it is claimed, while a manifest has these bytes, or while a manifest refers to it by any of its digests as config,
layer or blob; and as an entry of an index where its repository has it as a blob, as indexes of build caches do. That a repository has it is
no use: it only says who may use it next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.metadata.port import Connection
from holdfast.metadata.queries import dirty, manifests
from holdfast.metadata.queries.blobs import TOGETHER, Blob
from holdfast.metadata.queries.repositories import number, remove_if_empty, text
from holdfast.model.digests import Digest

_COUNTS = (
    "(f.kind IN ('config', 'layer', 'blob') OR f.kind = 'manifest' AND EXISTS"
    " (SELECT 1 FROM repository_blobs l WHERE l.repository_id = f.repository_id AND l.digest = b.digest))"
)
_CLAIMED = "EXISTS (SELECT 1 FROM claims c WHERE c.digest = b.digest)"
_USED = (
    "(EXISTS (SELECT 1 FROM manifests m WHERE m.blob = b.digest)"  # noqa: S608 - constants
    f" OR EXISTS (SELECT 1 FROM manifest_references f WHERE f.child = b.digest AND {_COUNTS})"
    " OR EXISTS (SELECT 1 FROM aliases a JOIN manifest_references f ON f.child = a.digest"
    f" WHERE a.target = b.digest AND {_COUNTS}))"
)


@dataclass(frozen=True, slots=True)
class BlobUse:
    """A blob: last pushed, mounted or asked for at `touched`; whether a push claims it, and whether a manifest uses it."""

    digest: Digest
    size: int
    touched: int
    claimed: bool
    used: bool


@dataclass(frozen=True, slots=True)
class RepositoryCount:
    """A repository with the numbers of its manifests and tags."""

    name: str
    manifests: int
    tags: int


@dataclass(frozen=True, slots=True)
class ManifestKey:
    """A manifest of a repository."""

    repository_id: int
    repository: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Family:
    """Manifests that stay or go together: their digests, when the last of them was pushed, and whether a tag points to one of them."""

    digests: tuple[Digest, ...]
    pushed: int
    tagged: bool

    def loose(self, before: int) -> bool:
        """Whether no tag reaches any of them and all were pushed at `before` or earlier."""
        return not self.tagged and self.pushed <= before


def repositories_page(connection: Connection, after: str, most: int) -> list[RepositoryCount]:
    """At most `most` repositories whose names follow `after`, in bytewise order."""
    rows = connection.all(
        "SELECT r.name, (SELECT count(*) FROM manifests m WHERE m.repository_id = r.id),"
        " (SELECT count(*) FROM tags t WHERE t.repository_id = r.id)"
        " FROM repositories r WHERE r.name > ? ORDER BY r.name LIMIT ?",
        after,
        most,
    )
    return [RepositoryCount(text(a), number(b), number(c)) for a, b, c in rows]


def blobs_page(connection: Connection, after: str, most: int) -> list[BlobUse]:
    """At most `most` blobs whose digests follow `after`, except those that are being deleted."""
    rows = connection.all(
        f"SELECT b.digest, b.size, b.touched_at, {_CLAIMED}, {_USED} FROM blobs b"  # noqa: S608 - constants
        " WHERE b.digest > ? AND b.state <> 'deleting' ORDER BY b.digest LIMIT ?",
        after,
        most,
    )
    return [BlobUse(Digest(text(a)), number(b), number(c), bool(d), bool(e)) for a, b, c, d, e in rows]


def users(connection: Connection, digest: Digest) -> set[tuple[int, Digest]]:
    """The manifests that use a blob: the numbers of their repositories, and their digests."""
    rows = connection.all(
        "SELECT m.repository_id, m.digest FROM manifests m WHERE m.blob = ?"  # noqa: S608 - constants
        f" UNION SELECT f.repository_id, f.parent FROM blobs b JOIN manifest_references f ON f.child = b.digest AND {_COUNTS}"
        " WHERE b.digest = ?"
        " UNION SELECT f.repository_id, f.parent FROM blobs b JOIN aliases a ON a.target = b.digest"
        f" JOIN manifest_references f ON f.child = a.digest AND {_COUNTS} WHERE b.digest = ?",
        digest,
        digest,
        digest,
    )
    return {(number(a), Digest(text(b))) for a, b in rows}


def uses(connection: Connection, manifest: ManifestKey) -> set[Digest]:
    """The blobs that a manifest uses, its own bytes among them; perhaps more."""
    rows = connection.all(
        "SELECT blob FROM manifests WHERE repository_id = ? AND digest = ?"
        " UNION SELECT coalesce(a.target, f.child) FROM manifest_references f LEFT JOIN aliases a ON a.digest = f.child"
        " WHERE f.repository_id = ? AND f.parent = ?",
        manifest.repository_id,
        manifest.digest,
        manifest.repository_id,
        manifest.digest,
    )
    return {Digest(text(row[0])) for row in rows}


def start_deletion(connection: Connection, digest: Digest, before: int) -> Blob | None:
    """Let a blob be deleted if it is not in use and was last touched at `before` or earlier; None if that is not so.

    No repository has it from now on, and repositories that had nothing else are gone; dirty rows tell which.
    """
    row = connection.one(
        "UPDATE blobs AS b SET state = 'deleting' WHERE b.digest = ? AND b.state <> 'deleting' AND b.touched_at <= ?"  # noqa: S608 - constants
        f" AND NOT {_CLAIMED} AND NOT {_USED} RETURNING size, parts",
        digest,
        before,
    )
    if row is None:
        return None
    owners = connection.all(
        "SELECT r.id, r.name FROM repository_blobs l JOIN repositories r ON r.id = l.repository_id WHERE l.digest = ?",
        digest,
    )
    connection.run("DELETE FROM repository_blobs WHERE digest = ?", digest)
    for repository_id, name in owners:
        dirty.mark(connection, text(name), "blob", digest, None)
        _remove_if_empty(connection, number(repository_id), text(name))
    return Blob(digest, number(row[0]), text(row[1]))


def start_deletion_of_stray(connection: Connection, stray: Blob, now: int) -> bool:
    """Let a file without a row be deleted, by giving it one; tells whether it has none."""
    changed = connection.run(
        "INSERT INTO blobs (digest, size, state, created_at, touched_at, parts) VALUES (?, ?, 'deleting', ?, ?, ?) ON CONFLICT DO NOTHING",
        stray.digest,
        stray.size,
        now,
        now,
        stray.parts,
    )
    return changed > 0


def deleting(connection: Connection, most: int) -> list[Blob]:
    """At most `most` of the blobs that are being deleted."""
    rows = connection.all(
        "SELECT digest, size, parts FROM blobs WHERE state = 'deleting' ORDER BY digest LIMIT ?", most
    )
    return [Blob(Digest(text(a)), number(b), text(c)) for a, b, c in rows]


def end_deletion(connection: Connection, digest: Digest) -> None:
    """Forget a blob whose file has been deleted."""
    connection.run("DELETE FROM blobs WHERE digest = ? AND state = 'deleting'", digest)


def unknown(connection: Connection, digests: Sequence[Digest]) -> list[Digest]:
    """Those of `digests` that no blob has."""
    known: set[str] = set()
    for start in range(0, len(digests), TOGETHER):
        part = digests[start : start + TOGETHER]
        marks = ", ".join("?" * len(part))
        known.update(
            text(row[0])
            for row in connection.all(f"SELECT digest FROM blobs WHERE digest IN ({marks})", *part)  # noqa: S608 - question marks
        )
    return [digest for digest in digests if digest not in known]


def untagged(
    connection: Connection, after: tuple[int, str], most: int
) -> tuple[list[ManifestKey], tuple[int, str] | None]:
    """Manifests that no tag points to, among the `most` that follow `after` (number of the repository, digest); and where to go on, or
    None at the end.
    """
    rows = connection.all(
        "SELECT m.repository_id, r.name, m.digest, EXISTS"
        " (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.digest = m.digest)"
        " FROM manifests m JOIN repositories r ON r.id = m.repository_id"
        " WHERE (m.repository_id, m.digest) > (?, ?) ORDER BY m.repository_id, m.digest LIMIT ?",
        *after,
        most,
    )
    found = [ManifestKey(number(a), text(b), Digest(text(c))) for a, b, c, tagged in rows if not tagged]
    return found, (number(rows[-1][0]), text(rows[-1][2])) if rows else None


def family(connection: Connection, manifest: ManifestKey) -> Family:
    """A manifest with the indexes that list it, its subject, and what these belong to."""
    rows = connection.all(
        "WITH RECURSIVE above (digest) AS ("
        "SELECT digest FROM manifests WHERE repository_id = ? AND digest = ?"
        " UNION SELECT blob FROM manifests WHERE repository_id = ? AND digest = ?"
        " UNION SELECT CASE f.kind WHEN 'subject' THEN f.child ELSE f.parent END FROM above a"
        " JOIN manifest_references f ON f.repository_id = ?"
        " AND (f.kind = 'manifest' AND f.child = a.digest OR f.kind = 'subject' AND f.parent = a.digest))"
        " SELECT m.digest, m.pushed_at, EXISTS"
        " (SELECT 1 FROM tags t WHERE t.repository_id = m.repository_id AND t.digest = m.digest)"
        " FROM above a JOIN manifests m ON m.repository_id = ? AND m.digest = a.digest",
        *(manifest.repository_id, manifest.digest) * 2,
        manifest.repository_id,
        manifest.repository_id,
    )
    return Family(
        tuple(Digest(text(digest)) for digest, _, _ in rows),
        max((number(pushed) for _, pushed, _ in rows), default=0),
        any(tagged for _, _, tagged in rows),
    )


def remove_family(connection: Connection, manifest: ManifestKey, before: int) -> list[Digest]:
    """Remove a manifest with its family if that is `loose` at `before`; gives what was removed. Dirty rows tell of it."""
    found = family(connection, manifest)
    if not found.loose(before):
        return []
    for digest in found.digests:
        manifests.remove(connection, manifest.repository_id, manifest.repository, digest)
    if found.digests:
        _remove_if_empty(connection, manifest.repository_id, manifest.repository)
    return list(found.digests)


def _remove_if_empty(connection: Connection, repository_id: int, name: str) -> None:
    if remove_if_empty(connection, repository_id):
        dirty.mark(connection, name, "repository", name, None)
