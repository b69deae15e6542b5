"""System calls of the filesystem store: durable directories, errors translated to those of the port."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from holdfast.storage.port import StorageError, StorageFull, StorageReadOnly

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}

MOST_TRIES = 1000
"""More than others can get in the way; where a link leads nowhere, trying has to end."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn `OSError` into the port's errors. Give a meaning to those that have one inside of it."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(str(error)) from error
        if error.errno in _READ_ONLY:
            raise StorageReadOnly(str(error)) from error
        raise StorageError(str(error)) from error


def fsync_directory(path: Path) -> None:
    """Make the names in a directory durable; nothing is done where the file system has no such thing."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(file)


def make_directories(directory: Path, root: Path) -> list[Path]:
    """Make a directory and those above it below `root`, also while others remove some of them; gives those that were made.

    `root` itself is not made: where it is not there, its disk has gone away. Raises `OSError`.
    """
    made = []
    wanted = [directory]
    for _ in range(MOST_TRIES):
        try:
            os.mkdir(wanted[-1])
        except FileExistsError:
            wanted.pop()
        except FileNotFoundError:
            if wanted[-1].parent == root:
                raise OSError(errno.ENODEV, "it is not there any more: is its disk not mounted?", str(root)) from None
            wanted.append(wanted[-1].parent)
        else:
            made.append(wanted.pop())
        if not wanted:
            return made
    raise FileNotFoundError(errno.ENOENT, "a directory above it cannot be reached", str(directory))


class Directories:
    """Makes directories durably, remembering which ones are known to be durable already.

    A directory that another process made a moment ago may not be durable yet, so each process sees to it itself, once for the few
    directories that stay (the first levels of the tree and those of repositories), every time for those of single items.
    """

    MOST_REMEMBERED = 100_000

    def __init__(self, root: Path) -> None:
        self._root = root
        self._durable: set[Path] = set()

    def make(self, directory: Path) -> list[Path]:
        """Make `directory` and those above it; gives those whose names are not known to be durable, topmost first."""
        self._durable.difference_update(make_directories(directory, self._root))
        missing = []
        level = directory
        while level not in self._durable and level != self._root.parent:
            missing.append(level)
            level = level.parent
        missing.reverse()
        return missing

    def sync(self, directory: Path, made: list[Path]) -> None:
        """Make the names in `directory`, and the name of each directory in `made`, durable.

        One that is not there any more was removed by somebody who came later.
        """
        with suppress(FileNotFoundError):
            for level in made:
                fsync_directory(level.parent)
            fsync_directory(directory)
            if len(self._durable) > self.MOST_REMEMBERED:
                self._durable.clear()
            self._durable.update(made[:-1])
