"""Nodes that start at once, or where something that they need is away."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository
from harness.server import Server, wait_until
from harness.swift import Swift
from holdfast.storage import paths
from holdfast.storage.s3_requests import request
from scale.aftermath import environment
from scale.site import SETTINGS, Place, new_place, readiness, wires

TEN = 10


def one_registry(place: Place) -> None:
    """Raise `AssertionError` unless a database and a bucket belong together, each having been made once."""
    [(instance,)] = place.rows("SELECT value FROM meta WHERE key = 'instance'")
    key = f"{paths.ROOT}/{paths.INSTANCE}"
    assert request(place.store.bucket_address(place.bucket), "GET", key).decode().strip() == instance
    assert place.count("meta WHERE key = 'instance'") == 1
    assert place.count("dirty") == 0


def no_errors(log: Path) -> None:
    """Raise `AssertionError` if a log tells of an error."""
    text = log.read_text(errors="replace")
    assert not [line for line in text.splitlines() if "error" in line.lower() or "Traceback" in line], text


def test_servers_start_at_once(tmp_path: Path, postgresql: PostgreSQL, swift: Swift, long: bool) -> None:
    place = new_place(postgresql, swift)
    with ExitStack() as stack:
        servers = []
        for number in range(TEN if long else 4):
            directory = tmp_path / f"node{number}"
            directory.mkdir()
            server = Server(directory, {**SETTINGS, **place.settings})
            stack.callback(server.kill)
            servers.append(server)
        for server in servers:
            server.spawn()
        wait_until(lambda: all(readiness(server) == 200 for server in servers), "all nodes", 120)
        image = Repository(Client(servers[0]), "ten/nodes").push_image("tag")
        for server in servers:
            assert Repository(Client(server), "ten/nodes").get("manifests/tag").expect(200).body == image.body
    for server in servers:
        no_errors(server.log)
    one_registry(place)


@contextmanager
def starter(log: Path) -> Iterator["subprocess.Popen[str]"]:
    """The program `scale.starting`."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "scale.starting"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    with process:
        yield process
        assert process.stdin
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.mark.usefixtures("takeover")
def test_ten_nodes_start_at_once_again_and_again(
    tmp_path: Path, postgresql: PostgreSQL, swift: Swift, long: bool
) -> None:
    log = tmp_path / "log"
    with starter(log) as process:
        assert process.stdin
        assert process.stdout
        for _ in range(100 if long else 10):
            place = new_place(postgresql, swift)
            process.stdin.write(json.dumps(environment({**SETTINGS, **place.settings})) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline()) == [0] * TEN, log.read_text(errors="replace")
            one_registry(place)
    no_errors(log)


def test_a_node_waits_for_what_it_needs(tmp_path: Path, postgresql: PostgreSQL, swift: Swift) -> None:
    place = new_place(postgresql, swift)
    with wires(place) as [wire]:
        wire.database.refuse()
        wire.store.refuse()
        server = Server(tmp_path, {**SETTINGS, **place.settings, **place.through(wire)})
        server.spawn()
        try:
            _waits(server)
            wire.database.restore()
            wait_until(lambda: place.count("pg_tables WHERE tablename = 'meta'") == 1, "the node's tables", 60)
            _waits(server)
            wire.store.restore()
            wait_until(lambda: readiness(server) == 200, "the node to serve", 60)
            Repository(Client(server), "wait/ed").push_image("tag")
            assert "waiting for what this server needs" in server.log_text()
        finally:
            server.kill()


def _waits(server: Server) -> None:
    """A node that waits lives, says that it is not ready, and gives clients a time at which to come again."""
    wait_until(lambda: readiness(server) == 503, "the node to answer", 60)
    client = Client(server)
    client.get("/healthz").expect(200)
    assert int(client.get("/v2/").expect(503, code="UNAVAILABLE").headers["Retry-After"]) > 0
