"""The file system that a directory is on: its type, and how long what lies there lasts."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MOUNTS = Path("/proc/self/mountinfo")

Danger = Literal["layer", "memory", "nameless"]
"""Why what lies on a mount may be lost: it is a container's own layer, it is memory, or a volume that the next container will not get."""

# File systems of which container engines make the layers of images.
_LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_MARKS = ("/.dockerenv", "/run/.containerenv", "/run/secrets/kubernetes.io")
# Docker and Podman name a volume that nobody named with 32 random bytes.
_NAMELESS = re.compile(r"/volumes/[0-9a-f]{64}(/|$)")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where it is, which directory within its file system that is, and that file system's type as the kernel names it."""

    point: str
    within: str
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
        within, point = (_plain(field) for field in before.split()[3:5])
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and (found is None or len(point) >= len(found.point)):
            found = Mount(point, within, after.split()[0])
    return found


def _plain(field: str) -> str:
    return field.encode().decode("unicode_escape")


def in_container(table: str | None = None) -> bool:
    """Whether this process runs in a container, as far as the usual engines let it know. `table` as for `mount_of`."""
    root = mount_of(Path("/"), table)
    if root is None or root.kind in _LAYERED:
        return root is not None
    # Machines that were made of images have such marks too.
    return root.within != "/" and any(os.path.exists(mark) for mark in _MARKS)


def danger(mount: Mount, table: str | None = None) -> Danger | None:
    """Why what lies on a mount may be lost; None where it lasts. `table` as for `mount_of`."""
    if mount.kind in _IN_MEMORY:
        return "memory"
    if mount.point == "/" and in_container(table):
        return "layer"
    return "nameless" if _NAMELESS.search(mount.within) else None


def fleeting(root: Path, table: str | None = None) -> str:
    """The same for the directory of the data, in words, with what to do; empty where it lasts. `table` as for `mount_of`."""
    mount = mount_of(root, table)
    if mount is None or (kind := danger(mount, table)) is None:
        return ""
    words = {
        "memory": f"in memory ({mount.kind}): everything is lost at the next restart",
        "layer": f"on the container's own file system ({mount.kind}): all images are lost when the container is replaced",
        "nameless": "on a volume without a name: a new container does not find these images",
    }
    remedy = f"mount a disk or a named volume there, such as docker run -v holdfast:{root}"
    return f"{root} is {words[kind]}; {remedy}"
