"""A user, and what the rights of files let that user do."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Identity:
    """A user by number, with all groups."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    @classmethod
    def present(cls) -> Self:
        """The user of this process."""
        return cls(os.geteuid(), os.getegid(), frozenset(os.getgroups()))

    def may(self, path: Path, access: int) -> bool:
        """Whether this user may do `access` (os.R_OK, os.W_OK, os.X_OK together) with `path`, by the modes on the way to it.

        For the present user the kernel is asked, which also knows of read-only disks. False if there is no such path.
        """
        if (self.uid, self.gid) == (os.geteuid(), os.getegid()):
            return os.access(path, access, effective_ids=True)
        try:
            resolved = path.resolve(strict=True)
            way = [(parent, os.X_OK) for parent in resolved.parents]
            return all(self._allowed(os.stat(part), wanted) for part, wanted in [*way, (resolved, access)])
        except OSError:
            return False

    def _allowed(self, status: os.stat_result, access: int) -> bool:
        if self.uid == 0:
            return not access & os.X_OK or stat.S_ISDIR(status.st_mode) or bool(status.st_mode & 0o111)
        if status.st_uid == self.uid:
            granted = status.st_mode >> 6
        elif status.st_gid in self.groups | {self.gid}:
            granted = status.st_mode >> 3
        else:
            granted = status.st_mode
        return access & ~(granted & 7) == 0


def identity(pid: int) -> Identity | None:
    """The user of a process; None if that process cannot be seen."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        uid, gid = int(fields["Uid"].split()[1]), int(fields["Gid"].split()[1])
        return Identity(uid, gid, frozenset(int(group) for group in fields["Groups"].split()))
    except (OSError, KeyError, ValueError, IndexError):
        return None
