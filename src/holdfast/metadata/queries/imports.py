"""What taking over a tree needs: all that is known of a repository at once, and many rows at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.blobs import TOGETHER
from holdfast.metadata.queries.repositories import number, numbered, text
from holdfast.model.digests import Digest

PROTECTED = "protected "
"""The begin of the holders of claims that `protect` makes."""


@dataclass(slots=True)
class Known:
    """A repository as the database has it: the digests of its blobs, those by any name, of its manifests by that of their bytes, its tags'
    targets, and the ids of its uploads.
    """

    blobs: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    manifests: dict[str, list[Digest]] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    uploads: set[str] = field(default_factory=set)


def known(connection: Connection, repository: str) -> Known:
    """All that a repository has; nothing where there is no such repository."""
    found = Known()
    rows = connection.all("SELECT id FROM uploads WHERE repository = ?", repository)
    found.uploads.update(text(upload) for (upload,) in rows)
    repository_id = numbered(connection, repository)
    if repository_id is None:
        return found
    rows = connection.all("SELECT digest FROM repository_blobs WHERE repository_id = ?", repository_id)
    found.blobs.update(text(digest) for (digest,) in rows)
    rows = connection.all(
        "SELECT a.digest FROM aliases a JOIN repository_blobs l ON l.digest = a.target WHERE l.repository_id = ?",
        repository_id,
    )
    found.names |= found.blobs | {text(digest) for (digest,) in rows}
    rows = connection.all("SELECT blob, digest FROM manifests WHERE repository_id = ? ORDER BY digest", repository_id)
    for blob, digest in rows:
        found.manifests.setdefault(text(blob), []).append(Digest(text(digest)))
    rows = connection.all("SELECT name, digest FROM tags WHERE repository_id = ?", repository_id)
    found.tags.update((text(name), Digest(text(digest))) for name, digest in rows)
    return found


def names(connection: Connection, after: str, most: int) -> list[str]:
    """Names of at most `most` repositories that follow `after`, in bytewise order, whatever they have."""
    rows = connection.all("SELECT name FROM repositories WHERE name > ? ORDER BY name LIMIT ?", after, most)
    return [text(name) for (name,) in rows]


def revive(connection: Connection, digests: Sequence[Digest]) -> int:
    """Take back those of `digests`, whose bytes are in place, that a collection was killed in the middle of deleting; gives their number."""
    return sum(
        connection.run("UPDATE blobs SET state = 'live' WHERE digest = ? AND state = 'deleting'", digest)
        for digest in digests
    )


def deleting(connection: Connection, prefix: str) -> set[Digest]:
    """The blobs that are being deleted and whose digests begin with `prefix`."""
    rows = connection.all(
        "SELECT digest FROM blobs WHERE digest >= ? AND digest < ? AND state = 'deleting'", prefix, f"{prefix}g"
    )
    return {Digest(text(digest)) for (digest,) in rows}


def stored(connection: Connection, prefix: str) -> dict[Digest, int]:
    """The blobs that can be served and whose digests begin with `prefix`, with their sizes."""
    rows = connection.all(
        "SELECT digest, size FROM blobs WHERE digest >= ? AND digest < ? AND state IN ('live', 'condemned')",
        prefix,
        f"{prefix}g",  # after every hexadecimal digit
    )
    return {Digest(text(digest)): number(size) for digest, size in rows}


def has_blobs(connection: Connection) -> bool:
    """Tell whether any repository has a blob or a manifest."""
    return any(connection.one(f"SELECT 1 FROM {table} LIMIT 1") for table in ("repository_blobs", "manifests"))  # noqa: S608 - two words


def has_blob(connection: Connection, digest: Digest) -> bool:
    """Tell whether there is a row for a blob, whatever its state."""
    return connection.one("SELECT 1 FROM blobs WHERE digest = ?", digest) is not None


def store(connection: Connection, digest: Digest, size: int, written: int, parts: str = "") -> None:
    """Record a blob whose bytes are in place, or in `parts`. One that is being deleted or was found damaged stays what it is."""
    connection.run(
        "INSERT INTO blobs (digest, size, state, created_at, touched_at, parts) VALUES (?, ?, 'live', ?, ?, ?)"
        " ON CONFLICT (digest) DO UPDATE SET size = excluded.size WHERE blobs.state IN ('live', 'condemned')",
        digest,
        size,
        written,
        written,
        parts,
    )


def lose(connection: Connection, digest: Digest) -> bool:
    """Forget a blob whose bytes are gone, in every repository; tells whether it is forgotten: a manifest keeps its bytes in the database too."""
    connection.run("DELETE FROM repository_blobs WHERE digest = ?", digest)
    changed = connection.run(
        "DELETE FROM blobs WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM manifests WHERE blob = blobs.digest)"
        " AND NOT EXISTS (SELECT 1 FROM claims WHERE digest = blobs.digest)",
        digest,
    )
    return changed > 0


def payload(connection: Connection, blob: Digest) -> bytes | None:
    """The bytes of a manifest, from whichever repository has it."""
    row = connection.one("SELECT payload FROM manifests WHERE blob = ? LIMIT 1", blob)
    return row[0] if row and isinstance(row[0], bytes) else None


def present(connection: Connection, digests: Sequence[Digest]) -> dict[Digest, int]:
    """Those of `digests` whose blobs can be served, with their sizes."""
    found: dict[Digest, int] = {}
    for start in range(0, len(digests), TOGETHER):
        part = digests[start : start + TOGETHER]
        marks = ", ".join("?" * len(part))
        rows = connection.all(
            f"SELECT digest, size FROM blobs WHERE digest IN ({marks}) AND state IN ('live', 'condemned')",  # noqa: S608 - question marks
            *part,
        )
        found.update((Digest(text(digest)), number(size)) for digest, size in rows)
    return found


def link(connection: Connection, repository_id: int, digest: Digest, written: int) -> None:
    """Give a repository a blob that is there. The blob counts as used then, or later where it was."""
    connection.run("UPDATE blobs SET touched_at = ? WHERE digest = ? AND touched_at < ?", written, digest, written)
    connection.run(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        repository_id,
        digest,
        written,
    )


def forget_dirty(connection: Connection, position: int) -> None:
    """Drop the dirty rows marked after `position`: what was read from the tree need not be written to it."""
    connection.run("DELETE FROM dirty WHERE id > ?", position)


def is_clean(connection: Connection) -> bool:
    """Tell whether the tree lacks nothing that the database has."""
    return connection.one("SELECT 1 FROM dirty LIMIT 1") is None


def quarantine(connection: Connection, digest: Digest) -> None:
    """Serve a blob whose bytes are damaged no more; a push of the right bytes makes it live again."""
    connection.run("UPDATE blobs SET state = 'quarantined' WHERE digest = ? AND state IN ('live', 'condemned')", digest)


def is_quarantined(connection: Connection, digest: Digest) -> bool:
    """Tell whether a blob was found damaged."""
    return connection.one("SELECT 1 FROM blobs WHERE digest = ? AND state = 'quarantined'", digest) is not None


def release(connection: Connection, digest: Digest) -> None:
    """Serve a blob again that was found damaged."""
    connection.run("UPDATE blobs SET state = 'live' WHERE digest = ? AND state = 'quarantined'", digest)


def lacking(connection: Connection, repository: str) -> list[Digest]:
    """The manifests of a repository that refer to a configuration or layer which the repository lacks, or which cannot be served.

    Layers that clients fetch from elsewhere are not told from others here, so the caller looks at the manifest.
    """
    rows = connection.all(
        "SELECT DISTINCT f.parent FROM manifest_references f JOIN repositories r ON r.id = f.repository_id"
        " WHERE r.name = ? AND f.kind IN ('config', 'layer') AND NOT EXISTS ("
        "SELECT 1 FROM repository_blobs l JOIN blobs b ON b.digest = l.digest AND b.state IN ('live', 'condemned')"
        " WHERE l.repository_id = r.id AND l.digest = coalesce((SELECT target FROM aliases WHERE digest = f.child), f.child))"
        " ORDER BY f.parent",
        repository,
    )
    return [Digest(text(parent)) for (parent,) in rows]


def protect(connection: Connection, holder: str, digests: Sequence[Digest], now: int) -> None:
    """Keep those of `digests` that are there from the garbage collector, until `unprotect`."""
    for digest in present(connection, digests):
        connection.run(
            "INSERT INTO claims (holder, digest, claimed_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            f"{PROTECTED}{holder}",
            digest,
            now,
        )


def is_protected(connection: Connection) -> bool:
    """Tell whether anything is protected."""
    return connection.one("SELECT 1 FROM claims WHERE holder LIKE ? LIMIT 1", f"{PROTECTED}%") is not None


def unprotect(connection: Connection) -> None:
    """Give up all that was protected."""
    connection.run("DELETE FROM claims WHERE holder LIKE ?", f"{PROTECTED}%")


def take_upload(connection: Connection, upload_id: str, repository: str, written: int) -> bool:
    """Record an upload under way that is not known, as one without any byte; tells whether it was not."""
    changed = connection.run(
        "INSERT INTO uploads (id, repository, started_at, updated_at, size, state) VALUES (?, ?, ?, ?, 0, ?)"
        " ON CONFLICT DO NOTHING",
        upload_id,
        repository,
        written,
        written,
        b"",
    )
    return changed > 0
