"""Nobody takes the log, or it is closed: the registry serves all the same."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.content import blob
from harness.http import Client, Connection
from harness.repository import Repository
from harness.server import Server, wait_until
from serving.processes import ENGINES, answers, kill, wait_workers, workers

SERVE = (sys.executable, "-m", "holdfast", "serve")


def redirected(redirection: str) -> tuple[str, ...]:
    """The command with its outputs led elsewhere, as a shell writes it."""
    return ("sh", "-c", f'exec "$@" {redirection}', "sh", *SERVE)


def busy(server: Server, requests: int = 400) -> None:
    """All that writes lines; 400 requests write more than a pipe holds."""
    repository = Repository(Client(server), "a/b")
    image = repository.push_image("latest")
    with Connection(server) as connection:
        for _ in range(requests // 2):
            connection.request("GET", "/v2/a/b/manifests/latest", {"User-Agent": "x" * 400}).expect(200)
            connection.request("GET", "/v2/UPPER/tags/list", {"User-Agent": "x" * 400}).expect(400)
    content = repository.push_blob(blob("busy", 100_000))
    assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
    assert repository.get("manifests/latest").expect(200).body == image.body


def lose_a_worker(server: Server) -> None:
    """The main process logs that, too."""
    kill(workers(server)[0])
    wait_workers(server, lambda found: len(found) == 1)
    wait_until(lambda: answers(server), "the new worker")


@pytest.mark.parametrize(
    ("redirection", "engine"),
    [
        pytest.param(">&-", "granian", id="stdout"),
        pytest.param("2>&-", "granian", id="stderr"),
        pytest.param("<&- >&- 2>&-", "granian", id="all"),
        pytest.param("<&- >&- 2>&-", "uvicorn", id="all-uvicorn"),
        pytest.param(">/dev/full 2>&1", "granian", id="full-disk"),
    ],
)
def test_closed_outputs_do_not_matter(tmp_path: Path, redirection: str, engine: str) -> None:
    """Least of all may lines end up in a file that got the number of standard output."""
    settings = {"server.engine": engine, "log.level": "debug"}
    server = Server(tmp_path, settings, command=redirected(redirection)).start()
    busy(server, 10)
    lose_a_worker(server)
    assert server.stop() == 0
    for path in server.root.rglob("*"):
        if path.is_file() and path.stat().st_size:
            assert b"method=GET" not in path.read_bytes(), path


@contextmanager
def stuck_pipe(path: Path) -> Iterator[int]:
    """A pipe that nobody reads: its reading end."""
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield reader
    finally:
        os.close(reader)


def drain(reader: int) -> bytes:
    """All that is in a pipe at the moment."""
    octets = b""
    while True:
        try:
            piece = os.read(reader, 65536)
        except BlockingIOError:
            return octets
        if not piece:
            return octets
        octets += piece


@pytest.mark.parametrize("engine", ENGINES)
def test_a_pipe_that_nobody_reads_stops_nothing(tmp_path: Path, engine: str) -> None:
    with stuck_pipe(tmp_path / "pipe") as reader:
        command = redirected(f">{tmp_path / 'pipe'} 2>&1")
        server = Server(tmp_path, {"server.engine": engine}, command=command).start()
        busy(server)
        lose_a_worker(server)
        assert len(drain(reader)) >= 32 * 1024
        busy(server)
        assert server.stop() == 0


def test_a_pipe_that_is_read_again_has_whole_lines(tmp_path: Path) -> None:
    with stuck_pipe(tmp_path / "pipe") as reader:
        server = Server(tmp_path, command=redirected(f">{tmp_path / 'pipe'} 2>&1")).start()
        with Connection(server) as connection:
            for _ in range(1000):
                connection.request("GET", "/v2/", {"User-Agent": "x" * 200}).expect(200)
        octets = b""

        def all_there() -> bool:
            nonlocal octets
            octets += drain(reader)
            return octets.count(b"path=/v2/ ") == 1000

        wait_until(all_there, "all lines")
        server.kill()
    for line in octets.decode().splitlines():
        assert line[:4].isdigit(), line


def test_a_reader_that_goes_away_stops_nothing(tmp_path: Path) -> None:
    with stuck_pipe(tmp_path / "pipe"):
        server = Server(tmp_path, command=redirected(f">{tmp_path / 'pipe'} 2>&1")).start()
    busy(server, 10)
    lose_a_worker(server)
    assert server.stop() == 0
