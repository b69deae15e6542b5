"""Answers that come before the body has been read: the client must see them, whatever way it sends."""

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from baddays.watch import Watch
from harness.content import digest
from harness.http import Connection, Response
from harness.server import Server
from serving.processes import ENGINES, MIB

SIZE = 100 * MIB
PIECE = bytes(MIB)

ACCOUNT = "alice:$2y$05$abcdefghijklmnopqrstuuoOZSLXSR6kIqVcmJ0YJzvLyGUvJEkGe\n"


@pytest.fixture(scope="module", params=ENGINES)
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with accounts, where deleting is off."""
    directory = tmp_path_factory.mktemp("guarded")
    (directory / "htpasswd").write_text(ACCOUNT)
    settings = {
        "server.engine": request.param,
        "auth.htpasswd.realm": "here",
        "auth.htpasswd.path": str(directory / "htpasswd"),
    }
    with Server(directory, settings) as server:
        yield server


@pytest.fixture(scope="module", params=ENGINES)
def open_server(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Server:
    """A server without accounts."""
    return start_server(server_engine=request.param)


class Sender(threading.Thread):
    """Sends a body while somebody else reads the answer, as Go's client does."""

    def __init__(self, connection: Connection, chunked: bool) -> None:
        super().__init__()
        self.connection = connection
        self.chunked = chunked
        self.sent = 0

    def run(self) -> None:
        head = b"%x\r\n" % len(PIECE) if self.chunked else b""
        tail = b"\r\n" if self.chunked else b""
        try:
            while self.sent < SIZE:
                self.connection.send(head + PIECE + tail)
                self.sent += len(PIECE)
            if self.chunked:
                self.connection.send(b"0\r\n\r\n")
        except OSError:
            pass


def push(
    server: Server, method: str, target: str, *, chunked: bool = False, fields: dict[str, str] | None = None
) -> Response:
    """Send 100 MiB, reading at the same time: the answer. Sending ends with the answer."""
    framing = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(SIZE)}
    with Connection(server) as connection:
        connection.send_head(method, target, {**framing, **(fields or {})})
        sender = Sender(connection, chunked)
        sender.start()
        try:
            return connection.receive(method, target)
        finally:
            with suppress(OSError):  # the server may have hung up
                connection.socket.shutdown(socket.SHUT_RDWR)
            sender.join()


def push_then_read(server: Server, method: str, target: str) -> Response:
    """Send all, as far as the server takes it, then read, as simple clients do."""
    with Connection(server) as connection:
        return connection.request(method, target, {}, PIECE * (SIZE // MIB))


DIGEST = digest(b"not this")
REFUSED = {
    "401 PATCH": ("PATCH", "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000", 401),
    "401 PUT": ("PUT", "/v2/a/b/manifests/latest", 401),
    "401 POST": ("POST", f"/v2/a/b/blobs/uploads/?digest={DIGEST}", 401),
    "401 unknown": ("POST", "/v2/nothing/here/at/all", 401),
    "404": ("POST", "/nothing", 404),
    "405": ("POST", "/v2/", 401),
}
OPEN_REFUSED = {
    "404 upload": ("PATCH", "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000", 404),
    "400 name": ("PUT", "/v2/UPPER/manifests/latest", 400),
    "400 digest": ("POST", "/v2/a/b/blobs/uploads/?digest=sha256:x", 400),
    "413": ("PUT", "/v2/a/b/manifests/latest", 413),
    "405": ("POST", "/v2/_catalog", 405),
    "405 delete": ("DELETE", "/v2/a/b/manifests/latest", 405),
    "416": ("PATCH", "", 416),
}


def target_of(server: Server, target: str) -> tuple[str, dict[str, str]]:
    """The target and header fields; an upload is opened where none is named."""
    if target:
        return target, {}
    with Connection(server) as connection:
        location = connection.request("POST", "/v2/a/b/blobs/uploads/").expect(202).headers["Location"]
    return location, {"Content-Range": f"5-{SIZE + 4}"}


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("case", REFUSED)
def test_a_client_without_rights_is_told(guarded: Server, case: str, chunked: bool) -> None:
    method, target, status = REFUSED[case]
    with Watch(guarded):
        push(guarded, method, target, chunked=chunked).expect(status)


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("case", OPEN_REFUSED)
def test_a_refusal_is_seen(open_server: Server, case: str, chunked: bool) -> None:
    method, target, status = OPEN_REFUSED[case]
    target, fields = target_of(open_server, target)
    if chunked:
        fields = dict.fromkeys(fields, "5-9")
    with Watch(open_server):
        answer = push(open_server, method, target, chunked=chunked, fields=fields).expect(status)
        assert answer.codes


@pytest.mark.parametrize("case", OPEN_REFUSED)
def test_a_refusal_is_seen_by_clients_that_do_not_read_meanwhile(open_server: Server, case: str) -> None:
    method, target, status = OPEN_REFUSED[case]
    if case == "416":
        return  # `request` sends no Content-Range
    push_then_read(open_server, method, target).expect(status)


@pytest.mark.parametrize("case", OPEN_REFUSED)
def test_who_asks_first_sends_nothing(open_server: Server, case: str) -> None:
    """Expect: 100-continue: the refusal comes instead of the invitation."""
    method, target, status = OPEN_REFUSED[case]
    target, fields = target_of(open_server, target)
    with Watch(open_server), Connection(open_server) as connection:
        connection.send_head(method, target, {"Content-Length": str(SIZE), "Expect": "100-continue", **fields})
        connection.socket.settimeout(5)
        line = b""
        while not line.endswith(b"\n"):
            line += connection.socket.recv(1)
    assert line.startswith(b"HTTP/1.1 %d " % status)


def test_who_asks_first_is_invited_where_the_body_is_wanted(open_server: Server) -> None:
    body = b"x" * 1000
    with Watch(open_server), Connection(open_server) as connection:
        fields = {"Content-Length": str(len(body)), "Expect": "100-continue"}
        connection.send_head("POST", f"/v2/a/b/blobs/uploads/?digest={digest(body)}", fields)
        line = b""
        while not line.endswith(b"\r\n\r\n"):
            line += connection.socket.recv(1)
        assert line.startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        connection.receive("POST").expect(201)


@pytest.mark.parametrize("expect", [True, False], ids=["expect", "no-expect"])
@pytest.mark.parametrize(("form", "status"), [("guarded", "401"), ("open", "404")])
def test_curl_sees_the_answer(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    guarded: Server,
    start_server: Callable[..., Server],
    form: str,
    status: str,
    expect: bool,
) -> None:
    server = guarded if form == "guarded" else start_server(server_engine=guarded.settings["server.engine"])
    body = tmp_path / "body"
    with body.open("wb") as file:
        file.truncate(SIZE)
    curl = shutil.which("curl")
    assert curl
    command = [
        curl,
        "-sS",
        "-o",
        str(tmp_path / "answer"),
        "-w",
        "%{http_code}",
        "-X",
        "PATCH",
        "--data-binary",
        f"@{body}",
    ]
    command += [] if expect else ["-H", "Expect:"]
    target = f"{server.url}/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000"
    done = subprocess.run([*command, target], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == status, done.stderr
    assert '"errors"' in (tmp_path / "answer").read_text()


def test_many_refused_uploads_at_once(guarded: Server) -> None:
    """What is read of them is dropped: memory does not grow with it."""
    statuses: list[int] = []

    def refuse() -> None:
        statuses.append(push(guarded, "PATCH", "/v2/a/b/blobs/uploads/00000000-0000-4000-8000-000000000000").status)

    with Watch(guarded, 96 * MIB):
        pushing = [threading.Thread(target=refuse) for _ in range(20)]
        for thread in pushing:
            thread.start()
        for thread in pushing:
            thread.join()
    assert statuses == [401] * 20
