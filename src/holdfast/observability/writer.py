"""Writing log lines to standard output and error, which nobody may be reading."""

import os
import select
import stat
import threading
from collections import deque

import structlog

log = structlog.get_logger("holdfast")

MOST_WAITING = 4 * 1024 * 1024
"""Bytes that wait for a slow reader; what comes after that is dropped."""


class LineWriter:
    """Writes lines from a thread of its own, so that a slow reader, or one that has stopped reading, holds nobody else up."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._dropped = 0

    def write(self, lines: list[str]) -> None:
        """Take whole lines, in order. Never waits."""
        encoded = [line.encode("utf-8", "backslashreplace") for line in lines]
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"log-{self._file}", daemon=True)
                self._thread.start()
            for line in encoded:
                if self._waiting + len(line) > MOST_WAITING:
                    self._dropped += 1
                else:
                    self._lines.append(line)
                    self._waiting += len(line)
            self._changed.notify_all()

    def flush(self, seconds: float = 0.5) -> None:
        """Wait until all is written, but not longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)

    def _run(self) -> None:
        most = self._most_at_once()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._lines))
                pieces = [self._lines.popleft()]
                size = len(pieces[0])
                while self._lines and size + len(self._lines[0]) <= most:
                    pieces.append(self._lines.popleft())
                    size += len(pieces[-1])
            written = self._write_all(b"".join(pieces))
            with self._changed:
                self._waiting -= size
                self._changed.notify_all()
                dropped = self._dropped
                self._dropped = 0 if written else dropped + len(pieces)
            if written and dropped:
                log.warning("log lines were dropped, nobody took them in time", lines=dropped)

    def _most_at_once(self) -> int:
        """Several processes write to one pipe: only up to a limit are their lines kept whole."""
        try:
            return select.PIPE_BUF if stat.S_ISFIFO(os.fstat(self._file).st_mode) else 64 * 1024
        except OSError:
            return select.PIPE_BUF

    def _write_all(self, octets: bytes) -> bool:
        rest = memoryview(octets)
        while rest:
            try:
                rest = rest[os.write(self._file, rest) :]
            except BlockingIOError:
                select.select([], [self._file], [])
            except OSError:
                return False  # closed, or on a full disk: requests go on
        return True


def open_standard_files() -> None:
    """Open /dev/null for what is closed of standard input, output and error, or log lines go into whatever is opened in its place."""
    for file in (0, 1, 2):
        try:
            os.fstat(file)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
