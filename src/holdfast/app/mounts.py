"""The file system that a directory is on: its type, and how long what lies there lasts."""

import re
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
# Docker and Podman name a volume that nobody named with 32 random bytes.
_NAMELESS = re.compile(r"/volumes/[0-9a-f]{64}/_data$")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where it is, which directory of its file system it shows, and that file system's type as the kernel names it."""

    point: str
    shown: str
    kind: str


def mount_of(path: Path, table: str | None = None) -> Mount | None:
    """The mount that holds `path`, or None where that cannot be told.

    `table`: text in the form of /proc/self/mountinfo; that of this process unless given.
    """
    if table is None:
        try:
            table = MOUNTS.read_text("utf-8", "replace")
        except OSError:
            return None
    found: Mount | None = None
    resolved = str(path.resolve())
    for line in table.splitlines():
        before, _, after = line.partition(" - ")
        shown, point = (_plain(field) for field in before.split()[3:5])
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and (found is None or len(point) >= len(found.point)):
            found = Mount(point, shown, after.split()[0])
    return found


def _plain(field: str) -> str:
    return field.encode().decode("unicode_escape")


def fleeting(root: Path, table: str | None = None) -> str:
    """Why what is kept in `root` may be lost when a container is replaced, and what to do; empty where it lasts.

    `table` as for `mount_of`.
    """
    mount = mount_of(root, table)
    if mount is None:
        return ""
    if mount.kind in _IN_MEMORY:
        return f"{root} is in memory ({mount.kind}): everything is lost at the next restart; mount a volume or a disk there"
    if mount.kind in _LAYERED and mount.point == "/":
        return (
            f"{root} is on the container's own file system ({mount.kind}): all images are lost when the container is"
            f" replaced; mount a volume there, such as docker run -v holdfast:{root}"
        )
    if _NAMELESS.search(mount.shown):
        return (
            f"{root} is on a volume without a name: a new container does not find these images;"
            f" name the volume, such as docker run -v holdfast:{root}"
        )
    return ""
