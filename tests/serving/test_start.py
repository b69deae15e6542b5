"""What prevents a start is told in a line, with what to do, and ends with status 1; what is served is told too."""

import json
import os
import re
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.http import Client
from harness.server import Server, free_port, wait_until
from holdfast.storage import paths
from serving.processes import ENGINES, answers, kill, wait_workers, workers


def refused(server: Server, seconds: float = 20) -> str:
    """Start a server that cannot start: what it says about it."""
    server.spawn()
    try:
        status = server.wait(seconds)
    finally:
        server.kill()
    said = server.log_text()
    assert status == 1, said
    assert "Traceback" not in said, said
    return said


@pytest.mark.parametrize("reuse", [False, True], ids=["plain", "reuseport"])
@pytest.mark.parametrize("taken", ["127.0.0.1", "0.0.0.0"])
def test_a_used_port_stops_the_start(tmp_path: Path, taken: str, reuse: bool) -> None:
    """Sharing a port with another program would split the traffic between the two."""
    with socket.socket() as other:
        if reuse:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((taken, 0))
        other.listen()
        addr = f"127.0.0.1:{other.getsockname()[1]}"
        said = refused(Server(tmp_path, {"http.addr": addr}))
    assert f"cannot listen on {addr}: Address already in use" in said


@pytest.mark.parametrize("addr", ["192.0.2.1:0", "no-such-host.invalid:0"])
def test_an_address_that_is_not_ours_stops_the_start(tmp_path: Path, addr: str) -> None:
    assert f"cannot listen on {addr}: " in refused(Server(tmp_path, {"http.addr": addr}))


def test_a_second_server_on_the_port_is_refused(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    first = start_server()
    said = refused(Server(tmp_path, {"http.addr": first.settings["http.addr"]}))
    assert f"cannot listen on {first.registry}" in said
    assert answers(first)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_second_server_on_the_root_is_refused_and_told_of_the_first(tmp_path: Path, engine: str) -> None:
    with Server(tmp_path, {"server.engine": engine}) as first:
        (tmp_path / "second").mkdir()
        second = Server(tmp_path / "second", {"storage.filesystem.rootdirectory": str(first.root)})
        said = refused(second)
        assert f"another server uses {first.root}" in said
        assert f"process {first.pid} on {socket.gethostname()}, listening on {first.registry}" in said
        assert answers(first)
    with second:  # the first one has let go
        assert answers(second)


def test_two_names_of_one_root_are_the_same_root(tmp_path: Path) -> None:
    with Server(tmp_path) as first:
        (tmp_path / "link").symlink_to(first.root)
        (tmp_path / "second").mkdir()
        second = Server(tmp_path / "second", {"storage.filesystem.rootdirectory": str(tmp_path / "link")})
        assert "another server uses" in refused(second)


def test_a_refused_server_touches_nothing_of_the_first(tmp_path: Path) -> None:
    with Server(tmp_path) as first:
        mark = first.root / paths.ROOT / paths.TEMPORARY / "being-written"
        mark.write_text("")
        (tmp_path / "second").mkdir()
        refused(Server(tmp_path / "second", {"storage.filesystem.rootdirectory": str(first.root)}))
        assert mark.exists()
        first.restart()
        assert not mark.exists()  # nobody writes it any more


def broken_database(root: Path) -> None:
    (root / "holdfast").mkdir(parents=True)
    (root / "holdfast" / "holdfast.db").write_bytes(b"no database at all " * 1000)


def newer_database(root: Path) -> None:
    (root / "holdfast").mkdir(parents=True)
    connection = sqlite3.connect(root / "holdfast" / "holdfast.db")
    connection.execute("PRAGMA user_version = 9999")
    connection.commit()
    connection.close()


def database_is_a_directory(root: Path) -> None:
    (root / "holdfast" / "holdfast.db").mkdir(parents=True)


def root_is_a_file(root: Path) -> None:
    root.write_text("")


def metadata_is_a_file(root: Path) -> None:
    root.mkdir()
    (root / "holdfast").write_text("")


def tree_is_a_file(root: Path) -> None:
    root.mkdir()
    (root / "docker").write_text("")


FAILURES: dict[Callable[[Path], None], str] = {
    broken_database: "not a database",
    newer_database: "the database has version 9999",
    database_is_a_directory: "holdfast.db",
    root_is_a_file: "root",
    metadata_is_a_file: "root/holdfast",
    tree_is_a_file: "root",
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("prepare", FAILURES, ids=lambda prepare: prepare.__name__)
def test_a_place_that_cannot_be_used_stops_the_start(
    tmp_path: Path, prepare: Callable[[Path], None], engine: str
) -> None:
    server = Server(tmp_path, {"server.engine": engine, "server.workers": "2"})
    prepare(server.root)
    said = refused(server)
    assert FAILURES[prepare] in said
    assert len(said.splitlines()) <= 4, said


def test_a_root_without_a_name_in_the_file_system_stops_the_start(tmp_path: Path) -> None:
    said = refused(Server(tmp_path, {"storage.filesystem.rootdirectory": "/proc/no/such/place"}))
    assert "/proc/no/such/place" in said


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_dies_while_starting_does_not_hang_the_start(tmp_path: Path, engine: str) -> None:
    server = Server(tmp_path, {"server.engine": engine, "server.workers": "2"})
    server.spawn()
    try:
        first = wait_workers(server, lambda found: len(found) == 2)[0]
        kill(first)
        wait_until(lambda: "serving" in server.log_text() or not server.running, "a start or an end", 20)
        assert server.running, server.log_text()
        assert answers(server)
        assert len(wait_workers(server, lambda found: len(found) == 2)) == 2
    finally:
        server.kill()


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({"server.workers": "1"}, 1),
        ({"server.workers": "3"}, 3),
        ({"server.workers": "0"}, len(os.sched_getaffinity(0))),
        ({"server.workers": "3", "storage": "inmemory"}, 1),
    ],
    ids=["one", "three", "default", "memory"],
)
def test_as_many_workers_as_configured(tmp_path: Path, settings: dict[str, str], wanted: int) -> None:
    with Server(tmp_path, settings) as server:
        wait_until(lambda: "serving" in server.log_text(), "the announcement")
        assert len(workers(server)) == wanted
        assert re.search(rf"serving .*workers={wanted}\b", server.log_text())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_start_says_what_is_served_where(tmp_path: Path, engine: str) -> None:
    with Server(tmp_path, {"server.engine": engine, "storage.delete.enabled": "true"}) as server:
        wait_until(lambda: "authentication" in server.log_text(), "the announcement")
        said = server.log_text()
        for part in (server.url, f"engine={engine}", f"root={server.root}", "mode=shared", "authentication"):
            assert part in said
        assert "everybody may push and pull" in said
        assert "plain HTTP" not in said
        assert "in memory" not in said


def test_the_start_says_that_memory_forgets(tmp_path: Path) -> None:
    with Server(tmp_path, {"storage": "inmemory", "log.formatter": "json"}) as server:
        wait_until(lambda: "in memory" in server.log_text(), "the warning")
        events = [json.loads(line) for line in server.log_text().splitlines()]
    assert [event["level"] for event in events if "in memory" in event["event"]] == ["warning"]


def test_the_start_names_the_accounts(tmp_path: Path) -> None:
    accounts = tmp_path / "htpasswd"
    accounts.write_text("alice:$2y$05$abcdefghijklmnopqrstuuoOZSLXSR6kIqVcmJ0YJzvLyGUvJEkGe\n")
    with Server(tmp_path, {"auth.htpasswd.path": str(accounts), "auth.htpasswd.realm": "here"}) as server:
        wait_until(lambda: "authentication" in server.log_text(), "the announcement")
        assert str(accounts) in server.log_text()
        Client(server).get("/v2/").expect(401)
        assert "everybody" not in server.log_text()


@pytest.mark.parametrize(
    ("host", "warned"), [("0.0.0.0", True), ("", True), ("127.0.0.1", False), ("[::1]", False)], ids=str
)
def test_plain_http_on_a_public_address_is_warned_about(tmp_path: Path, host: str, warned: bool) -> None:
    """In a network of its own, so that nothing is open to the outside meanwhile."""
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    server = Server(
        tmp_path,
        {"http.addr": f"{host}:{free_port()}"},
        command=(*alone, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, "-m", "holdfast", "serve"),
    )
    server.spawn()
    try:
        wait_until(lambda: "authentication" in server.log_text() or not server.running, "the announcement", 20)
        assert server.running, server.log_text()
    finally:
        server.kill()
    assert ("plain HTTP on a public address" in server.log_text()) == warned, server.log_text()
