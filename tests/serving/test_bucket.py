"""A bucket with the embedded database: it outlives the database, and belongs to one server at a time."""

from pathlib import Path

import pytest

from harness.content import digest
from harness.http import Client
from harness.repository import Repository, with_query
from harness.server import Server
from harness.swift import Swift
from serving.test_start import refused


def settings(engine: Swift, bucket: str, database: Path) -> dict[str, str]:
    """Settings of a server on a bucket, with its database in a directory."""
    return {
        "storage": "s3",
        "storage.s3.regionendpoint": engine.endpoint,
        "storage.s3.region": engine.region,
        "storage.s3.bucket": bucket,
        "storage.s3.accesskey": engine.access_key,
        "storage.s3.secretkey": engine.secret_key,
        "storage.redirect.disable": "true",
        "metadata.path": str(database),
    }


def server(tmp_path: Path, name: str, engine: Swift, bucket: str) -> Server:
    """A server with a log and a database of its own, and several workers."""
    (tmp_path / name).mkdir()
    return Server(tmp_path / name, settings(engine, bucket, tmp_path / name / "database") | {"server.workers": "2"})


def push_as_docker(repository: Repository, content: bytes) -> None:
    """Push a blob whose digest is told at the end."""
    location = repository.open_upload()
    location = repository.client.patch(location, {}, content).expect(202).headers["Location"]
    repository.client.put(with_query(location, f"digest={digest(content)}"), {}, b"").expect(201)


def test_a_lost_container_loses_no_tag_and_no_blob(tmp_path: Path, swift: Swift) -> None:
    bucket = swift.new_bucket()
    content = b"pushed in parts" * 1000
    with server(tmp_path, "first", swift, bucket) as first:
        repository = Repository(Client(first), "a/b")
        image = repository.push_image("v1", "v2")
        push_as_docker(repository, content)
    with server(tmp_path, "second", swift, bucket) as second:
        repository = Repository(Client(second), "a/b")
        assert repository.tags() == ["v1", "v2"]
        assert repository.get("manifests/v1").expect(200).body == image.body
        assert repository.get(f"blobs/{digest(content)}").expect(200).body == content
        assert "the database is new or was lost" in second.log_text()


def test_a_second_server_with_a_database_of_its_own_is_refused(tmp_path: Path, swift: Swift) -> None:
    bucket = swift.new_bucket()
    with server(tmp_path, "first", swift, bucket) as first:
        Repository(Client(first), "a/b").push_image("v1")
        second = server(tmp_path, "second", swift, bucket)
        assert "several servers on one bucket need one database: set metadata.url" in refused(second, 60)
        assert Repository(Client(first), "a/b").tags() == ["v1"]
        first.restart()
        assert Repository(Client(first), "a/b").tags() == ["v1"], "the bucket still belongs to its database"


@pytest.mark.parametrize("killed", [False, True])
def test_the_same_server_starts_again_at_once(tmp_path: Path, swift: Swift, killed: bool) -> None:
    first = server(tmp_path, "first", swift, swift.new_bucket())
    with first:
        Repository(Client(first), "a/b").push_image("v1")
        if killed:
            first.kill()
        else:
            first.stop()
        first.start()
        assert Repository(Client(first), "a/b").tags() == ["v1"]
        assert "waiting whether" not in first.log_text()
