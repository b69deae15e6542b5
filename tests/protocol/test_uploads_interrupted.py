"""Uploads whose requests are cut off, lie about their length, are refused early, or come at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from harness.content import digest
from harness.http import Response
from harness.nodes import Nodes
from harness.repository import Repository, pieces, with_query
from harness.server import Server
from protocol.test_uploads import UPLOAD, chunk, close, post_put


def cut(repository: Repository, method: str, target: str, *, streamed: bool) -> None:
    """Begin a request with a body of 100,000 bytes and hang up after half of it."""
    framing = {"Transfer-Encoding": "chunked"} if streamed else {"Content-Length": "100000"}
    with repository.client.connect() as connection:
        connection.send_head(method, target, framing)
        connection.send(b"c350\r\n" + b"z" * 50_000 + b"\r\n" if streamed else b"z" * 50_000)


@pytest.mark.parametrize("streamed", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("before", [b"", b"abcde"], ids=["empty", "begun"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_cut_request_is_rolled_back(repository: Repository, method: str, before: bytes, streamed: bool) -> None:
    """U10: the upload stands where it stood before the request, so a client that sends it all again succeeds."""
    blob = before + b"0123456789" * 10_000
    upload = repository.client.patch(repository.open_upload(), body=before).expect(202).headers["Location"]
    target = with_query(upload, f"digest={digest(blob)}")
    cut(repository, method, target if method == "PUT" else upload, streamed=streamed)
    if method == "PATCH":
        patched = repository.client.patch(upload, body=blob[len(before) :]).expect(202)
        assert patched.headers["Range"] == f"0-{len(blob) - 1}"
        close(repository, patched.headers["Location"], digest(blob)).expect(201)
    else:
        repository.client.put(target, body=blob[len(before) :]).expect(201)
    assert repository.get(f"blobs/{digest(blob)}").expect(200).body == blob


def test_cut_post_leaves_nothing(repository: Repository) -> None:
    target = repository.url(f"blobs/uploads/?digest={digest(b'z' * 50_000)}")
    cut(repository, "POST", target, streamed=False)
    repository.head(f"blobs/{digest(b'z' * 50_000)}").expect(404)
    repository.client.post(target, body=b"z" * 50_000).expect(201)


def test_body_longer_than_announced(repository: Repository) -> None:
    """What exceeds the length is never part of the chunk; the connection is of no use any more."""
    upload = repository.open_upload()
    with repository.client.connect() as connection:
        connection.send_head("PATCH", upload, {"Content-Length": "5"})
        connection.send(b"abcdefgh\r\n\r\n")
        answer = connection.receive("PATCH").expect(202, 400)
        assert connection.read_to_end().partition(b"\r\n")[0] in {b"", b"HTTP/1.1 400 Bad Request"}
    if answer.status == 202:
        assert answer.headers["Range"] == "0-4"
    else:  # the announced chunk was kept or not, according to which of the two the server noticed first
        chunk(repository, upload, 0, b"abcde").expect(202, 416)
    close(repository, upload, digest(b"abcde")).expect(201)


def test_expect_continue(repository: Repository) -> None:
    """curl asks before it sends a large body."""
    upload = repository.open_upload()
    with repository.client.connect() as connection:
        connection.send_head("PATCH", upload, {"Content-Length": "5", "Expect": "100-continue"})
        assert connection.read(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"abcde")
        assert connection.receive("PATCH").expect(202).headers["Range"] == "0-4"


def both(*calls: Callable[[], Response]) -> list[Response]:
    """Make calls at the same time."""
    ready = threading.Barrier(len(calls))

    def call(one: Callable[[], Response]) -> Response:
        ready.wait(10)
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_two_chunks_at_the_same_time(repository: Repository) -> None:
    """U11: one after the other; the second one no longer fits."""
    first, second = b"a" * 300_000, b"b" * 300_000
    upload = repository.open_upload()
    answers = both(lambda: chunk(repository, upload, 0, first), lambda: chunk(repository, upload, 0, second))
    assert sorted(answer.status for answer in answers) == [202, 416]
    kept = first if answers[0].status == 202 else second
    close(repository, upload, digest(kept)).expect(201)


def test_two_streams_at_the_same_time(repository: Repository, registry: Server) -> None:
    """U11: one after the other, neither is lost or mixed with the other.

    Nothing in an object store makes one node wait for another: there the second one is told that the upload has gone on meanwhile.
    """
    first, second = b"a" * 300_000, b"b" * 300_000
    upload = repository.open_upload()
    answers = both(
        lambda: repository.client.patch(upload, body=first), lambda: repository.client.patch(upload, body=second)
    )
    if isinstance(registry, Nodes) and {answer.status for answer in answers} == {202, 416}:
        assert [answer.headers["Range"] for answer in answers] == ["0-299999"] * 2
        whole = first if answers[0].status == 202 else second
    else:
        ranges = [answer.expect(202).headers["Range"] for answer in answers]
        assert sorted(ranges) == ["0-299999", "0-599999"]
        whole = first + second if ranges[0] == "0-299999" else second + first
    close(repository, upload, digest(whole)).expect(201)


def test_same_blob_pushed_by_many_at_once(repository: Repository, other: Repository) -> None:
    """Nobody fails because another was faster."""
    blob = repository.blob(100_000)
    targets = [repository, other] * 4
    answers = both(*(lambda target=target: post_put(target, blob, blob.digest) for target in targets))
    assert {answer.status for answer in answers} == {201}
    for target in (repository, other):
        assert target.get(f"blobs/{blob.digest}").expect(200).body == blob.body


def test_closes_at_the_same_time(repository: Repository) -> None:
    """U11, U12: whichever comes first, each is told of the blob, and so is one that comes later."""
    for _ in range(10):
        blob = repository.blob(100_000)
        upload = repository.client.patch(repository.open_upload(), body=blob.body).expect(202).headers["Location"]
        for answer in both(*[partial(close, repository, upload, blob.digest)] * 3):
            answer.expect(201)
        close(repository, upload, blob.digest).expect(201)
        assert repository.get(f"blobs/{blob.digest}").expect(200).body == blob.body


def test_each_step_over_the_same_connection(repository: Repository) -> None:
    """A kept connection carries a whole push."""
    blob = repository.blob(10_000)
    with repository.client.connect() as connection:
        opened = connection.request("POST", repository.url("blobs/uploads/")).expect(202)
        patched = connection.request("PATCH", opened.headers["Location"], body=pieces(blob.body, 999)).expect(202)
        target = with_query(patched.headers["Location"], f"digest={blob.digest}")
        connection.request("PUT", target).expect(201)
        assert connection.request("GET", repository.url(f"blobs/{blob.digest}")).expect(200).body == blob.body


def test_early_refusal_of_a_large_body_reaches_the_client(repository: Repository) -> None:
    """G15: a client that sends before it listens reads the answer, not a reset."""
    large = b"x" * (4 * 2**20)
    repository.client.patch(repository.url(f"blobs/uploads/{UPLOAD}"), body=large).expect(404)
    upload = repository.open_upload()
    repository.client.patch(upload, {"Content-Range": f"7-{6 + len(large)}"}, large).expect(416)
    repository.client.put(with_query(upload, "digest=sha256:bad"), body=pieces(large, 65536)).expect(400)
    repository.client.post("/v2/INVALID/blobs/uploads/", body=large).expect(400)
    repository.client.put("/v2/a/unknown/path", body=large).expect(404)
