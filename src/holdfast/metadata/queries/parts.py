"""Blobs whose bytes lie in parts (see `storage.port`), and parts that no blob needs any more."""

from collections.abc import Sequence

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.repositories import number, text
from holdfast.model.digests import Digest


def parted(connection: Connection, after: str, most: int) -> list[Blob]:
    """At most `most` blobs in parts whose digests follow `after`, except those that are being deleted."""
    rows = connection.all(
        "SELECT digest, size, parts FROM blobs WHERE parts <> '' AND state <> 'deleting' AND digest > ? ORDER BY digest LIMIT ?",
        after,
        most,
    )
    return [Blob(Digest(text(a)), number(b), text(c)) for a, b, c in rows]


def claim(connection: Connection, holder: str, blob: Blob, now: int) -> bool:
    """Keep a blob from the garbage collector, as `blobs.claim` does, if its bytes still lie in these parts; tells whether they do. It does not
    count as used.
    """
    changed = connection.run(
        "INSERT INTO claims (holder, digest, claimed_at) SELECT ?, digest, ? FROM blobs"
        " WHERE digest = ? AND parts = ? AND state <> 'deleting'",
        holder,
        now,
        blob.digest,
        blob.parts,
    )
    return changed > 0


def moved(connection: Connection, digest: Digest, where: str) -> None:
    """Record that a blob's bytes lie elsewhere than was recorded, where they have been checked."""
    connection.run("UPDATE blobs SET parts = ? WHERE digest = ?", where, digest)


def joined(connection: Connection, blob: Blob, due: int) -> bool:
    """Record that the bytes of a blob in parts are at its own place; the parts are of no use after `due`. Tells whether it had these parts."""
    changed = connection.run("UPDATE blobs SET parts = '' WHERE digest = ? AND parts = ?", blob.digest, blob.parts)
    if changed:
        leave(connection, blob.digest, blob.parts, due)
    return changed > 0


def leave(connection: Connection, digest: Digest, parts: str, due: int) -> None:
    """Record that parts are of no use after `due` (milliseconds since 1970)."""
    connection.run(
        "INSERT INTO leftovers (digest, parts, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", digest, parts, due
    )


def left_over(connection: Connection, now: int, most: int) -> list[tuple[Digest, str]]:
    """At most `most` of the parts that are of no use at `now`, with the digests of what they were parts of."""
    rows = connection.all("SELECT digest, parts FROM leftovers WHERE due <= ? ORDER BY due LIMIT ?", now, most)
    return [(Digest(text(a)), text(b)) for a, b in rows]


def dropped(connection: Connection, digest: Digest, parts: str) -> None:
    """Forget parts that have been removed."""
    connection.run("DELETE FROM leftovers WHERE digest = ? AND parts = ?", digest, parts)


def known(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of `names` that stand in the parts of a blob, of an upload, or of what is left over."""
    found = set()
    for name in names:
        pattern = f"%{name}%"
        row = connection.one(
            "SELECT 1 FROM blobs WHERE parts <> '' AND parts LIKE ? UNION ALL SELECT 1 FROM uploads WHERE parts <> '' AND parts LIKE ?"
            " UNION ALL SELECT 1 FROM leftovers WHERE parts LIKE ? LIMIT 1",
            pattern,
            pattern,
            pattern,
        )
        if row:
            found.add(name)
    return found
