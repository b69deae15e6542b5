"""What a node has given away lately: all processes of the node share it, and it is lost with the node. It only helps while the database is away.

An SQLite file without durability, in a directory that the main process makes for its workers.
"""

import time
from contextlib import suppress
from pathlib import Path

import apsw

from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.manifests import StoredManifest
from holdfast.model.digests import Digest

KEPT = 600.0
"""Seconds after which what was given is forgotten."""

AGAIN = 30.0
"""Seconds within which giving the same again is not recorded again."""

MOST_BYTES = 64 * 1024 * 1024
"""Bytes that all of it may take."""

MOST_NOTED = 20_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pulls (
    actor TEXT, repository TEXT, digest TEXT, given REAL, media_type TEXT, target TEXT, size INTEGER, parts TEXT,
    PRIMARY KEY (actor, repository, digest)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pulls_given ON pulls (given);
CREATE TABLE IF NOT EXISTS payloads (digest TEXT PRIMARY KEY, payload BLOB NOT NULL);
"""

Key = tuple[str, str, str]


class RecentPulls:
    """Manifests and blobs that were given to actors in the last ten minutes. It never raises: what cannot be noted is forgotten."""

    def __init__(self, file: Path) -> None:
        self._noted: dict[Key, float] = {}
        self._file = apsw.Connection(str(file))
        self._file.set_busy_timeout(10_000)  # all workers open it at once
        self._file.execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF")
        self._file.execute(f"PRAGMA max_page_count = {MOST_BYTES // 4096}")
        self._file.execute(_SCHEMA)
        self._file.set_busy_timeout(20)

    def gave_manifest(self, actor: str, repository: str, found: StoredManifest) -> None:
        """Note that an actor was given a manifest."""
        key = (actor, repository, str(found.digest))
        if self._is_new(key):
            self._note(key, found.media_type, Blob(found.digest, len(found.payload)), found.payload)

    def gave_blob(self, actor: str, repository: str, digest: Digest, found: Blob) -> None:
        """Note that an actor was given a blob, asked for as `digest`."""
        key = (actor, repository, str(digest))
        if self._is_new(key):
            self._note(key, "", found, None)

    def manifest(self, actor: str, repository: str, digest: Digest) -> StoredManifest | None:
        """A manifest that this actor was given from this repository."""
        with suppress(apsw.Error):
            row = self._file.execute(
                "SELECT p.media_type, c.payload FROM pulls p JOIN payloads c ON c.digest = p.digest"
                " WHERE p.actor = ? AND p.repository = ? AND p.digest = ? AND p.given > ?",
                (actor, repository, digest, time.time() - KEPT),
            ).fetchone()
            return StoredManifest(digest, *row) if row else None
        return None

    def blob(self, actor: str, repository: str, digest: Digest) -> Blob | None:
        """A blob that this actor was given from this repository."""
        with suppress(apsw.Error):
            row = self._file.execute(
                "SELECT target, size, parts FROM pulls WHERE actor = ? AND repository = ? AND digest = ? AND given > ?",
                (actor, repository, digest, time.time() - KEPT),
            ).fetchone()
            return Blob(Digest(row[0]), row[1], row[2]) if row else None
        return None

    def close(self) -> None:
        """Let go of the file; can be called twice."""
        self._file.close()

    def _is_new(self, key: Key) -> bool:
        now = time.monotonic()
        if self._noted.get(key, -AGAIN) > now - AGAIN:
            return False
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[key] = now
        return True

    def _note(self, key: Key, media_type: str, blob: Blob, payload: bytes | None) -> None:
        with suppress(apsw.Error):
            try:
                self._insert(key, media_type, blob, payload)
            except apsw.FullError:
                self._make_room()
                self._insert(key, media_type, blob, payload)

    def _insert(self, key: Key, media_type: str, blob: Blob, payload: bytes | None) -> None:
        now = time.time()
        with self._file:
            if payload is not None:
                self._file.execute("INSERT OR IGNORE INTO payloads VALUES (?, ?)", (key[2], payload))
            self._file.execute(
                "INSERT OR REPLACE INTO pulls VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*key, now, media_type, str(blob.digest), blob.size, blob.parts),
            )

    def _make_room(self) -> None:
        """Forget the older part of what was given."""
        with self._file:
            self._file.execute("DELETE FROM pulls WHERE given <= (SELECT avg(given) FROM pulls)")
            self._file.execute("DELETE FROM payloads WHERE digest NOT IN (SELECT digest FROM pulls)")
