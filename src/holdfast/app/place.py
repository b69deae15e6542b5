"""Where a server keeps its data, and what that place allows."""

import errno
import fcntl
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from holdfast.app.mounts import mount_of
from holdfast.config.settings import Settings
from holdfast.metadata.postgresql_url import described as described_server
from holdfast.metadata.sqlite import FILE, Mode
from holdfast.storage import paths
from holdfast.storage.filesystem import prepare
from holdfast.storage.object_settings import described as described_store

NETWORK = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph glusterfs lustre ocfs2 gfs2 beegfs davfs fuse virtiofs vboxsf prl_fs".split()  # noqa: SIM905
)
"""File systems on which several processes, or machines, cannot share the memory that SQLite's WAL needs."""


DATABASE_OF_BUCKET = "/var/lib/registry/holdfast"
"""Directory of the embedded database where an object store has the bytes, unless metadata.path names one."""


class PlaceError(Exception):
    """The data cannot be kept there; the text says what to do."""


class PlaceTaken(PlaceError):
    """Another process has taken the place: `who`, in words."""

    def __init__(self, root: Path | None, who: str) -> None:
        super().__init__(
            f"another server uses {root}: {who}; stop it first, or give this one another storage.filesystem.rootdirectory"
        )
        self.who = who


@dataclass(frozen=True, slots=True)
class Place:
    """Directories of the data and of the embedded database, or `bucket` and `server` in words where an object store or a database server has
    them; and how the database can be opened. All empty: in memory.
    """

    root: Path | None
    metadata: Path | None
    mode: Mode
    why: str = ""
    bucket: str = ""
    server: str = ""

    @property
    def in_memory(self) -> bool:
        """Whether nothing is kept."""
        return self.root is None and not self.bucket

    @property
    def single(self) -> bool:
        """Whether one process alone can serve it."""
        return self.in_memory or self.mode == "exclusive"

    @property
    def bytes_in(self) -> str:
        """Where the bytes are, in words."""
        return self.bucket or str(self.root)

    @property
    def names_in(self) -> str:
        """Where the database is, in words."""
        return self.server or str(self.metadata)


def find(settings: Settings) -> Place:
    """Look at the place that the settings name, making the directory if it is not there. Raises `PlaceError`."""
    bucket = described_store(settings.storage)
    server = described_server(settings.metadata.url) if settings.metadata.url else ""
    if settings.storage.filesystem is None and not bucket:
        return Place(None, None, "exclusive")
    if bucket and server:
        return Place(None, None, "shared", bucket=bucket, server=server)
    if bucket:
        metadata = Path(settings.metadata.path or DATABASE_OF_BUCKET).absolute()
        return replace(_directories(metadata, metadata, [metadata]), root=None, bucket=bucket)
    assert settings.storage.filesystem  # noqa: S101 - nothing else is left
    root = Path(settings.storage.filesystem.rootdirectory).absolute()
    if server:
        return replace(_directories(root, root, [root, root / paths.ROOT]), metadata=None, mode="shared", server=server)
    metadata = Path(settings.metadata.path).absolute() if settings.metadata.path else root / "holdfast"
    return _directories(root, metadata, [root, root / paths.ROOT, metadata])


def _directories(root: Path, metadata: Path, needed: Sequence[Path]) -> Place:
    """The place that consists of directories, made as needed."""
    try:
        for directory in needed:
            directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise PlaceError(f"cannot keep data in {root}: {error.filename}: {error.strerror}") from None
    except OSError as error:
        return _read_only(Path(error.filename or root), metadata, error, root)
    for directory in needed:
        if not os.access(directory, os.W_OK):
            read_only = os.statvfs(directory).f_flag & os.ST_RDONLY
            number = errno.EROFS if read_only else errno.EACCES
            return _read_only(directory, metadata, OSError(number, os.strerror(number)), root)
    kind = file_system(metadata)
    if kind in NETWORK or kind.startswith("fuse."):
        why = f"{metadata} is on a network file system ({kind}): one worker, no WAL; set metadata.path to a local disk"
        return Place(root, metadata, "exclusive", why)
    return Place(root, metadata, "shared")


def _read_only(directory: Path, metadata: Path, error: OSError, root: Path) -> Place:
    why = f"cannot write to {directory} ({error.strerror or error})"
    if isinstance(error, PermissionError):
        user = os.geteuid()
        why = f"cannot write to {directory}: user {user} may not; to give it the directory: chown -R {user} {root}"
    if not (metadata / FILE).is_file():
        raise PlaceError(f"{why}; there is no registry to serve from it")
    return Place(root, metadata, "read-only", f"{why}; serving pulls only")


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`, as the kernel names it; empty where that cannot be told."""
    mount = mount_of(path)
    return mount.kind if mount else ""


def taken_at(place: Place) -> int:
    """When the place was taken last, in nanoseconds since 1970: no two servers took it at the same time. 0 where that cannot be told."""
    try:
        return os.stat(_locks(place)[0]).st_mtime_ns
    except (IndexError, OSError):
        return 0


def _locks(place: Place) -> list[Path]:
    """The files by which one server keeps others out; none where several may serve."""
    if place.server:
        return []
    directories = [place.root / paths.ROOT / paths.OWN] if place.root else []
    return [directory / "server.lock" for directory in (*directories, *([place.metadata] if place.metadata else []))]


def lock(place: Place, doing: str) -> list[int]:
    """Take the place for this process, until all those that it starts have ended, and tidy it; gives the locks' descriptors.

    `doing`: what others are told, such as "listening on :5000". Both the root and the database's directory are taken: either may be
    shared by mistake. Raises `PlaceTaken`, naming the process that has it; `PlaceError`.
    """
    if not _locks(place) or place.mode == "read-only":
        return []
    held: list[int] = []
    try:
        for path in _locks(place):
            path.parent.mkdir(exist_ok=True)
            held.append(_taken(path, place, doing))
        if place.root:
            prepare(place.root)
    except PlaceError:
        for file in held:
            os.close(file)
        raise
    except PermissionError as error:
        raise PlaceError(
            f"{error.filename} cannot be written by user {os.geteuid()}, as which the server runs;"
            f" give it the directory: chown -R {os.geteuid()} {Path(error.filename).parent}"
        ) from None
    except OSError as error:
        raise PlaceError(f"cannot keep data in {place.root or place.metadata}: {error}") from None
    return held


def _taken(path: Path, place: Place, doing: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = os.read(file, 4096).decode("utf-8", "replace").strip()
        os.close(file)
        raise PlaceTaken(place.root or place.metadata, who or "it has not said who it is") from None
    except OSError:
        return file  # a file system without locks: nobody can be kept out of it
    since = datetime.now(UTC).isoformat(timespec="seconds")
    who = f"process {os.getpid()} on {socket.gethostname()}, {doing}, since {since}"
    os.ftruncate(file, 0)
    os.pwrite(file, f"{who}\n".encode(), 0)
    return file


def has(root: Path, part: str) -> bool:
    """Whether a directory of the tree below `root` holds anything, whoever made it."""
    try:
        with os.scandir(root / paths.ROOT / part) as entries:
            return any(True for _ in entries)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # there is something, and whoever reads it says what is wrong with it
