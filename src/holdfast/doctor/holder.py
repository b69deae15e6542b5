"""Which server uses a directory, as its lock file says."""

import fcntl
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

_WORDS = re.compile(r"process (\d+) on (\S+), listening on (\S+),")


@dataclass(frozen=True, slots=True)
class Holder:
    """A server that holds a lock: its own words, and what they say. `here`: it runs on this host, by its name."""

    words: str
    pid: int
    host: str
    addr: str

    @property
    def here(self) -> bool:
        return self.host == socket.gethostname()


def holder(lock: Path) -> Holder | None:
    """Who holds the server's lock at this moment; None if nobody does or that cannot be told.

    The lock is asked for shared and let go of at once, which is the only way to learn of holders in other containers.
    """
    try:
        file = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        words = os.read(file, 4096).decode("utf-8", "replace").strip()
    except OSError:
        return None
    else:
        return None
    finally:
        os.close(file)
    match = _WORDS.match(words)
    pid, host, addr = match.groups() if match else ("0", "", "")
    return Holder(words or "a server that has not said who it is", int(pid), host, addr)
