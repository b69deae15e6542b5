"""The htpasswd file: reading it, and noticing that it changed."""

import contextlib
import os
import secrets
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from holdfast.auth import passwords
from holdfast.auth.basic import printable

_log = structlog.get_logger("holdfast.auth")

FIRST_USER = "docker"
"""The user that a file made at start has, as with registry:2."""

DEFAULT_COST = 10
"""The bcrypt cost taken for users who do not exist while the file has no users."""


class UsersFileError(Exception):
    """The htpasswd file cannot be used; the text says why and, where it can, which line."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that is not used: its line (from 1), its user, and why."""

    line: int
    user: str
    reason: str


@dataclass(frozen=True, slots=True)
class Users:
    """What a file says: bcrypt hashes by user, the entries that are not used, and the cost that most hashes have."""

    hashes: Mapping[bytes, bytes]
    refused: tuple[Refused, ...] = ()
    cost: int = DEFAULT_COST


def parse(text: bytes, path: str) -> Users:
    """Read an htpasswd file's content as registry:2 does: one `user:hash` a line, # comments, the last entry of a
    user counts.

    Raises `UsersFileError` for a line without a colon. Entries whose hash is not bcrypt are refused, not an error.
    """
    hashes: dict[bytes, bytes] = {}
    refused: list[Refused] = []
    for number, raw in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        user, colon, stored = line.partition(b":")
        if not colon:
            raise UsersFileError(f"{path}: line {number} is not of the form user:hash")
        if user in hashes:
            refused.append(Refused(number, printable(user), "the user has an earlier entry, which this one replaces"))
        if passwords.cost(stored) is None:
            hashes.pop(user, None)
            refused.append(
                Refused(
                    number,
                    printable(user),
                    f"{passwords.kind(stored)} is not accepted, only bcrypt is: use htpasswd -B",
                )
            )
            continue
        hashes[user] = stored
    costs = Counter(passwords.cost(stored) or DEFAULT_COST for stored in hashes.values())
    return Users(hashes, tuple(refused), costs.most_common(1)[0][0] if costs else DEFAULT_COST)


def check(path: str) -> None:
    """Raise `UsersFileError` if the file cannot be read or parsed."""
    _read(path)


def prepare(path: str) -> None:
    """Make the file usable before serving: create it if it is missing, and raise `UsersFileError` if it cannot be
    read or parsed.

    A new file (mode 0600) holds the user `docker` with a random password, which is logged once.
    """
    if not os.path.lexists(path):
        _create(path)
    _read(path)


def _read(path: str) -> Users:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # reading a pipe would wait for a writer
            raise UsersFileError(f"{path}: it is not a regular file")
        return parse(Path(path).read_bytes(), path)
    except FileNotFoundError:
        raise UsersFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UsersFileError(f"{path}: {error.strerror or error}") from error


def _create(path: str) -> None:
    password = secrets.token_urlsafe(32)
    line = FIRST_USER.encode() + b":" + passwords.make(password.encode(), DEFAULT_COST) + b"\n"
    directory = os.path.dirname(path) or "."
    try:
        os.makedirs(directory, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".htpasswd-")  # mode 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):  # somebody else was faster: theirs counts
                os.link(temporary, path)
                _log.warning("htpasswd file created", file=path, user=FIRST_USER, password=password)
        finally:
            os.unlink(temporary)
    except OSError as error:
        raise UsersFileError(f"{path}: cannot create it: {error.strerror or error}") from error


class UsersFile:
    """The users of a file, read again when it changes.

    A file that becomes unreadable or malformed leaves the users as they were, with one error line for each such
    change. `now` is a monotonic clock in seconds.
    """

    INTERVAL = 0.5
    """Seconds between looks at the file: the longest that a change goes unnoticed."""

    def __init__(self, path: str, *, now: Callable[[], float] = time.monotonic, report: bool = True) -> None:
        """Raises `UsersFileError` if the file cannot be used now: so new workers do not replace those who know better."""
        self.path = path
        self._now = now
        self._report = report
        self._next_look = now() + self.INTERVAL
        self._signature = self._sign()
        self._settled = False
        self._complaint = ""
        self.users = _read(path)
        self._announce()

    def look(self) -> bool:
        """Read the file again if a look is due and it changed. True if the users may now be others. Costs one clock
        call if no look is due.
        """
        now = self._now()
        if now < self._next_look:
            return False
        self._next_look = now + self.INTERVAL
        signature = self._sign()
        if signature == self._signature and self._settled:
            return False
        # Two changes within one tick of the file system's clock look the same, so a changed file is read once more at
        # the next look; and an unusable one at each, for what is wrong may pass without a trace on the file.
        self._settled = signature == self._signature
        self._signature = signature
        try:
            users = _read(self.path)
        except UsersFileError as error:
            self._settled = False
            self._complain(str(error))
            return False
        self._complaint = ""
        if users == self.users:
            return False
        self.users = users
        self._announce()
        return True

    def _sign(self) -> tuple[int, ...] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            _log.error(
                "htpasswd file not usable, the users stay as they were", reason=complaint, users=len(self.users.hashes)
            )

    def _announce(self) -> None:
        if not self._report:
            return
        _log.info("htpasswd file read", file=self.path, users=len(self.users.hashes))
        for entry in self.users.refused:
            _log.warning(
                "htpasswd entry refused", file=self.path, line=entry.line, user=entry.user, reason=entry.reason
            )
