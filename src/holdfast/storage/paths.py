"""Every path of the tree on disk, which is registry:2's, and of the few that are ours.

    <rootdirectory>/docker/registry/v2/
        blobs/sha256/<first two digits>/<hex>/data                              the bytes of layers, configs and manifests
        repositories/<name>/_layers/<algorithm>/<hex>/link                      the repository has this blob
        repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link         the repository has this manifest
        repositories/<name>/_manifests/revisions/<algorithm>/<hex>/mediatype    its media type, where the bytes do not tell it (ours)
        repositories/<name>/_manifests/tags/<tag>/current/link                  what the tag points to
        repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link  what it ever pointed to
        repositories/<name>/_uploads/<uuid>/data, startedat                     an upload under way
        _holdfast/tmp/<uuid>                                                    small files before their rename (ours)
        _holdfast/instance                                                      which database this tree belongs to (ours)
        _holdfast/server.lock                                                   which server uses it (ours)
        _holdfast/copy                                                          what this tree is a copy of, where that has no instance (ours)
        _holdfast/server                                                        the same, on an object store (ours)
        _holdfast/segments/<uuid>                                               object stores: bytes that one request of an upload brought (ours)
        _holdfast/parted/sha256/<hex>                                           object stores: which segments hold a blob's bytes (ours)
    <rootdirectory>/holdfast/                                                   the database and the lock (ours)

All paths here are relative to `<rootdirectory>/docker/registry/v2`, with `/`, and made of checked names only.
"""

from holdfast.model.digests import Digest, algorithm_of, encoded_of

ROOT = "docker/registry/v2"
OWN = "_holdfast"
TEMPORARY = "_holdfast/tmp"
INSTANCE = f"{OWN}/instance"
SERVER = f"{OWN}/server"
COPY = f"{OWN}/copy"
SEGMENTS = f"{OWN}/segments"
PARTED = f"{OWN}/parted"


def blob(digest: Digest) -> str:
    """The file with a blob's bytes."""
    encoded = encoded_of(digest)
    return f"blobs/{algorithm_of(digest)}/{encoded[:2]}/{encoded}/data"


def segment(segment_id: str) -> str:
    """The object with what one request brought."""
    return f"{SEGMENTS}/{segment_id}"


def parted(digest: Digest) -> str:
    """The object that says in which segments a blob's bytes lie."""
    return f"{PARTED}/{algorithm_of(digest)}/{encoded_of(digest)}"


def repository(name: str) -> str:
    """The directory of a repository; those of longer names lie in it."""
    return f"repositories/{name}"


def own_directories(name: str) -> tuple[str, ...]:
    """The directories that hold the links of one repository and nothing of another."""
    return tuple(f"{repository(name)}/{part}" for part in ("_layers", "_manifests"))


def layer_link(name: str, digest: Digest) -> str:
    """The link that gives a repository a blob."""
    return f"{repository(name)}/_layers/{algorithm_of(digest)}/{encoded_of(digest)}/link"


def revision(name: str, digest: Digest) -> str:
    """The directory of a manifest in its repository."""
    return f"{repository(name)}/_manifests/revisions/{algorithm_of(digest)}/{encoded_of(digest)}"


def tag(name: str, tag_name: str) -> str:
    """The directory of a tag."""
    return f"{repository(name)}/_manifests/tags/{tag_name}"


def current_link(name: str, tag_name: str) -> str:
    """The link that says what a tag points to."""
    return f"{tag(name, tag_name)}/current/link"


def index_link(name: str, tag_name: str, digest: Digest) -> str:
    """The link that says that a tag points or pointed to a manifest."""
    return f"{tag(name, tag_name)}/index/{algorithm_of(digest)}/{encoded_of(digest)}/link"


def upload(name: str, upload_id: str) -> str:
    """The directory of an upload."""
    return f"{repository(name)}/_uploads/{upload_id}"
