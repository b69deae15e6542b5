"""Heads of requests that are too long, too many, too slow or not in the expected letters."""

import time
from contextlib import suppress

import pytest

from baddays.raw import exchange, read_all
from baddays.watch import Watch
from harness.http import Client, Connection
from harness.server import Server
from serving.processes import MIB


def send(server: Server, *lines: bytes, target: bytes = b"/v2/", wait: float = 5) -> list[int]:
    """A GET with these header lines: the statuses of all that comes back."""
    head = b"\r\n".join([b"GET " + target + b" HTTP/1.1", b"Host: x", b"Connection: close", *lines, b"", b""])
    outcome = exchange(server, head, wait=wait)
    assert outcome.closed
    return outcome.statuses


@pytest.mark.parametrize("size", [4096, 16 * 1024, 32 * 1024])
def test_long_headers_are_fine(server: Server, size: int) -> None:
    """Tokens and cookies can be long."""
    assert send(server, b"X-Long: " + b"a" * size) == [200]


@pytest.mark.parametrize("size", [MIB, 16 * MIB], ids=["1M", "16M"])
@pytest.mark.parametrize("where", ["value", "name", "many", "target"])
def test_huge_heads_are_refused(server: Server, size: int, where: str) -> None:
    """Without ever holding all of it."""
    with Watch(server, 8 * MIB):
        if where == "target":
            statuses = send(server, target=b"/v2/" + b"a" * size)
        elif where == "many":
            statuses = send(server, *[b"X-%d: %b" % (number, b"a" * 1000) for number in range(size // 1000)])
        else:
            statuses = send(server, b"X: " + b"a" * size if where == "value" else b"a" * size + b": x")
    assert statuses in ([431], [414], [400]) if where != "value" else statuses == [431]


def test_a_long_target_is_refused(server: Server) -> None:
    assert send(server, target=b"/v2/?n=" + b"1" * 100_000) == [414]


def test_many_headers_are_refused(server: Server) -> None:
    assert send(server, *[b"X-%d: 1" % number for number in range(50)]) == [200]
    assert send(server, *[b"X-%d: 1" % number for number in range(200)]) == [431]
    assert send(server, *[b"X: 1" for _ in range(10_000)]) == [431]


@pytest.mark.parametrize(
    "line",
    [
        b"User-Agent: \xff\xfe\x80",
        b"Authorization: \xff\xfe",
        b"Authorization: Basic \xc3\xa4",
        b"Authorization: Basic " + b"A" * 30_000,
        b"Range: bytes=\xff-",
        b"Range: bytes=" + b"0-1," * 5000,
        b"If-None-Match: \xff",
        b"Accept: " + b"a/b," * 5000,
        b"Content-Type: \xff",
        b"Host: \xff",
        b"Host: a" * 1000,
        b"Expect: something",
        b"Upgrade: websocket\r\nConnection: Upgrade",
        b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        b"X-Forwarded-For: \xff, 1.2.3.4",
        b"Empty:",
        b"Cookie: " + b"a=b; " * 3000,
    ],
    ids=lambda line: line[:24].decode("latin-1").strip().encode("unicode_escape").decode(),
)
def test_odd_values_do_no_harm(server: Server, line: bytes) -> None:
    with Watch(server):
        statuses = send(server, line, target=b"/v2/warm/up/manifests/latest")
    assert statuses in ([200], [206], [400], [401], [416], [417])


def test_content_types_that_are_no_text(server: Server, client: Client) -> None:
    for value in ("\xff\xfe", "a" * 20_000, "/", "a/" + "b" * 128, "", " "):
        answer = client.put("/v2/odd/type/manifests/latest", {"Content-Type": value}, b"{}")
        answer.expect(400, code="MANIFEST_INVALID")


def test_content_ranges_that_are_none(server: Server, client: Client) -> None:
    upload = client.post("/v2/odd/range/blobs/uploads/").expect(202).headers["Location"]
    for value in (
        "\xff-\xfe",
        "0-" + "9" * 5000,
        "9" * 5000 + "-0",
        "-",
        "a-b",
        "1-0",
        "٠-١".encode().decode("latin-1"),
    ):
        answer = client.patch(upload, {"Content-Range": value}, b"x")
        assert answer.status in {400, 416}, answer
        assert answer.codes == ["BLOB_UPLOAD_INVALID"]
    client.get(upload).expect(204)


BEGINNINGS = (b"", b"GET", b"GET /v2/ HTTP/1.1\r\n", b"GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Slow: 1\r\n")


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_head_that_never_ends_is_given_up(server: Server, used: bool) -> None:
    """Slow loris: a head has 30 seconds altogether, or less where bodies have less. So has an idle connection."""
    with Watch(server):
        connections = [Connection(server) for _ in range(40)]
        began = time.monotonic()
        try:
            for connection, beginning in zip(connections, BEGINNINGS * 10, strict=True):
                if used:
                    connection.request("GET", "/v2/").expect(200)
                connection.send(beginning)
            for connection in connections:
                outcome = read_all(connection, 10)
                assert outcome.closed
                assert [status for status in outcome.statuses if status != 408] == []
        finally:
            for connection in connections:
                connection.close()
        assert time.monotonic() - began < 5


def test_a_head_byte_by_byte_is_given_up_too(server: Server) -> None:
    with Connection(server) as connection:
        connection.send(b"GET /v2/ HTTP/1.1\r\nX: ")
        began = time.monotonic()
        closed = False
        while not closed and time.monotonic() - began < 10:
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.send(b"a")
            closed = read_all(connection, 0.2).closed
        assert closed
        assert time.monotonic() - began < 5


def test_500_idle_connections_cost_little(server: Server, client: Client) -> None:
    with Watch(server, 48 * MIB) as watch:
        connections = [Connection(server) for _ in range(500)]
        try:
            for connection in connections:
                connection.request("GET", "/v2/").expect(200)
            for connection in connections[::50]:
                connection.request("GET", "/v2/warm/up/manifests/latest").expect(200)
            client.get("/v2/").expect(200)
        finally:
            for connection in connections:
                connection.close()
        assert watch.growth() < 48 * MIB
