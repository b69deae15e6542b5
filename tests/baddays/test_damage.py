"""Bytes that were lost behind the registry's back: nobody is given something else, and the next push mends it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.content import image
from harness.http import Client
from harness.repository import Repository, with_query
from harness.server import Server


def path_of(server: Server, digest: str) -> Path:
    """The file of a blob."""
    encoded = digest.removeprefix("sha256:")
    return server.root / "docker/registry/v2/blobs/sha256" / encoded[:2] / encoded / "data"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


DAMAGES = pytest.mark.parametrize("damage", [truncate, Path.unlink], ids=["cut short", "gone"])


@DAMAGES
def test_a_damaged_blob_is_not_there_until_it_is_pushed_again(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with Server(tmp_path, {}) as server:
        repository, other = Repository(Client(server), "a/b"), Repository(Client(server), "other")
        blob = repository.push_blob(repository.blob(2000))
        damage(path_of(server, blob.digest))
        for answer in (repository.get(f"blobs/{blob.digest}"), repository.head(f"blobs/{blob.digest}")):
            answer.expect(404)
        for source in ("&from=a/b", ""):
            other.client.post(other.url(f"blobs/uploads/?mount={blob.digest}{source}")).expect(202)
        assert "a blob's bytes are missing or not all there" in server.log_text()
        assert blob.digest in server.log_text()
        upload = repository.open_upload()
        repository.client.put(with_query(upload, f"digest={blob.digest}"), (), blob.body).expect(201)
        assert repository.get(f"blobs/{blob.digest}").expect(200).body == blob.body


def test_content_is_never_run_by_a_browser_as_part_of_this_site(tmp_path: Path) -> None:
    with Server(tmp_path, {}) as server:
        repository = Repository(Client(server), "a/b")
        body = b'{"schemaVersion":2,"annotations":{"a":"<script>alert(1)</script>"}}'
        repository.client.put(repository.url("manifests/page"), {"Content-Type": "text/html"}, body).expect(201)
        blob = repository.push_blob(repository.blob())
        for tail in ("manifests/page", f"blobs/{blob.digest}"):
            policy = repository.get(tail).expect(200).headers["Content-Security-Policy"]
            assert policy == "default-src 'none'; sandbox"


def test_ranges_never_add_up_to_more_than_the_blob(tmp_path: Path) -> None:
    with Server(tmp_path, {}) as server:
        repository = Repository(Client(server), "a/b")
        blob = repository.push_blob(repository.blob(10_000))
        ranges = {"Range": f"bytes={','.join(['0-'] * 100)}"}
        repository.get(f"blobs/{blob.digest}", ranges).expect(400)
        repository.get(f"blobs/{blob.digest}", {"Range": "bytes=0-4999,5000-9999"}).expect(206)


def test_an_answer_names_a_hundred_missing_blobs_at_most(tmp_path: Path) -> None:
    with Server(tmp_path, {}) as server:
        repository = Repository(Client(server), "a/b")
        layers = [repository.blob() for _ in range(300)]
        answer = repository.put_manifest(image(repository.blob(), layers)).expect(400)
        assert len(answer.json()["errors"]) == 100
