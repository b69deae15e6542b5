"""Clients that stop in the middle and stay. The servers of these tests have 2 seconds of patience."""

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from baddays.watch import Watch
from harness.content import Content, blob
from harness.http import Client, Connection
from harness.repository import Repository, with_query
from harness.server import Server, wait_until
from serving.processes import MIB

PATIENCE = 2.0
CROWD = 50


@pytest.fixture
def large(client: Client) -> Content:
    """A blob that is larger than what the buffers of a connection hold."""
    content = blob("stalled large", 24 * MIB)
    repository = Repository(client, "stalled/large")
    if repository.head(f"blobs/{content.digest}").status == 404:
        repository.push_blob(content)
    return content


def stalled_upload(server: Server, upload: str, chunked: bool, size: int = MIB) -> Connection:
    """A PATCH that sends some bytes and then nothing."""
    connection = Connection(server)
    fields = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(8 * MIB)}
    connection.send_head("PATCH", upload, fields)
    connection.send((b"%x\r\n" % (8 * MIB) if chunked else b"") + bytes(size))
    return connection


def stalled_download(server: Server, target: str) -> Connection:
    """A GET whose answer is not read."""
    connection = Connection(server)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 * 1024)
    connection.send_head("GET", target)
    assert connection.receive_head().status == 200
    return connection


def test_a_stalled_upload_is_given_up(server: Server, client: Client) -> None:
    forms = [(chunked, size) for chunked in (False, True) for size in (0, 1, MIB)]
    with Watch(server), ExitStack() as stack:
        began = time.monotonic()
        stalled = []
        for chunked, size in forms:
            upload = Repository(client, "stalled/upload").open_upload()
            stalled.append((upload, stack.enter_context(stalled_upload(server, upload, chunked, size))))
        for upload, connection in stalled:
            answer = connection.receive("PATCH", upload).expect(408)
            assert answer.codes == ["UNKNOWN"]
            assert answer.headers["Connection"] == "close"
            assert connection.read_to_end() == b""
        assert PATIENCE * 0.8 < time.monotonic() - began < PATIENCE * 3
    for upload, _ in stalled:
        assert client.get(upload).expect(204).headers["Range"] == "0-0"
        client.patch(upload, body=b"again").expect(202)


@pytest.mark.parametrize("target", ["manifests/stalled", "blobs/uploads/?digest=sha256:" + "0" * 64])
def test_other_stalled_bodies_are_given_up(server: Server, client: Client, target: str) -> None:
    with Watch(server) as watch, Connection(server) as connection:
        method = "PUT" if target.startswith("manifests") else "POST"
        connection.send_head(method, f"/v2/stalled/other/{target}", {"Content-Length": "1000"})
        connection.send(bytes(10))
        connection.receive(method).expect(408)
        wait_until(lambda: not watch.new_uploads(), "the upload's directory to disappear")
    client.get("/v2/stalled/other/tags/list").expect(404)


def test_a_slow_upload_is_not_a_stalled_one(server: Server, client: Client) -> None:
    """Time counts from byte to byte."""
    upload = Repository(client, "slow/but-alive").open_upload()
    with Connection(server) as connection:
        connection.send_head("PATCH", upload, {"Content-Length": "8"})
        for _ in range(8):
            time.sleep(PATIENCE / 4)  # the slowness is what is tested
            connection.send(b"x")
        connection.receive("PATCH", upload).expect(202)
    assert client.get(upload).expect(204).headers["Range"] == "0-7"


def test_many_stalled_uploads(server: Server, client: Client) -> None:
    repository = Repository(client, "stalled/uploads")
    uploads = [repository.open_upload() for _ in range(CROWD)]
    with Watch(server, 96 * MIB):
        stalled = [stalled_upload(server, upload, chunked=False) for upload in uploads]
        try:
            content = repository.push_blob(repository.blob(MIB))  # others go on
            assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
            for connection, upload in zip(stalled, uploads, strict=True):
                connection.receive("PATCH", upload).expect(408)
        finally:
            for connection in stalled:
                connection.close()
    assert client.get(uploads[0]).expect(204).headers["Range"] == "0-0"
    for upload in uploads:
        client.delete(upload).expect(204)


def test_a_stalled_download_is_given_up(server: Server, client: Client, large: Content) -> None:
    with Watch(server), stalled_download(server, f"/v2/stalled/large/blobs/{large.digest}") as connection:
        time.sleep(PATIENCE * 2)  # nothing happens on this side, that is the point
        received = len(connection.read_to_end())
        assert received < large.size


def test_many_stalled_downloads(server: Server, client: Client, large: Content) -> None:
    """Memory does not follow the number of bytes that nobody takes, and everybody else is served."""
    target = f"/v2/stalled/large/blobs/{large.digest}"
    with Watch(server, 200 * MIB) as watch:
        stalled = [stalled_download(server, target) for _ in range(CROWD)]
        try:
            for _ in range(3):
                assert client.get(target).expect(200).body == large.body
            repository = Repository(client, "stalled/beside")
            repository.push_blob(repository.blob(MIB))
            assert watch.growth() < 200 * MIB
        finally:
            for connection in stalled:
                connection.close()


def test_a_stalled_request_does_not_hold_an_upload_for_ever(server: Server, client: Client) -> None:
    """U11: a second request on the same upload waits for the first one, and is served when that is given up."""
    repository = Repository(client, "stalled/held")
    upload = repository.open_upload()
    content = repository.blob(1000)
    with Watch(server), stalled_upload(server, upload, chunked=False):
        answered: list[int] = []
        second = threading.Thread(
            target=lambda: answered.append(
                Client(server, timeout=30).put(with_query(upload, f"digest={content.digest}"), body=content.body).status
            )
        )
        second.start()
        second.join()
    assert answered == [201]
    assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
