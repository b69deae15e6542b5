"""The engines behind the registries: a real S3 store (OpenStack Swift) and a real PostgreSQL, both on loopback, as the tests start them."""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmark import processes
from benchmark.report import output_of
from benchmark.scale.servers import Bucket
from harness.postgresql import PostgreSQL, program
from harness.swift import Swift, swift_programs

QUIET_SECONDS = 0.5
QUIET_PART = 0.06
"""All our processes together count as quiet when they use less than this part of a processor."""


class Engines:
    """Both engines, running inside the `with` block, with their data below `work`, which others may enter."""

    def __init__(self, work: Path) -> None:
        directory = work / "swift"
        directory.mkdir()
        self.swift = Swift(directory)
        self.postgresql = PostgreSQL(work / "postgresql")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.swift)
        self._stack.enter_context(self.postgresql)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def store_port(self) -> int:
        """Where the S3 engine listens on loopback."""
        return self.swift.address[1]

    def bucket(self) -> Bucket:
        """Make a new bucket."""
        return Bucket(self.store_port, self.swift.new_bucket(), self.swift.access_key, self.swift.secret_key)

    def log_statements(self, *, on: bool) -> None:
        """Have every SQL statement written to the log of PostgreSQL, or no longer."""
        self.postgresql.run(f"ALTER SYSTEM SET log_statement = '{'all' if on else 'none'}'")
        self.postgresql.run("SELECT pg_reload_conf()")

    def statements(self) -> list[str]:
        """What was logged so far, a statement each."""
        lines = (self.postgresql.directory / "log").read_text(errors="replace").splitlines()
        found = [line.partition("LOG:  ")[2] for line in lines]
        return [line.partition(": ")[2] for line in found if line.startswith(("statement: ", "execute "))]


def versions() -> dict[str, str]:
    """What the engines are."""
    database = output_of(program("postgres"), "--version").partition(") ")[2].partition(" ")[0]
    ask = "from importlib.metadata import version; print(version('swift'))"
    return {"postgresql": database, "openstack swift": output_of(str(swift_programs() / "python"), "-c", ask)}


def settle(least: float = 0.0, limit: float = 60.0) -> float:
    """Wait until all processes below this one are quiet, so that no work in the background meets the next measure.

    Gives the seconds until they were; not before `least`, and at most about `limit` seconds after that.
    """
    begin = time.perf_counter()
    time.sleep(least)
    while (passed := time.perf_counter() - begin) < least + limit:
        before = processes.cpu_seconds(os.getpid())
        time.sleep(QUIET_SECONDS)
        if processes.cpu_seconds(os.getpid()) - before < QUIET_SECONDS * QUIET_PART:
            return passed
    return passed
