"""Requests whose end can be read in two ways: a proxy in front and this server must never differ on where the next one begins."""

import pytest

from baddays.raw import Outcome, exchange
from baddays.watch import Watch
from harness.http import Client
from harness.repository import Repository
from harness.server import Server

SMUGGLED = b"GET /v2/_catalog?smuggled HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = b"2\r\n{}\r\n0\r\n\r\n"


def patch(upload: str, *fields: bytes) -> bytes:
    return b"\r\n".join([f"PATCH {upload} HTTP/1.1".encode(), b"Host: x", *fields, b"", b""])


def both(length: bytes, coding: bytes) -> list[bytes]:
    return [b"Content-Length: " + length, b"Transfer-Encoding: " + coding]


REFUSED = {
    "two differing lengths": ([b"Content-Length: 2", b"Content-Length: 60"], b"{}"),
    "two differing lengths, longer first": ([b"Content-Length: 60", b"Content-Length: 2"], b"{}"),
    "a list of differing lengths": ([b"Content-Length: 2, 60"], b"{}"),
    "length with a sign": ([b"Content-Length: +2"], b"{}"),
    "length with a space inside": ([b"Content-Length: 2 0"], b"{}"),
    "length and chunked": (both(b"2", b"chunked"), CHUNKED),
    "chunked and length": (both(b"2", b"chunked")[::-1], CHUNKED),
    "length 0 and chunked": (both(b"0", b"chunked"), CHUNKED),
    "length and identity": (both(b"2", b"identity"), b"{}"),
    "chunked is not last": ([b"Transfer-Encoding: chunked, identity"], CHUNKED),
    "chunked with an unknown last": ([b"Transfer-Encoding: chunked, x"], CHUNKED),
    "unknown coding": ([b"Transfer-Encoding: xchunked"], CHUNKED),
    "misspelt coding and length": (both(b"2", b"xchunked"), b"{}"),
    "quoted coding": ([b'Transfer-Encoding: "chunked"'], CHUNKED),
    "coding with a control character": ([b"Transfer-Encoding: \x0bchunked"], CHUNKED),
    "space before the colon": ([b"Transfer-Encoding : chunked"], CHUNKED),
    "space before the colon of the length": ([b"Content-Length : 2"], b"{}"),
    "tab before the colon": ([b"Content-Length\t: 2"], b"{}"),
    "folded coding": ([b"Transfer-Encoding:\r\n chunked"], CHUNKED),
    "folded value": ([b"X: a\r\n b", b"Content-Length: 2"], b"{}"),
    "space before the first field": ([b" Content-Length: 2"], b"{}"),
    "field without colon": ([b"Content-Length", b"X: y"], b"{}"),
    "control character in a name": ([b"Content-Len\x00gth: 2"], b"{}"),
    "control character in a value": ([b"X: a\x00b", b"Content-Length: 2"], b"{}"),
    "return in a value": ([b"X: a\rContent-Length: 2"], b"{}"),
    "chunk size with a sign": ([b"Transfer-Encoding: chunked"], b"+2\r\n{}\r\n0\r\n\r\n"),
    "chunk size with 0x": ([b"Transfer-Encoding: chunked"], b"0x2\r\n{}\r\n0\r\n\r\n"),
    "chunk size negative": ([b"Transfer-Encoding: chunked"], b"-2\r\n{}\r\n0\r\n\r\n"),
    "chunk size no number": ([b"Transfer-Encoding: chunked"], b"two\r\n{}\r\n0\r\n\r\n"),
    "chunk size empty": ([b"Transfer-Encoding: chunked"], b"\r\n{}\r\n0\r\n\r\n"),
    "chunk size too large": ([b"Transfer-Encoding: chunked"], b"ffffffffffffffff2\r\n{}\r\n0\r\n\r\n"),
    "chunk size wraps": ([b"Transfer-Encoding: chunked"], b"10000000000000002\r\n{}\r\n0\r\n\r\n"),
    "chunk longer than its size": ([b"Transfer-Encoding: chunked"], b"1\r\n{}\r\n0\r\n\r\n"),
    "chunk ended by a line feed alone": ([b"Transfer-Encoding: chunked"], b"2\r\n{}\n0\r\n\r\n"),
}
"""What must never be followed by an answer to a second request: header fields, and a body."""

ALLOWED = {
    "equal lengths": ([b"Content-Length: 2", b"Content-Length: 2"], b"{}"),
    "coding in capitals": ([b"Transfer-Encoding: CHUNKED"], CHUNKED),
    "chunk size with zeros": ([b"Transfer-Encoding: chunked"], b"0002\r\n{}\r\n000\r\n\r\n"),
    "chunk extension": ([b"Transfer-Encoding: chunked"], b'2;a="b"\r\n{}\r\n0\r\n\r\n'),
    "long chunk extension": ([b"Transfer-Encoding: chunked"], b"2;" + b"a" * 100_000 + b"\r\n{}\r\n0\r\n\r\n"),
    "trailer": ([b"Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\nX-Trailer: x\r\n\r\n"),
    "trailer that is a length": ([b"Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\nContent-Length: 60\r\n\r\n"),
}
"""What has one meaning, though it may be refused: if it is accepted, the next request begins right after it."""


def smuggled(outcome: Outcome) -> bool:
    """Whether the server has answered the request inside the body."""
    return b'"repositories"' in outcome.octets


@pytest.mark.parametrize("form", REFUSED)
def test_an_ambiguous_request_is_never_two(server: Server, client: Client, form: str) -> None:
    fields, body = REFUSED[form]
    upload = Repository(client, "smuggled/request").open_upload()
    with Watch(server):
        outcome = exchange(server, patch(upload, *fields) + body + SMUGGLED, wait=3)
    assert not smuggled(outcome), outcome
    assert len(outcome.statuses) <= 1, outcome
    assert outcome.closed


@pytest.mark.parametrize("form", ALLOWED)
def test_odd_but_clear_requests_keep_their_bounds(server: Server, client: Client, form: str) -> None:
    fields, body = ALLOWED[form]
    upload = Repository(client, "smuggled/clear").open_upload()
    outcome = exchange(server, patch(upload, *fields) + body + SMUGGLED, wait=1)
    size = client.get(upload).expect(204).headers["Range"]
    if outcome.statuses[0] == 202:
        assert outcome.statuses == [202, 200]
        assert smuggled(outcome)
        assert size == "0-1"
    else:
        assert outcome.statuses == [400]
        assert outcome.closed
        assert size == "0-0"


@pytest.mark.parametrize("ending", [b"\n", b"\r"], ids=["LF", "CR"])
def test_lines_that_end_oddly_are_one_request_or_none(server: Server, ending: bytes) -> None:
    head = ending.join([b"GET /v2/ HTTP/1.1", b"Host: x", b"", b""])
    outcome = exchange(server, head, wait=3)
    assert outcome.statuses in ([200], [400], [])


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v2/",
        b"GET /v2/ HTTP/0.9",
        b"GET /v2/ HTTP/2.0",
        b"GET /v2/ HTTP/1.1 extra",
        b"GET  /v2/  HTTP/1.1",
        b"GET\t/v2/\tHTTP/1.1",
        b"GET /v2/ _HTTP/1.1",
        b"GET /v2/\x00 HTTP/1.1",
        b"GET /v2/ space HTTP/1.1",
        b"GET /v2/\xff HTTP/1.1",
        b"GET /v2/#fragment HTTP/1.1",
        b"GET v2/ HTTP/1.1",
        b"GET * HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"GET http://elsewhere/v2/ HTTP/1.1",
        b"GET http://[::1/v2/ HTTP/1.1",
        b"CONNECT elsewhere:443 HTTP/1.1",
        b"G\x00T /v2/ HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
        b"SSH-2.0-OpenSSH_9.2p1",
    ],
    ids=lambda line: repr(line[:30]),
)
def test_odd_request_lines_are_at_most_one_request(server: Server, line: bytes) -> None:
    with Watch(server):
        outcome = exchange(server, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n", wait=3)
    assert len(outcome.statuses) <= 1, outcome
    assert outcome.closed
    assert not outcome.statuses or outcome.statuses[0] in {200, 301, 400, 404, 405, 501, 505}, outcome


def test_pipelined_requests_are_answered_in_order(server: Server, client: Client) -> None:
    upload = Repository(client, "smuggled/pipeline").open_upload()
    requests = [
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
        patch(upload, b"Content-Length: 2") + b"{}",
        patch(upload, b"Transfer-Encoding: chunked") + CHUNKED,
        b"GET /v2/none/tags/list HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HEAD /v2/warm/up/manifests/latest HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ]
    outcome = exchange(server, b"".join(requests), wait=5)
    assert outcome.statuses == [200, 202, 202, 404, 200, 200]
    assert outcome.closed
    assert client.get(upload).expect(204).headers["Range"] == "0-3"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/", 200),
        ("DELETE", "/v2/none/manifests/latest", 404),
        ("OPTIONS", "/v2/", 200),
        ("TRACE", "/v2/", 405),
    ],
)
def test_a_body_that_nobody_wants_is_not_the_next_request(server: Server, method: str, path: str, status: int) -> None:
    """Its bytes are skipped, or the connection ends."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n".encode()
    end = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with_next = exchange(server, head + SMUGGLED + end, wait=3)
    assert not smuggled(with_next)
    assert with_next.statuses in ([status, 200], [status], [400])
    assert with_next.closed or len(with_next.statuses) == 2
