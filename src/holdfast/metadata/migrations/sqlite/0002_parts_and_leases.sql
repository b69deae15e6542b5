-- parts: where the bytes lie that are not at their blob's own place yet, in the store's own words.
ALTER TABLE blobs ADD COLUMN parts TEXT NOT NULL DEFAULT '';
ALTER TABLE uploads ADD COLUMN parts TEXT NOT NULL DEFAULT '';
CREATE INDEX blobs_parted ON blobs (digest) WHERE parts <> '';

-- Parts that no blob needs any more; who reads from them at the moment has until due to end.
CREATE TABLE leftovers (
    digest TEXT NOT NULL,
    parts TEXT NOT NULL,
    due INTEGER NOT NULL,
    PRIMARY KEY (digest, parts)
) STRICT, WITHOUT ROWID;
CREATE INDEX leftovers_due ON leftovers (due);

-- Who does what alone, until when, by the database's clock.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
