"""File systems of a test's own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def need_root() -> None:
    """Skip where nothing can be mounted; never in continuous integration."""
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        pytest.skip("mounting needs root")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


@contextmanager
def mounted(directory: Path, *command: str) -> Iterator[Path]:
    """Run a command that mounts something on `directory`, and unmount it at the end."""
    need_root()
    directory.mkdir(exist_ok=True)
    _run(*command)
    try:
        yield directory
    finally:
        _run("umount", "--lazy", str(directory))


@contextmanager
def small_disk(directory: Path, mebibytes: int, options: str = "defaults") -> Iterator[Path]:
    """An empty ext4 file system of so many MiB, with mount options."""
    need_root()
    image = directory.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(mebibytes * 1024 * 1024)
    mkfs = shutil.which("mkfs.ext4", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert mkfs
    _run(mkfs, "-q", "-m", "0", str(image))
    with mounted(directory, "mount", "-o", f"loop,{options}", str(image), str(directory)):
        yield directory
    image.unlink()


def break_disk(directory: Path) -> None:
    """Let the kernel find an error in a `small_disk`."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", str(directory)], capture_output=True, text=True, check=True)
    Path("/sys/fs/ext4", Path(found.stdout.strip()).name, "trigger_fs_error").write_text("1")


@contextmanager
def read_only(directory: Path) -> Iterator[Path]:
    """The same directory, where nothing can be written meanwhile."""
    with mounted(directory, "mount", "--bind", str(directory), str(directory)):
        _run("mount", "-o", "remount,ro,bind", str(directory))
        yield directory


@contextmanager
def fuse(directory: Path, below: Path) -> Iterator[Path]:
    """A FUSE file system on `directory` that keeps its files in `below`, as sshfs does on another machine."""
    below.mkdir(exist_ok=True)
    with mounted(directory, "bindfs", str(below), str(directory)):
        yield directory
