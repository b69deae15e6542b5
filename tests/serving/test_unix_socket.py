"""`http.net: unix`: the registry on a socket with a path, for a proxy on the same machine."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Self

import pytest

from clients.tools import program
from harness.content import digest
from harness.server import START_SECONDS, Server, wait_until
from serving.processes import ENGINES, wait_gone, wait_workers, workers


class SocketServer(Server):
    """A server on a Unix socket, with two workers on files."""

    def __init__(self, directory: Path, engine: str = "granian", path: Path | str | None = None, **more: str) -> None:
        self.path = Path(path or directory / "registry.sock")
        variables = {"REGISTRY_HTTP_NET": "unix", "REGISTRY_HTTP_ADDR": str(path or self.path)}
        settings = {"server.engine": engine, "server.workers": "2", **more}
        super().__init__(directory, settings, environment=variables)

    def curl(self, *arguments: str) -> str:
        """What curl prints. Raises `subprocess.CalledProcessError` when it gets no answer, or an error."""
        command = [program("curl"), "--silent", "--show-error", "--fail", "--unix-socket", str(self.path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def start(self, seconds: float = START_SECONDS) -> Self:
        """Start it and wait until all its workers answer, which is when it says where it serves."""
        super().start(seconds)
        wait_until(lambda: "authentication kind" in self.log_text(), "the announcement", seconds)
        return self

    def _answers(self) -> bool:
        try:
            return bool(self.curl("http://localhost/healthz"))
        except subprocess.CalledProcessError:
            return False


def refused(server: Server) -> str:
    """The last words of a server that does not start."""
    server.spawn()
    assert server.wait(30) == 1
    return server.log_text()


@pytest.mark.parametrize("engine", ENGINES)
def test_push_and_pull(tmp_path: Path, engine: str) -> None:
    """From several workers, with relative Locations; nobody's address stands in the access log."""
    content = os.urandom(3_000_000)
    (tmp_path / "blob").write_bytes(content)
    with SocketServer(tmp_path, engine) as server:
        assert stat.S_IMODE(server.path.stat().st_mode) == 0o660
        assert len(workers(server)) == 2
        head = server.curl("--include", "--request", "POST", "http://localhost/v2/a/blobs/uploads/")
        [location] = [line.split()[1] for line in head.splitlines() if line.lower().startswith("location:")]
        assert location.startswith("/v2/a/blobs/uploads/")
        target = f"http://localhost{location}?digest={digest(content)}"
        server.curl("--upload-file", str(tmp_path / "blob"), target)
        server.curl("--output", str(tmp_path / "pulled"), f"http://localhost/v2/a/blobs/{digest(content)}")
        assert (tmp_path / "pulled").read_bytes() == content
        for _ in range(10):
            assert server.curl("http://localhost/v2/") == "{}"
        wait_until(lambda: "path=/v2/ status=200" in server.log_text(), "the access log")
        [line, *_] = [line for line in server.log_text().splitlines() if "path=/v2/ " in line]
        assert " client= " in line
        wait_until(lambda: f"url=http+unix:{server.path} workers=2" in server.log_text(), "the announcement")
        assert "plain HTTP on a public address" not in server.log_text()
    assert not server.path.exists()


@pytest.mark.parametrize("engine", ENGINES)
def test_reload(tmp_path: Path, engine: str) -> None:
    """New workers take over the same socket; none of the requests meanwhile is turned away."""
    with SocketServer(tmp_path, engine) as server:
        before = workers(server)
        file = server.path.stat().st_ino
        server.signal(signal.SIGHUP)
        while set(before) & set(workers(server)):
            server.curl("http://localhost/v2/")
        wait_workers(server, lambda now: len(now) == 2)
        server.curl("http://localhost/v2/")
        assert server.path.stat().st_ino == file


def test_after_a_kill_and_beside_another(tmp_path: Path) -> None:
    """What a killed server left is replaced; a living one is left alone, and a second one told so."""
    server = SocketServer(tmp_path)
    server.start()
    left = server.children()
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    wait_gone(left)
    server.kill()
    assert server.path.is_socket()
    (tmp_path / "second").mkdir()
    with server:
        second = SocketServer(tmp_path / "second", path=server.path)
        assert f"cannot listen on {server.path}: another server does; stop it, or set http.addr" in refused(second)
        server.curl("http://localhost/v2/")


def test_the_socket_goes_when_the_start_fails(tmp_path: Path) -> None:
    """Here the certificate is missing, which is noticed after the socket was made."""
    files = {"http.tls.certificate": str(tmp_path / "none.crt"), "http.tls.key": str(tmp_path / "none.key")}
    server = SocketServer(tmp_path, **files)
    assert "none.crt: there is no such file" in refused(server)
    assert not server.path.exists()


def test_a_listener_of_another_kind_is_not_taken_for_dead(tmp_path: Path) -> None:
    """Its queue is full, so that a connection to it would wait for ever."""
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        path = tmp_path / "busy.sock"
        busy.bind(str(path))
        busy.listen(0)
        waiting.connect(str(path))
        assert "another server does" in refused(SocketServer(tmp_path, path=path))
        assert path.is_socket()


MISTAKES = {
    "bare-name": ("registry.sock", "expected the path of a socket"),
    "port": (":5000", "expected the path of a socket"),
    "file": ("{}/file", "it is a file that is not a socket; remove it, or correct http.addr"),
    "directory": ("{}/directory", "it is a directory; remove it, or correct http.addr"),
    "no-directory": ("{}/none/registry.sock", "No such file or directory; make its directory, or correct http.addr"),
    "below-a-file": ("{}/file/registry.sock", "a part of the path is a file; correct http.addr"),
    "long": ("{}/" + "x" * 120, "a socket's path has at most 107 bytes; shorten http.addr"),
}


@pytest.mark.parametrize(("path", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(tmp_path: Path, path: str, words: str) -> None:
    """Nothing that is there is touched."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "directory").mkdir()
    assert words in refused(SocketServer(tmp_path, path=path.format(tmp_path)))
    assert (tmp_path / "file").read_text() == "precious"
