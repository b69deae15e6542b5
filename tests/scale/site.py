"""Three nodes on a PostgreSQL and a Swift of their own, each joined to both by wires that can be cut, behind a balancer."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.http import Client
from harness.nodes import Nodes
from harness.postgresql import PostgreSQL
from harness.server import Server, wait_until
from harness.swift import Swift
from harness.wire import Wire

SETTINGS = {
    "server.workers": "1",
    "storage.delete.enabled": "true",
    "storage.s3.chunksize": str(5 * 1024 * 1024),
    "log.accesslog.disabled": "true",
}


@dataclass(frozen=True)
class Wires:
    """What joins one node to the database and to the store."""

    database: Wire
    store: Wire


@dataclass(frozen=True)
class Place:
    """An empty database and an empty bucket. Give nodes `settings`, with `through` where wires are between."""

    database: PostgreSQL
    store: Swift
    name: str
    bucket: str

    @property
    def settings(self) -> dict[str, str]:
        """How a node reaches both, and how clients do."""
        return {
            "metadata.url": self.database.url(self.name),
            "storage.s3.regionendpoint": self.store.endpoint,
            "storage.s3.redirectendpoint": self.store.endpoint,
            "storage.s3.region": self.store.region,
            "storage.s3.bucket": self.bucket,
            "storage.s3.accesskey": self.store.access_key,
            "storage.s3.secretkey": self.store.secret_key,
        }

    def through(self, wires: Wires) -> dict[str, str]:
        """Settings of a node that reaches both by wires."""
        return {
            "metadata.url": self.database.url(self.name).replace(f":{self.database.port}/", f":{wires.database.port}/"),
            "storage.s3.regionendpoint": f"http://127.0.0.1:{wires.store.port}",
        }

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """What the database answers to a statement."""
        return self.database.run(sql, self.name)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        return int(str(self.rows(f"SELECT count(*) FROM {table}")[0][0]))


def new_place(database: PostgreSQL, store: Swift) -> Place:
    """An empty database and an empty bucket on engines that run."""
    return Place(database, store, database.empty(), store.new_bucket())


@contextmanager
def wires(place: Place, count: int = 1) -> Iterator[list[Wires]]:
    """Wires to the engines of a place, for each of several nodes."""
    with ExitStack() as stack:
        yield [
            Wires(
                stack.enter_context(Wire(place.database.port)),
                stack.enter_context(Wire(place.store.address[1])),
            )
            for _ in range(count)
        ]


class Site(Nodes):
    """Nodes on a place, each with `wires` of its own; the first one sends pulls of blobs to the store, the others send the bytes themselves."""

    def __init__(
        self, directory: Path, place: Place, wires: Sequence[Wires], settings: Mapping[str, str] | None = None
    ) -> None:
        each = [
            {**place.through(wire), "storage.redirect.disable": "false" if number == 0 else "true"}
            for number, wire in enumerate(wires)
        ]
        super().__init__(directory, {**SETTINGS, **place.settings, **(settings or {})}, count=len(wires), each=each)
        self.place = place
        self.wires = list(wires)

    def await_ready(self, seconds: float = 60.0) -> None:
        """Wait until every node says that it is ready for all."""
        wait_until(lambda: all(readiness(node) == 200 for node in self.nodes), "all nodes to be ready", seconds)


def readiness(node: Server) -> int:
    """What a node answers to those who ask whether it is ready; 0 for no answer."""
    try:
        return Client(node, timeout=30).get("/readyz").status
    except (OSError, AssertionError):
        return 0


def seed() -> int:
    """A number that no other fault has, so that each has repositories and contents of its own."""
    return secrets.randbelow(10**9)
