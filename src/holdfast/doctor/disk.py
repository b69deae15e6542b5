"""Checks of the disk: room, and whether it keeps what is written."""

import os
from collections.abc import Iterator
from pathlib import Path

from holdfast.app.mounts import Mount, danger, mount_of
from holdfast.app.place import DATABASE_OF_BUCKET, NETWORK
from holdfast.config.settings import Settings
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.mounts import existing
from holdfast.storage.object_settings import described

INODES = 10_000
"""Fewer free inodes than this are too few: a small image takes some dozens, with its directories."""


def _space(case: Case) -> Iterator[Finding]:
    if case.settings is None or case.settings.storage.filesystem is None or case.root is None or case.metadata is None:
        return
    reserve = case.settings.storage.filesystem.minfree
    seen: set[int] = set()
    for directory in (case.root, case.metadata):
        place = existing(directory)
        device = os.stat(place).st_dev
        if device not in seen:
            seen.add(device)
            yield from _room(place, reserve)


def _room(place: Path, reserve: int) -> Iterator[Finding]:
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    remedy = (
        "delete what is not needed (holdfast garbage-collect gives back the bytes of deleted images), make the disk larger,"
        " or lower storage.filesystem.minfree"
    )
    if free < reserve:
        yield problem(
            f"{place}: {_size(free)} are free, less than storage.filesystem.minfree ({_size(reserve)}): pushes are answered 507, pulls go on",
            remedy,
        )
    elif free < 4 * reserve:
        yield advice(f"{place}: only {_size(free)} are free; below {_size(reserve)} pushes are refused", remedy)
    else:
        yield ok(f"{place}: {_size(free)} are free")
    if status.f_files and status.f_favail < INODES:
        yield problem(
            f"{place}: only {status.f_favail} inodes are free: no more files can be made however much room there is",
            "delete files, or use a file system that was made with more inodes (mkfs.ext4 -i) or needs none (xfs, btrfs)",
        )


def _size(octets: int) -> str:
    number = float(octets)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def _database_of_bucket(settings: Settings) -> Iterator[Finding]:
    """An embedded database beside an object store needs a disk."""
    directory = Path(settings.metadata.path or DATABASE_OF_BUCKET).absolute()
    if settings.metadata.url or (mount := mount_of(directory)) is None:
        return
    if danger(mount):
        yield advice(
            f"the database in {directory} is lost with the container or the machine ({mount.kind}): the next start then reads all names from the"
            " bucket, and what only the database has is gone",
            f"mount a volume there (docker run -v registry:{directory} ...), or set metadata.url",
        )
    else:
        yield ok(f"the bytes are in a bucket, the database is in {directory} ({mount.kind})")


def _volume(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    if described(case.settings.storage):
        yield from _database_of_bucket(case.settings)
        return
    if case.root is None:
        yield advice("storage is in memory: everything is lost at the stop", "set storage.filesystem.rootdirectory")
        return
    mount = mount_of(case.root)
    if mount is None:
        yield skipped("the kernel does not tell which file systems there are")
        return
    remedy = f"mount a volume there: docker run -v registry:{case.root} ..., or a directory of the host in its place"
    kind = danger(mount)
    if kind == "layer":
        yield problem(
            f"{case.root} has no volume: it lies in the container's own layer ({mount.kind}) and is lost with the container",
            remedy,
        )
    elif kind == "memory":
        yield problem(f"{case.root} is in memory ({mount.kind}): everything is lost when the machine restarts", remedy)
    elif kind == "nameless":
        yield advice(
            f"{case.root} is an anonymous volume: the next container gets a new, empty one", f"give it a name; {remedy}"
        )
    else:
        yield from _kind(case, mount)


def _kind(case: Case, mount: Mount) -> Iterator[Finding]:
    database = mount_of(case.metadata) if case.metadata else None
    if database and _is_network(database.kind):
        yield advice(
            f"the database is on a network file system ({database.kind}): one worker process, no write-ahead log, slower",
            "set metadata.path to a directory on a local disk that is kept as well as the root directory",
        )
    elif _is_network(mount.kind):
        yield ok(
            f"{case.root} is on a network file system ({mount.kind}), the database on a local one ({database.kind if database else '?'})"
        )
    else:
        yield ok(f"{case.root} is on {mount.kind}, mounted at {mount.point}")


def _is_network(kind: str) -> bool:
    return kind in NETWORK or kind.startswith("fuse.")


CHECKS = (
    Check(
        "space",
        "Free bytes and inodes on the disks of root directory and database.",
        ("a full disk, or one that will be soon", "no free inodes"),
        _space,
    ),
    Check(
        "volume",
        "The file system of the root directory.",
        (
            "no volume: data is lost with the container",
            "an anonymous volume, a file system in memory",
            "a database on NFS, SMB or FUSE",
        ),
        _volume,
    ),
)
