"""Which file system a directory lies on, and what kind of machine this is."""

import os
from dataclasses import dataclass
from pathlib import Path

LAYERED = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
"""File systems of which container engines make the layers of images."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the kernel's list: where it is mounted, which directory of the file system that is, and its kind."""

    point: str
    within: str
    kind: str


def mount_of(path: Path) -> Mount | None:
    """The mount that holds `path`, or the nearest directory above it that exists; None where the kernel does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    resolved = str(existing(path).resolve())
    found = None
    for line in lines:
        before, _, after = line.partition(" - ")
        within, point = (field.encode().decode("unicode_escape") for field in before.split()[3:5])
        inside = resolved == point or resolved.startswith(point.rstrip("/") + "/")
        if inside and (found is None or len(point) >= len(found.point)):
            found = Mount(point, within, after.split()[0])
    return found


def existing(path: Path) -> Path:
    """The path itself, or the nearest one above it that exists and can be looked at."""
    return next((one for one in (path, *path.parents) if os.path.lexists(one)), Path("/"))


def in_container() -> bool:
    """Whether this process runs in a container, as far as the usual engines let it know."""
    root = mount_of(Path("/"))
    if root is None or root.kind in LAYERED:
        return root is not None
    marked = any(os.path.exists(mark) for mark in ("/.dockerenv", "/run/.containerenv", "/run/secrets/kubernetes.io"))
    return marked and root.within != "/"  # machines that were made of images have such marks too
