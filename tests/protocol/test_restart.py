"""What one process has begun, another goes on with: a restart in between, or another worker (I4)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.content import EMPTY, digest, index
from harness.http import Client
from harness.repository import Repository, pieces, with_query
from harness.rules import every_answer
from harness.server import Server
from protocol.paging import next_page

ENGINES = ["granian", "uvicorn"]


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server on files that the test may restart."""
    settings = {"server.engine": request.param, "server.workers": "2", "storage.delete.enabled": "true"}
    with Server(tmp_path, settings) as running:
        yield running


@pytest.fixture
def files(server: Server) -> Repository:
    """A repository of that server."""
    return Repository(Client(server, check=every_answer), "a/b")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_restart_between_the_steps_of_an_upload(server: Server, files: Repository, algorithm: str) -> None:
    """U9: POST, PATCH, then PATCH and PUT, then PUT again: each answered by other processes."""
    blob = files.blob(200_000)
    upload = files.open_upload()
    server.restart()
    upload = files.client.patch(upload, body=blob.body[:100_000]).expect(202).headers["Location"]
    server.restart()
    assert files.client.get(upload).expect(204).headers["Range"] == "0-99999"
    headers = {"Content-Range": "100000-199999"}
    upload = files.client.patch(upload, headers, blob.body[100_000:]).expect(202).headers["Location"]
    target = with_query(upload, f"digest={digest(blob.body, algorithm)}")
    location = files.client.put(target).expect(201).headers["Location"]
    server.restart()
    assert files.client.get(location).expect(200).body == blob.body
    files.client.put(target).expect(201)


def test_everything_is_there_after_a_restart(server: Server, files: Repository) -> None:
    subject = files.push_image("latest", "other")
    referrer = files.push_manifest(files.image(subject=subject, artifactType="a/b"))
    listing = files.push_manifest(index([subject]), "list")
    cancelled = files.open_upload()
    files.client.delete(cancelled).expect(204)
    files.push_image("deleted")
    files.delete("manifests/deleted").expect(202)
    paths = [
        *(
            "/v2/_catalog",
            files.url("tags/list"),
            files.url(f"referrers/{subject.digest}"),
            files.url("manifests/list"),
        ),
        *(files.url(f"manifests/{one.digest}") for one in (subject, referrer, listing)),
        *(files.url(f"blobs/{layer['digest']}") for layer in subject.json()["layers"]),
    ]
    before = {path: files.client.get(path).expect(200).body for path in paths}
    server.restart()
    assert {path: files.client.get(path).expect(200).body for path in paths} == before
    files.get("manifests/deleted").expect(404)
    files.client.get(cancelled).expect(404)


def test_a_link_is_followed_after_a_restart(server: Server, files: Repository) -> None:
    content = files.image()
    files.put_manifest(content, content.digest, "?tag=a&tag=b&tag=c").expect(201)
    following = next_page(files.get("tags/list?n=2").expect(200))
    assert following is not None
    server.restart()
    assert files.client.get(following).expect(200).json()["tags"] == ["c"]


def test_upload_over_many_connections_to_many_workers(repository: Repository) -> None:
    """U9, D4: whichever worker or node answers, it knows what the others have done."""
    for number in range(20):
        blob = repository.blob(5000)
        upload = repository.open_upload()
        for offset, piece in enumerate(pieces(blob.body, 1000)):
            headers = {"Content-Range": f"{offset * 1000}-{offset * 1000 + len(piece) - 1}"}
            upload = repository.client.patch(upload, headers, piece).expect(202).headers["Location"]
            assert repository.client.get(upload).expect(204).headers["Range"] == f"0-{(offset + 1) * 1000 - 1}"
        repository.client.put(with_query(upload, f"digest={blob.digest}")).expect(201)
        assert repository.get(f"blobs/{blob.digest}").expect(200).body == blob.body
        repository.push_image(f"t{number:02}")
        assert repository.tags() == [f"t{done:02}" for done in range(number + 1)]


def test_every_worker_sees_each_change_at_once(repository: Repository) -> None:
    """Kept connections stay with their worker, or go around all nodes; each of them is asked after each change."""
    connections = [repository.client.connect() for _ in range(6)]
    try:
        for _ in range(10):
            content = repository.push_image("latest")
            repository.push_blob(EMPTY)
            for connection in connections:
                answer = connection.request("GET", repository.url("manifests/latest")).expect(200)
                assert answer.body == content.body
                connection.request("HEAD", repository.url(f"blobs/{EMPTY.digest}")).expect(200)
            repository.delete(f"manifests/{content.digest}").expect(202)
            repository.delete(f"blobs/{EMPTY.digest}").expect(202)
            for connection in connections:
                connection.request("GET", repository.url("manifests/latest")).expect(404)
                connection.request("HEAD", repository.url(f"blobs/{EMPTY.digest}")).expect(404)
    finally:
        for connection in connections:
            connection.close()
