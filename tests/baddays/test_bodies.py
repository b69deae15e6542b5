"""Bodies that are not what was announced, and clients that vanish."""

import socket
import threading
from collections.abc import Callable

import pytest

from baddays.raw import exchange, read_all
from baddays.watch import Watch, upload_directories
from harness.content import blob, digest
from harness.http import Client, Connection
from harness.repository import Repository, with_query
from harness.server import Server, wait_until
from serving.processes import MIB

Head = Callable[[Repository, str], tuple[str, str]]


def patch(repository: Repository, wanted: str) -> tuple[str, str]:
    """A chunk on an upload that has 1000 bytes."""
    upload = repository.open_upload()
    upload = repository.client.patch(upload, body=bytes(1000)).expect(202).headers["Location"]
    return "PATCH", upload


def put(repository: Repository, wanted: str) -> tuple[str, str]:
    return "PUT", with_query(repository.open_upload(), f"digest={wanted}")


def post(repository: Repository, wanted: str) -> tuple[str, str]:
    return "POST", repository.url(f"blobs/uploads/?digest={wanted}")


def manifest(repository: Repository, wanted: str) -> tuple[str, str]:
    return "PUT", repository.url("manifests/cut")


def size_of(client: Client, target: str) -> int:
    """The bytes that an upload has."""
    last = client.get(target.partition("?")[0]).expect(204).headers["Range"].partition("-")[2]
    return int(last) + 1 if last != "0" else 0


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("head", [patch, put, post, manifest])
@pytest.mark.parametrize("received", [0, 10, 3 * MIB], ids=["nothing", "little", "much"])
def test_a_client_that_vanishes_leaves_nothing(
    server: Server, client: Client, head: Head, chunked: bool, received: int
) -> None:
    """U10: a request that was cut counts for nothing, and can be sent again."""
    name = f"vanish/{head.__name__}-{chunked:d}-{received}"
    content = blob(name, 4 * MIB)
    method, target = head(Repository(client, name), content.digest)
    before = size_of(client, target) if "/uploads/" in target and method != "POST" else 0
    with Watch(server) as watch:
        fields = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(content.size)}
        with Connection(server) as connection:
            connection.send_head(method, target, fields)
            if chunked and received:
                connection.send(b"%x\r\n" % content.size)
            connection.send(content.body[:received])
    if method == "PATCH" or head is put:
        assert size_of(client, target) == before
    else:
        wait_until(lambda: not watch.new_uploads(), "the upload's directory to disappear")
        assert client.get(f"/v2/{name}/tags/list").status == 404
    assert client.get(f"/v2/{name}/blobs/{content.digest}").status == 404


def test_a_cut_chunk_can_be_sent_again(server: Server, client: Client) -> None:
    repository = Repository(client, "cut/again")
    content = blob("cut again", 4 * MIB)
    upload = repository.open_upload()
    for start in range(0, content.size, MIB):
        with Connection(server) as connection:  # the first try is cut
            connection.send_head("PATCH", upload, {"Content-Length": str(MIB)})
            connection.send(content.body[start : start + MIB // 2])
        headers = {"Content-Range": f"{start}-{start + MIB - 1}"}
        client.patch(upload, headers, content.body[start : start + MIB]).expect(202)
    client.put(with_query(upload, f"digest={content.digest}")).expect(201)
    assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body


@pytest.mark.parametrize("head", [patch, put, post, manifest])
def test_a_longer_body_than_announced_is_another_request(server: Server, client: Client, head: Head) -> None:
    """What follows the announced bytes is not part of the body; it is no request either, so it is refused."""
    name = f"longer/{head.__name__}"
    body = b"{}"
    method, target = head(Repository(client, name), digest(body))
    with Watch(server):
        request = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n".encode()
        outcome = exchange(server, request + body + b"garbage without any end of line\r\n\r\n")
    statuses: dict[Head, int] = {patch: 202, put: 201, post: 201, manifest: 400}
    wanted = statuses[head]
    assert outcome.statuses in ([wanted], [wanted, 400], [400])
    assert outcome.closed
    if outcome.statuses == [400]:
        return
    if head is patch:
        assert size_of(client, target) == 1002
    elif head is not manifest:
        assert client.get(f"/v2/{name}/blobs/{digest(body)}").expect(200).body == body


@pytest.mark.parametrize(
    "length",
    ["-1", "+2", "0x2", "2 2", "2,3", "1e3", "٢", "9" * 30, "18446744073709551616", "", "two"],
    ids=lambda length: f"<{length[:20]}>",
)
def test_lengths_that_are_no_numbers_are_refused(server: Server, client: Client, length: str) -> None:
    upload = Repository(client, "length/odd").open_upload()
    with Watch(server):
        head = f"PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
        outcome = exchange(server, head + b"{}", hang_up=True)
    assert [status for status in outcome.statuses if status != 400] == []
    assert outcome.closed
    assert size_of(client, upload) == 0


def test_a_length_that_no_disk_holds_is_refused_at_once(server: Server, client: Client) -> None:
    upload = Repository(client, "length/huge").open_upload()
    with Watch(server), Connection(server, timeout=5) as connection:
        connection.send_head("PATCH", upload, {"Content-Length": str(10**17)})
        connection.receive("PATCH", upload).expect(507, code="DENIED")


def test_many_clients_that_vanish_at_once(server: Server, client: Client) -> None:
    name = "vanish/many"
    content = blob(name, 2 * MIB)
    target = Repository(client, name).url(f"blobs/uploads/?digest={content.digest}")

    def vanish() -> None:
        with Connection(server) as connection:
            connection.send_head("POST", target, {"Content-Length": str(content.size)})
            connection.send(content.body[:MIB])

    with Watch(server, 96 * MIB) as watch:
        for _ in range(3):
            clients = [threading.Thread(target=vanish) for _ in range(20)]
            for thread in clients:
                thread.start()
            for thread in clients:
                thread.join()
        wait_until(lambda: not watch.new_uploads(), "the uploads' directories to disappear", 20)
    Repository(client, name).push_blob(content)


def test_clients_that_vanish_in_mid_download(server: Server, client: Client) -> None:
    """B3: containerd hangs up as soon as it has its part."""
    repository = Repository(client, "vanish/download")
    content = repository.push_blob(blob("vanish download", 8 * MIB))
    with Watch(server, 96 * MIB):
        for _ in range(30):
            with Connection(server) as connection:
                connection.send_head("GET", repository.url(f"blobs/{content.digest}"))
                assert connection.receive_head().status == 200
                connection.read(1000)


def test_a_half_closed_connection_is_a_client_that_waits(server: Server, client: Client) -> None:
    """A client may close its side after the request, and read."""
    with Watch(server), Connection(server) as connection:
        connection.send_head("GET", "/v2/warm/up/manifests/latest")
        connection.socket.shutdown(socket.SHUT_WR)
        outcome = read_all(connection, 3)
    assert outcome.statuses in ([200], [])  # not a wrong answer; engines may take it for a hang-up
    assert outcome.closed


def test_cancelling_while_a_chunk_arrives(server: Server, client: Client) -> None:
    """The chunk is refused, and neither bytes nor directory stay."""
    repository = Repository(client, "cancel/running")
    with Watch(server), Connection(server) as connection:
        upload = repository.open_upload()
        connection.send_head("PATCH", upload, {"Content-Length": str(2 * MIB)})
        connection.send(bytes(MIB))
        wait_until(lambda: bool(upload_directories(server)), "the chunk's first bytes")
        client.delete(upload).expect(204)
        client.get(upload).expect(404, code="BLOB_UPLOAD_UNKNOWN")
        connection.send(bytes(MIB))
        connection.receive("PATCH", upload).expect(404, code="BLOB_UPLOAD_UNKNOWN")
    wait_until(
        lambda: not any(str(path).endswith(upload.rpartition("/")[2]) for path in upload_directories(server)),
        "the directory to disappear",
    )


def test_many_requests_on_one_upload(server: Server, client: Client) -> None:
    """U11: they take turns; what is answered with 202 is there, the rest is refused, and the upload can be closed."""
    repository = Repository(client, "crowd/upload")
    upload = repository.open_upload()
    chunk = blob("chunk", 100_000).body
    statuses: list[int] = []

    def send() -> None:
        statuses.append(Client(server, timeout=60).patch(upload, {"Content-Range": "0-99999"}, chunk).status)

    with Watch(server, 96 * MIB):
        clients = [threading.Thread(target=send) for _ in range(30)]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        assert sorted(set(statuses)) == [202, 416], statuses
        assert statuses.count(202) == 1
        client.put(with_query(upload, f"digest={digest(chunk)}")).expect(201)
    assert repository.get(f"blobs/{digest(chunk)}").expect(200).body == chunk
