"""Health checks: what they look at, what the registry answers while one fails, and that a stop does not wait for them."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import create_server, socket
from typing import ClassVar

import pytest
import trustme

from harness.http import Client, Response
from harness.server import Server, wait_until
from holdfast.storage import paths

ENGINES = ("granian", "uvicorn")


def ready(server: Server) -> Response:
    return Client(server).get("/readyz")


def wait_healthy(server: Server) -> None:
    wait_until(lambda: ready(server).status == 200, "health", 20)


def wait_sick(server: Server) -> str:
    """Wait until the registry is out of service: the reason that it gives."""
    wait_until(lambda: ready(server).status == 503, "the failure", 20)
    report = ready(server).expect(503).json()
    assert (report["read"], report["write"]) == (False, False)
    reason: str = report["reason"]
    return reason


@pytest.mark.parametrize("engine", ENGINES)
def test_out_of_service_and_back(tmp_path: Path, engine: str) -> None:
    """While the file exists every request is answered 503 as registry:2 does, except those that ask how it is."""
    sick = tmp_path / "sick"
    settings = {"server.engine": engine, "health.file": f"[{{file: {sick}, interval: 50ms}}]"}
    with Server(tmp_path, settings) as server:
        client = Client(server)
        wait_healthy(server)
        client.get("/v2/").expect(200)
        sick.touch()
        assert wait_sick(server) == f"health check file {sick}: {sick} exists"
        for path in ("/v2/", "/v2/_catalog", "/v2/a/manifests/latest", "/a/tags/list", "/v2/unknown", "/"):
            answer = client.get(path).expect(503, code="UNAVAILABLE")
            assert answer.headers["Retry-After"] == "10"
            assert "/readyz" in answer.json()["errors"][0]["message"]
        client.post("/v2/a/blobs/uploads/").expect(503, code="UNAVAILABLE")
        client.get("/healthz").expect(200)
        sick.unlink()
        wait_healthy(server)
        client.get("/v2/").expect(200)
        client.get("/").expect(200)
    log = server.log_text()
    assert log.count("a health check fails") == log.count("a health check passes again") == 1


def test_storage(tmp_path: Path) -> None:
    """A disk that is gone, after as many failures as configured; a full one does not count."""
    settings = {
        "health.storagedriver": "{enabled: true, interval: 50ms, threshold: 3}",
        "storage.filesystem.minfree": str(2**50),
    }
    with Server(tmp_path, settings) as server:
        wait_until(lambda: ready(server).json()["read"], "the first look")
        assert "minfree" in ready(server).expect(200).json()["reason"]
        mark = server.root / paths.ROOT / paths.INSTANCE
        mark.rename(tmp_path / "away")
        assert "is a disk not mounted?" in wait_sick(server)
        Client(server).get("/v2/").expect(503)
        (tmp_path / "away").rename(mark)
        wait_healthy(server)


@contextmanager
def listening() -> Iterator[socket]:
    """A port that accepts connections and never answers."""
    with create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def test_ports(tmp_path: Path) -> None:
    with listening() as listener:
        port = listener.getsockname()[1]
        checks = f"[{{addr: '127.0.0.1:{port}', interval: 200ms, timeout: 5s, threshold: 2}}, {{addr: ':{port}', interval: 1h}}]"
        with Server(tmp_path, {"health.tcp": checks}) as server:
            wait_healthy(server)
            listener.close()
            assert wait_sick(server).startswith(f"health check tcp 127.0.0.1:{port}: ")


class Page(BaseHTTPRequestHandler):
    """Answers with the status in its path; `/to/...` redirects there, `/secret` wants a header, `/silent` waits for the end of the test."""

    over: ClassVar[threading.Event]

    def do_HEAD(self) -> None:
        status, location = 404, ""
        if self.path.startswith("/to/"):
            status, location = 302, self.path.removeprefix("/to")
        elif self.path == "/secret":
            status = 200 if self.headers["X-Token"] == "abc" else 403
        elif self.path == "/silent":
            self.over.wait()
        elif self.path[1:].isdecimal():
            status = int(self.path[1:])
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def pages() -> Iterator[Callable[[ssl.SSLContext | None], str]]:
    """Starts web servers: gives the beginning of their addresses."""
    Page.over = threading.Event()
    servers = []

    def start(tls: ssl.SSLContext | None = None) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"{'https' if tls else 'http'}://localhost:{server.server_port}"

    yield start
    Page.over.set()
    for server in servers:
        server.shutdown()
        server.server_close()


def test_pages(tmp_path: Path, pages: Callable[..., str]) -> None:
    """Several in one server: those that pass are not named, and nothing secret is told of those that fail."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    plain, secure = pages(), pages(context)
    passing = [
        f"uri: {plain}/200",
        f"uri: {plain}/204, statuscode: 204",
        f"uri: {plain}/to/to/200",
        f"uri: {plain}/secret, headers: {{x-token: [abc]}}",
        f"uri: {plain}/to/200, statuscode: 302",
        f"uri: {secure}/200",
    ]
    failing = {
        f"uri: {plain}/500": f"http {plain}/500: status 500, expected 200",
        f"uri: {plain}/200, statuscode: 204": f"http {plain}/200: status 200, expected 204",
        f"uri: {plain}/secret, headers: {{x-token: [hunter2]}}": f"http {plain}/secret: status 403, expected 200",
        f"uri: {plain}/silent, timeout: 200ms": f"http {plain}/silent: no answer within 0.2 s",
        f"uri: {plain}{'/to' * 20}/200": "more than 10 redirects",
        "uri: 'http://ann:hunter2@localhost:1/x?token=hunter2'": "http http://localhost:1/x: ",
        "uri: 'ftp://localhost/x'": "http ftp://localhost/x: the address has to begin with http:// or https:// and a host",
    }
    checks = [f"{{{check}, interval: 1h}}" for check in passing if "timeout" not in check]
    checks += [f"{{{check}, interval: 1h}}" for check in failing]
    trust = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
    with Server(tmp_path, {"health.http": f"[{', '.join(checks)}]"}, environment=trust) as server:
        wait_until(lambda: ready(server).json().get("reason", "").count("health check") == len(failing), "all", 20)
        said = wait_sick(server)
    for words in failing.values():
        assert words in said
    assert "hunter2" not in said + server.log_text()


def test_a_certificate_that_nobody_trusts(tmp_path: Path, pages: Callable[..., str]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    check = f"[{{uri: {pages(context)}/200, interval: 1h}}]"
    with Server(tmp_path, {"health.http": check}) as server:
        assert "certificate" in wait_sick(server).lower()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stop_does_not_wait_for_a_look(tmp_path: Path, engine: str) -> None:
    """Here the other end never answers."""
    with listening() as listener:
        uri = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        settings = {"server.engine": engine, "health.http": f"[{{uri: '{uri}', interval: 1h, timeout: 1h}}]"}
        server = Server(tmp_path, settings).start()
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1000).startswith(b"HEAD / HTTP/1.1\r\n")
            assert server.stop() == 0
            assert "cut off" not in server.log_text()
