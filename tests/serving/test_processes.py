"""Processes that are killed: what was acknowledged stays, the rest goes on, nothing serves without its main process."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from harness.content import blob
from harness.http import Client
from harness.repository import Repository
from harness.server import Server, wait_until
from serving.processes import ENGINES, answers, kill, port_is_free, wait_gone, wait_workers, workers


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A running server with two workers."""
    settings = {"server.engine": request.param, "server.workers": "2", "http.draintimeout": "2s"}
    with Server(tmp_path, settings) as running:
        wait_until(lambda: "serving" in running.log_text(), "the announcement")
        yield running


def test_workers_end_with_the_main_process(server: Server) -> None:
    """Orphans would serve on, with nobody to stop or replace them, and keep the root."""
    pushed = Repository(Client(server), "a/b").push_image("latest")
    family = server.children()
    with Client(server).connect() as idle:
        idle.request("GET", "/v2/").expect(200)
        kill(server.pid)
        server.wait()
        wait_gone(family)
    assert port_is_free(server.address)
    server.start()  # the same port and the same root
    assert Client(server).get("/v2/a/b/manifests/latest").expect(200).body == pushed.body


def test_workers_that_are_starting_end_with_the_main_process(server: Server) -> None:
    server.signal(signal.SIGHUP)
    family = wait_workers(server, lambda found: len(found) >= 3)
    kill(server.pid)
    server.wait()
    wait_gone(family)
    assert port_is_free(server.address)


@pytest.mark.parametrize("number", [1, 2], ids=["one", "all"])
def test_killed_workers_are_replaced_and_requests_go_on(server: Server, number: int) -> None:
    content = Repository(Client(server), "a/b").push_blob(blob("replaced", 100_000))
    before = workers(server)
    for pid in before[:number]:
        kill(pid)
    lost = 0
    for _ in range(20):
        try:
            answer = Client(server, timeout=20).get(f"/v2/a/b/blobs/{content.digest}")
            assert answer.expect(200).body == content.body
        except ConnectionError:  # it was in the killed worker's hands
            lost += 1
    assert lost <= number
    after = wait_workers(server, lambda found: len(found) == 2 and not set(found) & set(before[:number]))
    assert set(after) & set(before) == set(before[number:])
    assert "a worker ended" in server.log_text()


def test_a_worker_that_keeps_dying_is_replaced_again_and_again(server: Server) -> None:
    for _ in range(2):
        present = wait_workers(server, lambda found: len(found) == 2)
        kill(present[-1])
        wait_workers(server, lambda found, gone=present[-1]: gone not in found)  # type: ignore[misc]
    wait_workers(server, lambda found: len(found) == 2, 30)
    assert answers(server)


def test_after_all_processes_were_killed_it_starts_again(server: Server) -> None:
    pushed = Repository(Client(server), "a/b").push_image("latest")
    upload = Repository(Client(server), "a/b").open_upload()
    Client(server).patch(upload, body=b"half").expect(202)
    family = server.children()
    server.kill()
    wait_gone(family)
    assert port_is_free(server.address)
    server.start()
    client = Client(server)
    assert client.get("/v2/a/b/manifests/latest").expect(200).body == pushed.body
    assert client.get(upload).expect(204).headers["Range"] == "0-3"


def test_a_stopped_worker_does_not_keep_the_others_from_answering(server: Server) -> None:
    """A frozen process holds its connections, and no lock."""
    frozen = workers(server)[0]
    os.kill(frozen, signal.SIGSTOP)
    answered: list[int] = []

    def ask() -> None:
        with suppress(OSError, AssertionError):
            answered.append(Client(server, timeout=3).get("/v2/").status)

    asking = [threading.Thread(target=ask) for _ in range(20)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert 200 in answered
    began = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.wait(10) == 0
    assert time.monotonic() - began < 4
