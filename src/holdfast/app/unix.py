"""A Unix socket with its file: taken, given to those who may connect, and removed again."""

import errno
import os
import socket
import stat
from pathlib import Path

from holdfast.app.place import PlaceError

MODE = 0o660
"""Who may connect: the user and the group that the server runs as."""

LONGEST = 107
"""Bytes that the kernel has for the path."""

ANSWERS_WITHIN = 2.0
"""Seconds that a living server may take to accept, by then its queue is merely full."""

_ADVICE = {
    errno.ENOENT: "make its directory, or correct http.addr",
    errno.ENOTDIR: "a part of the path is a file; correct http.addr",
    errno.EACCES: "let the user that the server runs as write to its directory, or correct http.addr",
    errno.EROFS: "its directory is read-only; correct http.addr",
}


class UnixSocket:
    """A listening socket at a path. The file that a server left which was killed is replaced; anything else there stays."""

    def __init__(self, path: Path, backlog: int) -> None:
        """Raises `PlaceError`, saying what to do, if the path cannot be had."""
        self.path = path
        if len(os.fsencode(path)) > LONGEST:
            raise PlaceError(f"cannot listen on {path}: a socket's path has at most {LONGEST} bytes; shorten http.addr")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._clear()
            self.socket.bind(os.fspath(path))
            path.chmod(MODE)
            self.socket.listen(backlog)
            self._file = _identity(path)
        except OSError as error:
            self.socket.close()
            advice = _ADVICE.get(error.errno or 0, "correct http.addr")
            raise PlaceError(f"cannot listen on {path}: {error.strerror or error}; {advice}") from None
        except PlaceError:
            self.socket.close()
            raise

    def remove(self) -> None:
        """Remove the file, unless another one has taken its place."""
        try:
            if _identity(self.path) == self._file:
                self.path.unlink()
        except OSError:
            pass  # it is gone, or stays: the next start replaces it

    def _clear(self) -> None:
        """Remove what a killed server left. Raises `PlaceError` if something else is there."""
        try:
            kind = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(kind):
            what = "a directory" if stat.S_ISDIR(kind) else "a file that is not a socket"
            raise PlaceError(f"cannot listen on {self.path}: it is {what}; remove it, or correct http.addr")
        if _answers(self.path):
            raise PlaceError(f"cannot listen on {self.path}: another server does; stop it, or set http.addr")
        self.path.unlink()


def _answers(path: Path) -> bool:
    """Whether anybody listens there; where that cannot be told, somebody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(ANSWERS_WITHIN)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino
