"""Mounting blobs from other repositories (distribution-spec 1.1 "Mounting a blob from another repository")."""

import pytest

from harness.content import Content, digest
from harness.http import Response
from harness.repository import Repository, with_query


def mount(target: Repository, query: str) -> Response:
    """Ask for a mount."""
    return target.client.post(target.url(f"blobs/uploads/?{query}"))


def upload_works(target: Repository, answer: Response, blob: Content) -> None:
    """The answer opened an ordinary upload, which takes the blob."""
    upload = answer.expect(202).headers["Location"]
    assert answer.headers["Docker-Upload-UUID"] in upload
    assert answer.headers["Range"] == "0-0"
    target.head(f"blobs/{blob.digest}").expect(404)
    target.client.put(with_query(upload, f"digest={blob.digest}"), body=blob.body).expect(201)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize(
    "query",
    [
        "mount={digest}&from={source}",
        "from={source}&mount={digest}",
        "mount={digest}&from={source}&origin=registry.example.com%2Fa",
        "mount={encoded}&from={source}",
        "mount={digest}",
    ],
)
def test_mount(repository: Repository, other: Repository, algorithm: str, query: str) -> None:
    """U14: 201 and the blob is there; anonymous mounts (without `from`) look in every repository."""
    blob = repository.push_blob(repository.blob(3000), algorithm)
    wanted = digest(blob.body, algorithm)
    asked = query.format(digest=wanted, encoded=wanted.replace(":", "%3A"), source=repository.name.replace("/", "%2F"))
    answer = mount(other, asked).expect(201)
    assert answer.headers["Location"] == other.url(f"blobs/{wanted}")
    assert answer.headers["Docker-Content-Digest"] == wanted
    assert other.client.head(answer.headers["Location"]).expect(200).headers["Content-Length"] == "3000"
    assert other.client.get(answer.headers["Location"]).expect(200).body == blob.body


def test_mount_of_what_is_there_already(repository: Repository) -> None:
    blob = repository.push_blob(repository.blob())
    mount(repository, f"mount={blob.digest}&from={repository.name}").expect(201)
    mount(repository, f"mount={blob.digest}").expect(201)


def test_mounted_blob_outlives_its_source(repository: Repository, other: Repository) -> None:
    blob = repository.push_blob(repository.blob())
    mount(other, f"mount={blob.digest}&from={repository.name}").expect(201)
    repository.delete(f"blobs/{blob.digest}").expect(202)
    repository.get(f"blobs/{blob.digest}").expect(404)
    assert other.get(f"blobs/{blob.digest}").expect(200).body == blob.body


def test_mounted_blob_serves_a_manifest(repository: Repository, other: Repository) -> None:
    manifest = repository.push_image("latest")
    fields = manifest.json()
    for descriptor in (fields["config"], *fields["layers"]):
        mount(other, f"mount={descriptor['digest']}&from={repository.name}").expect(201)
    other.push_manifest(manifest, "latest")


@pytest.mark.parametrize(
    "query",
    [
        "mount={digest}",
        "mount={digest}&from={known}",
        "mount={digest}&from=no/such/repository",
        "mount={digest}&from=INVALID..NAME",
        "mount={digest}&from=",
        "mount={digest}&from=%2e%2e%2f%00",
    ],
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blob_that_is_nowhere(repository: Repository, other: Repository, query: str, algorithm: str) -> None:
    """U14: never an error, always an upload; clients give up their push on anything else."""
    repository.push_image("latest")
    blob = other.blob()
    asked = query.format(digest=digest(blob.body, algorithm), known=repository.name)
    upload_works(other, mount(other, asked), blob)


@pytest.mark.parametrize("source", ["no/such/repository", "INVALID..NAME", "{without}"])
def test_source_that_lacks_the_blob(repository: Repository, other: Repository, source: str) -> None:
    """U14: a mount from a repository that cannot give the blob opens an upload, even if a third one could."""
    blob = repository.push_blob(repository.blob())
    without = Repository(other.client, other.name + "/without")
    without.push_image("latest")
    upload_works(other, mount(other, f"mount={blob.digest}&from={source.format(without=without.name)}"), blob)


def test_blob_that_was_deleted_everywhere(repository: Repository, other: Repository) -> None:
    blob = repository.push_blob(repository.blob())
    repository.delete(f"blobs/{blob.digest}").expect(202)
    upload_works(other, mount(other, f"mount={blob.digest}"), blob)


@pytest.mark.parametrize("bad", ["sha256:bad", "blake3:" + "a" * 64, "sha256:" + "A" * 64, "x"])
@pytest.mark.parametrize("source", ["", "&from=a/b"])
def test_mount_of_a_bad_digest(repository: Repository, bad: str, source: str) -> None:
    mount(repository, f"mount={bad}{source}").expect(400, code="DIGEST_INVALID")
