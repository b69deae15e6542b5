"""SIGTERM and SIGINT: running requests finish, and the stop takes 8 seconds at most."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.http import Client, Connection
from harness.server import Server, wait_until
from serving.processes import ENGINES, answers, port_is_free, wait_gone, wait_workers, workers
from serving.streams import SlowDownload, SlowUpload, large_blob

LONGEST = 8.0
"""Seconds: Docker kills after 10."""


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A running server with two workers, which the test stops."""
    running = Server(tmp_path, {"server.engine": request.param, "server.workers": "2"}).start()
    wait_until(lambda: "serving" in running.log_text(), "the announcement")
    yield running
    running.kill()


def seconds_to_end(server: Server) -> float:
    """Wait for the end of all processes; the main process must end well."""
    began = time.monotonic()
    family = server.children()
    assert server.wait() == 0, server.log_text()
    wait_gone(family, 1)
    assert port_is_free(server.address)
    assert "Traceback" not in server.log_text(), server.log_text()
    return time.monotonic() - began


def to_main(server: Server, number: signal.Signals) -> None:
    server.signal(number)


def to_all(server: Server, number: signal.Signals) -> None:
    """As a terminal does with Ctrl-C, and systemd at a stop."""
    os.killpg(server.pid, number)


WAYS = [
    pytest.param("granian", to_main, signal.SIGTERM, id="granian-term"),
    pytest.param("granian", to_main, signal.SIGINT, id="granian-int"),
    pytest.param("granian", to_all, signal.SIGTERM, id="granian-term-to-all"),
    pytest.param("granian", to_all, signal.SIGINT, id="granian-int-to-all"),
    pytest.param("uvicorn", to_main, signal.SIGTERM, id="uvicorn-term"),
    pytest.param("uvicorn", to_all, signal.SIGINT, id="uvicorn-int-to-all"),
]


@pytest.mark.parametrize(("engine", "send", "number"), WAYS)
def test_a_stop_lets_running_requests_finish(
    tmp_path: Path, engine: str, send: Callable[[Server, signal.Signals], None], number: signal.Signals
) -> None:
    server = Server(tmp_path, {"server.engine": engine, "server.workers": "2"}).start()
    content = large_blob(server)
    idle = [Connection(server) for _ in range(20)]
    try:
        for connection in idle:
            connection.request("GET", "/v2/").expect(200)
        with SlowUpload(server) as upload, SlowDownload(server, content) as download:
            send(server, number)
            wait_until(lambda: "stopping" in server.log_text(), "the stop")
            assert download.finish() == content.body
            upload.finish().expect(202)
        assert seconds_to_end(server) < 3
    finally:
        for connection in idle:
            connection.close()
    server.start()
    assert Client(server).get(upload.location).expect(204).headers["Range"] == f"0-{upload.content.size - 1}"
    server.stop()


def test_nothing_new_is_taken_while_stopping(server: Server) -> None:
    with SlowUpload(server) as upload:
        server.signal(signal.SIGTERM)
        wait_until(lambda: not answers(server), "the refusal")
        upload.finish().expect(202)
    assert seconds_to_end(server) < 3


@pytest.mark.parametrize(
    ("engine", "setting", "longest"), [("granian", {}, LONGEST), ("uvicorn", {"http.draintimeout": "2s"}, 3)]
)
def test_a_stop_does_not_wait_for_ever(tmp_path: Path, engine: str, setting: dict[str, str], longest: float) -> None:
    """Requests that take longer are cut off, and what they sent does not count."""
    server = Server(tmp_path, {"server.engine": engine, **setting}).start()
    content = large_blob(server)
    with SlowUpload(server) as upload, SlowDownload(server, content):
        server.signal(signal.SIGTERM)
        assert seconds_to_end(server) < longest
    server.start()
    assert Client(server).get(upload.location).expect(204).headers["Range"] == "0-0"
    server.stop()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stop_during_a_reload_ends_in_time(tmp_path: Path, engine: str) -> None:
    settings = {"server.engine": engine, "server.workers": "2", "http.draintimeout": "2s"}
    server = Server(tmp_path, settings).start()
    before = workers(server)
    with SlowUpload(server):
        server.signal(signal.SIGHUP)
        wait_workers(server, lambda found: len(set(found) - set(before)) >= 1)
        server.signal(signal.SIGTERM)
        assert seconds_to_end(server) < 4


def test_a_stop_after_a_reload_lets_requests_of_retired_workers_finish(server: Server) -> None:
    before = workers(server)
    with SlowUpload(server) as upload:
        server.signal(signal.SIGHUP)
        wait_workers(server, lambda found: len(set(found) - set(before)) == 2)
        server.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.log_text(), "the stop")
        upload.finish().expect(202)
        assert seconds_to_end(server) < LONGEST


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_during_the_start_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    server = Server(tmp_path, {"server.workers": "2"})
    server.spawn()
    try:
        wait_workers(server, lambda found: len(found) >= 1)
        server.signal(number)
        assert seconds_to_end(server) < LONGEST
    finally:
        server.kill()


def test_impatient_people_send_the_signal_again(server: Server) -> None:
    with SlowUpload(server) as upload:
        for _ in range(5):
            server.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in server.log_text(), "the stop")
        upload.finish().expect(202)
        assert seconds_to_end(server) < LONGEST


def test_the_time_to_drain_is_a_setting(tmp_path: Path) -> None:
    server = Server(tmp_path, {"http.draintimeout": "1s"}).start()
    try:
        with SlowUpload(server):
            server.signal(signal.SIGTERM)
            assert seconds_to_end(server) < 3
    finally:
        server.kill()


def test_a_stop_with_many_idle_connections_is_quick(server: Server) -> None:
    idle = [Connection(server) for _ in range(200)]
    try:
        asking = [threading.Thread(target=connection.request, args=("GET", "/v2/")) for connection in idle[:100]]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        server.signal(signal.SIGTERM)
        assert seconds_to_end(server) < 3
    finally:
        for connection in idle:
            connection.close()
