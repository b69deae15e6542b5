"""How long a directory's content lasts, by the mounts that a process sees."""

from pathlib import Path

import pytest

from holdfast.app.mounts import fleeting, in_container, mount_of

NAMELESS = "4f" * 32
CONTAINER = "600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
DISK = "21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
ROOT = Path("/var/lib/registry")


def volume(shown: str, kind: str = "ext4", point: str = str(ROOT)) -> str:
    return f"601 600 254:0 {shown} {point} rw,relatime master:1 - {kind} /dev/vda1 rw\n"


LASTING = {
    "disk": DISK,
    "named volume": CONTAINER + volume("/var/lib/docker/volumes/holdfast/_data"),
    "directory of the host": CONTAINER + volume("/srv/registry"),
    "overlay below a disk": DISK + volume("/", "overlay", "/somewhere/else"),
    "mounted above the directory": CONTAINER + volume("/data", "nfs4", "/var/lib"),
    "unknown": "",
}
FLEETING = {
    "nothing mounted": (CONTAINER, "container's own file system (overlay)"),
    "a volume elsewhere": (CONTAINER + volume("/srv/registry", point="/var/lib/regis"), "container's own file system"),
    "memory": (CONTAINER + volume("/", "tmpfs"), "in memory (tmpfs)"),
    "memory in place of the disk": (DISK + volume("/", "tmpfs", "/var"), "in memory (tmpfs)"),
    "nameless volume": (CONTAINER + volume(f"/docker/volumes/{NAMELESS}/_data"), "volume without a name"),
}


@pytest.mark.parametrize("name", LASTING)
def test_says_nothing_where_images_last(name: str) -> None:
    assert fleeting(ROOT, LASTING[name]) == ""


@pytest.mark.parametrize("name", FLEETING)
def test_says_where_images_will_be_lost(name: str) -> None:
    table, words = FLEETING[name]
    warning = fleeting(ROOT, table)
    assert words in warning
    assert "docker run -v holdfast:/var/lib/registry" in warning


def test_containers_are_known_by_their_root() -> None:
    assert in_container(CONTAINER)
    assert not in_container(DISK)
    assert not in_container("")


def test_last_mount_on_a_point_counts() -> None:
    mount = mount_of(ROOT, CONTAINER + volume("/old") + volume("/new", "xfs"))
    assert mount is not None
    assert (mount.within, mount.kind) == ("/new", "xfs")


def test_names_with_spaces() -> None:
    mount = mount_of(Path("/my data/registry"), DISK + volume("/a\\040b", "xfs", "/my\\040data"))
    assert mount is not None
    assert (mount.point, mount.within) == ("/my data", "/a b")
