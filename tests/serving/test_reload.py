"""SIGHUP: new workers take over and no running request is cut."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.http import Client
from harness.server import Server, wait_until
from serving.processes import ENGINES, answers, wait_gone, wait_workers, workers
from serving.streams import SlowDownload, SlowUpload, large_blob


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A running server with two workers."""
    with Server(tmp_path, {"server.engine": request.param, "server.workers": "2"}) as running:
        wait_until(lambda: "serving" in running.log_text(), "the announcement")
        yield running


def successors(server: Server, before: list[int], count: int = 2) -> list[int]:
    """Wait for new workers: their processes."""
    found = wait_workers(server, lambda found: len(set(found) - set(before)) == count)
    return [pid for pid in found if pid not in before]


def test_a_reload_cuts_no_running_request(server: Server) -> None:
    content = large_blob(server)
    before = workers(server)
    with SlowUpload(server) as upload, SlowDownload(server, content) as download:
        server.signal(signal.SIGHUP)
        after = successors(server, before)
        for _ in range(10):
            assert answers(server)
        assert upload.finish().expect(202).headers["Range"] == f"0-{upload.content.size - 1}"
        assert download.finish() == content.body
    wait_gone(before)
    assert sorted(workers(server)) == sorted(after)
    closed = Client(server).put(f"{upload.location}?digest={upload.content.digest}")
    closed.expect(201)


def test_a_reload_while_requests_come_loses_none(server: Server) -> None:
    """Workers change hands under load: a connection that was accepted is answered."""
    ended = threading.Event()
    problems: list[str] = []
    asked = [0]

    def ask() -> None:
        while not ended.is_set():
            try:
                Client(server, timeout=10).get("/v2/").expect(200)
                asked[0] += 1
            except (OSError, AssertionError) as error:
                problems.append(repr(error))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for thread in asking:
        thread.start()
    try:
        for _ in range(3):
            before = workers(server)
            server.signal(signal.SIGHUP)
            wait_workers(server, lambda found, old=before: len(found) == 2 and not set(found) & set(old))  # type: ignore[misc]
    finally:
        ended.set()
        for thread in asking:
            thread.join()
    assert asked[0] > 100
    assert problems == []


def test_many_reloads_in_a_row_end_in_one_set_of_workers(server: Server) -> None:
    before = workers(server)
    with SlowUpload(server) as upload:
        for _ in range(20):
            server.signal(signal.SIGHUP)
            assert answers(server)
        upload.finish().expect(202)
    wait_workers(server, lambda found: len(found) == 2 and not set(found) & set(before), 60)
    assert answers(server)
    assert "Traceback" not in server.log_text()


def test_a_reload_before_the_start_is_done_is_not_the_end(tmp_path: Path) -> None:
    server = Server(tmp_path, {"server.workers": "2"})
    server.spawn()
    try:
        wait_workers(server, lambda found: len(found) >= 1)
        server.signal(signal.SIGHUP)
        wait_until(lambda: "serving" in server.log_text() or not server.running, "the start", 30)
        assert server.running, server.log_text()
        wait_until(lambda: answers(server), "an answer")
    finally:
        server.kill()


def test_workers_are_not_reloaded_by_a_signal_of_their_own(server: Server) -> None:
    """Closing a terminal sends SIGHUP to every process of it."""
    before = workers(server)
    for pid in before:
        os.kill(pid, signal.SIGHUP)
    assert answers(server)
    assert workers(server) == before
