CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE repositories (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

-- Every blob whose file may exist; a row is there before its file.
CREATE TABLE blobs (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    state TEXT NOT NULL CHECK (state IN ('live', 'condemned', 'deleting', 'quarantined')),
    created_at INTEGER NOT NULL,
    touched_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Other names of a blob: sha512 digest -> sha256 digest.
CREATE TABLE aliases (
    digest TEXT PRIMARY KEY,
    target TEXT NOT NULL REFERENCES blobs (digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_target ON aliases (target);

-- A blob that is about to be renamed into place: it is not collected meanwhile.
CREATE TABLE claims (
    holder TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES blobs (digest),
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (holder, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX claims_digest ON claims (digest);

CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL REFERENCES blobs (digest),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_blobs_digest ON repository_blobs (digest);

-- blob: the sha256 digest of the bytes, whatever algorithm the manifest was pushed under.
CREATE TABLE manifests (
    repository_id INTEGER NOT NULL REFERENCES repositories (id),
    digest TEXT NOT NULL,
    blob TEXT NOT NULL REFERENCES blobs (digest),
    media_type TEXT NOT NULL,
    artifact_type TEXT NOT NULL,
    subject TEXT,
    size INTEGER NOT NULL,
    annotations TEXT NOT NULL,
    typed INTEGER NOT NULL,
    pushed_at INTEGER NOT NULL,
    pushed_by TEXT NOT NULL,
    last_pulled INTEGER,
    payload BLOB NOT NULL,
    UNIQUE (repository_id, digest)
) STRICT;
CREATE INDEX manifests_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;
CREATE INDEX manifests_blob ON manifests (blob);

CREATE TABLE manifest_references (
    repository_id INTEGER NOT NULL,
    parent TEXT NOT NULL,
    child TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('config', 'layer', 'blob', 'manifest', 'subject')),
    PRIMARY KEY (repository_id, parent, child, kind),
    FOREIGN KEY (repository_id, parent) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_references_child ON manifest_references (child, repository_id);

CREATE TABLE tags (
    repository_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_digest ON tags (repository_id, digest);

-- Every move of a tag; before or after is NULL where the tag was made or removed.
CREATE TABLE tag_history (
    id INTEGER PRIMARY KEY,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    before TEXT,
    after TEXT,
    moved_at INTEGER NOT NULL,
    moved_by TEXT NOT NULL
) STRICT;
CREATE INDEX tag_history_tag ON tag_history (repository, tag, id);

-- digest and state: the SHA-256 of the first size bytes and how to go on; closed: the digest that the upload was closed with.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    repository TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT,
    state BLOB NOT NULL,
    closed TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_closed ON uploads (updated_at) WHERE closed IS NOT NULL;
CREATE INDEX uploads_repository ON uploads (repository);

-- Names that have moved in the database and whose links in the tree have not been written yet. acknowledged: a deletion that was
-- answered although its link could not be removed.
CREATE TABLE dirty (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('blob', 'manifest', 'tag', 'repository')),
    name TEXT NOT NULL,
    before TEXT,
    acknowledged INTEGER NOT NULL DEFAULT 0
) STRICT;
