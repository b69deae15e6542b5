"""Deleting tags, manifests, blobs and repositories (distribution-spec 1.1 "Content Management")."""

import itertools
from collections.abc import Callable

import pytest

from harness.content import EMPTY, digest, image, index
from harness.http import Client
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server

_numbers = itertools.count(1)


def test_tag(repository: Repository) -> None:
    """D1, D4: only the tag goes, at once; then it is unknown."""
    content = repository.push_image("one", "two")
    repository.delete("manifests/one").expect(202)
    for method in ("HEAD", "GET", "DELETE"):
        repository.client.request(method, repository.url("manifests/one")).expect(404, code="MANIFEST_UNKNOWN")
    for reference in ("two", content.digest):
        assert repository.get(f"manifests/{reference}").expect(200).body == content.body
    assert repository.tags() == ["two"]


def test_last_tag(repository: Repository) -> None:
    content = repository.push_image("only")
    repository.delete("manifests/only").expect(202)
    repository.get(f"manifests/{content.digest}").expect(200)
    repository.push_manifest(content, "only")
    assert repository.tags() == ["only"]


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_manifest(repository: Repository, algorithm: str) -> None:
    """D2: the manifest and every tag on it, and nothing else."""
    content, kept = repository.image(), repository.push_image("kept")
    wanted = digest(content.body, algorithm)
    repository.put_manifest(content, wanted, "?tag=one&tag=two").expect(201)
    repository.delete(f"manifests/{wanted}").expect(202)
    for reference in (wanted, "one", "two"):
        for method in ("HEAD", "GET", "DELETE"):
            answer = repository.client.request(method, repository.url(f"manifests/{reference}"))
            answer.expect(404, code="MANIFEST_UNKNOWN")
    assert repository.tags() == ["kept"]
    assert repository.get("manifests/kept").expect(200).body == kept.body
    for layer in content.json()["layers"]:
        repository.head(f"blobs/{layer['digest']}").expect(200)
    repository.put_manifest(content, wanted, "?tag=one").expect(201)
    assert repository.tags() == ["kept", "one"]


def test_manifest_that_a_tag_has_left(repository: Repository) -> None:
    first, second = repository.push_image("latest"), repository.push_image("latest")
    repository.delete(f"manifests/{first.digest}").expect(202)
    assert repository.get("manifests/latest").expect(200).body == second.body


def test_child_of_an_index(repository: Repository) -> None:
    """D2: allowed; the index then is a sparse one. `skopeo delete` does not ask in which order."""
    child = repository.push_image()
    parent = repository.push_manifest(index([child]), "latest")
    repository.delete(f"manifests/{child.digest}").expect(202)
    repository.get(f"manifests/{child.digest}").expect(404)
    assert repository.get("manifests/latest").expect(200).body == parent.body
    repository.delete(f"manifests/{parent.digest}").expect(202)


def test_manifest_of_two_repositories(repository: Repository, other: Repository) -> None:
    content = repository.push_image("latest")
    for descriptor in (content.json()["config"], *content.json()["layers"]):
        other.client.post(other.url(f"blobs/uploads/?mount={descriptor['digest']}&from={repository.name}")).expect(201)
    other.push_manifest(content, "latest")
    repository.delete(f"manifests/{content.digest}").expect(202)
    assert other.get("manifests/latest").expect(200).body == content.body


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("manifests/unknown", "MANIFEST_UNKNOWN"),
        (f"manifests/{digest(b'unknown')}", "MANIFEST_UNKNOWN"),
        (f"manifests/{digest(b'unknown', 'sha512')}", "MANIFEST_UNKNOWN"),
        ("manifests/.INVALID", "MANIFEST_UNKNOWN"),
        (f"blobs/{digest(b'unknown')}", "BLOB_UNKNOWN"),
        (f"blobs/{digest(b'unknown', 'sha512')}", "BLOB_UNKNOWN"),
    ],
)
def test_unknown(repository: Repository, other: Repository, tail: str, code: str) -> None:
    repository.push_image("latest")
    repository.delete(tail).expect(404, code=code)
    assert repository.tags() == ["latest"]
    answer = other.delete(tail).expect(404)
    assert answer.codes == [code]
    other.get("tags/list").expect(404)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blob(repository: Repository, other: Repository, algorithm: str) -> None:
    """D3, D4: from this repository, at once; other repositories keep theirs."""
    repository.push_image("latest")
    blob = repository.push_blob(repository.blob(), algorithm)
    other.push_blob(blob)
    wanted = digest(blob.body, algorithm)
    repository.delete(f"blobs/{wanted}").expect(202)
    for method in ("HEAD", "GET", "DELETE"):
        repository.client.request(method, repository.url(f"blobs/{wanted}")).expect(404, code="BLOB_UNKNOWN")
    assert other.get(f"blobs/{blob.digest}").expect(200).body == blob.body


def test_same_blob_again_and_again(repository: Repository) -> None:
    """B4: `{}` is deleted and pushed many times."""
    for _ in range(5):
        repository.push_blob(EMPTY)
        assert repository.get(f"blobs/{EMPTY.digest}").expect(200).body == b"{}"
        repository.delete(f"blobs/{EMPTY.digest}").expect(202)
        repository.head(f"blobs/{EMPTY.digest}").expect(404)


@pytest.mark.parametrize("part", ["config", "layer"])
@pytest.mark.parametrize("tagged", [True, False])
def test_blob_that_a_manifest_needs(repository: Repository, part: str, tagged: bool) -> None:
    """D3: refused until the last such manifest of the repository is gone."""
    blobs = {"config": repository.push_blob(repository.blob()), "layer": repository.push_blob(repository.blob())}
    contents = [image(blobs["config"], [blobs["layer"]], annotations={"n": n}) for n in ("one", "two")]
    for content in contents:
        repository.push_manifest(content, "latest" if tagged else content.digest)
    needed = blobs[part].digest
    for content in contents:
        answer = repository.delete(f"blobs/{needed}").expect(405, code="UNSUPPORTED")
        assert "manifest" in answer.json()["errors"][0]["message"]
        assert repository.get(f"blobs/{needed}").expect(200).body == blobs[part].body
        repository.delete(f"manifests/{content.digest}").expect(202)
    repository.delete(f"blobs/{needed}").expect(202)
    repository.head(f"blobs/{needed}").expect(404)


def test_blob_that_another_repository_needs(repository: Repository, other: Repository) -> None:
    content = repository.push_image("latest")
    layer = content.json()["layers"][0]["digest"]
    other.client.post(other.url(f"blobs/uploads/?mount={layer}&from={repository.name}")).expect(201)
    other.delete(f"blobs/{layer}").expect(202)
    repository.head(f"blobs/{layer}").expect(200)


def test_repository(repository: Repository) -> None:
    """All of it and nothing beside it, not even what has its name as a prefix."""
    beside = [Repository(repository.client, repository.name + tail) for tail in ("/below", "-beside", "0")]
    for one in (repository, *beside):
        one.push_image("latest")
    subject = repository.push_image("subject")
    referrer = repository.push_manifest(repository.image(subject=subject), "referrer")
    blob, upload = repository.push_blob(repository.blob()), repository.open_upload()
    repository.delete("_holdfast/repository").expect(202)
    for tail in ("manifests/latest", f"manifests/{referrer.digest}", f"blobs/{blob.digest}", "tags/list"):
        repository.get(tail).expect(404)
    repository.client.get(upload).expect(404)
    assert repository.referrers(subject.digest) == []
    repository.delete("_holdfast/repository").expect(404, code="NAME_UNKNOWN")
    for one in beside:
        one.get("manifests/latest").expect(200)
    repository.push_image("again")
    assert repository.tags() == ["again"]
    repository.get(f"blobs/{blob.digest}").expect(404)


@pytest.mark.parametrize(
    "tail", ["manifests/", "manifests", "tags/list", "tags/", "tags", "", "blobs/", "_holdfast", "_holdfast/"]
)
def test_an_empty_variable_deletes_no_repository(repository: Repository, tail: str) -> None:
    """`DELETE .../manifests/$TAG` with TAG unset is a mistake."""
    content = repository.push_image("latest")
    repository.client.delete(repository.url(tail)).expect(404, 405)
    repository.client.delete(repository.url(tail).rstrip("/")).expect(404, 405)
    assert repository.tags() == ["latest"]
    assert repository.get("manifests/latest").expect(200).body == content.body


@pytest.fixture(scope="session")
def without_delete(start_server: Callable[..., Server]) -> Server:
    """A server with its default: nothing can be deleted."""
    return start_server(storage="inmemory")


@pytest.fixture
def kept(without_delete: Server) -> Repository:
    """A repository of a server that does not delete."""
    return Repository(Client(without_delete, check=every_answer), f"kept/r{next(_numbers)}")


@pytest.mark.parametrize("what", ["tag", "manifest", "blob", "repository", "unknown-tag", "unknown-blob"])
def test_switched_off(kept: Repository, what: str) -> None:
    """D3: 405 with Allow, and the message names the setting that switches it on."""
    content, blob = kept.push_image("latest"), kept.push_blob(kept.blob())
    tail = {
        "tag": "manifests/latest",
        "manifest": f"manifests/{content.digest}",
        "blob": f"blobs/{blob.digest}",
        "repository": "_holdfast/repository",
        "unknown-tag": "manifests/unknown",
        "unknown-blob": f"blobs/{digest(b'unknown')}",
    }[what]
    answer = kept.delete(tail).expect(405, code="UNSUPPORTED")
    assert "storage.delete.enabled" in answer.json()["errors"][0]["message"]
    assert "DELETE" not in answer.headers["Allow"]
    assert kept.tags() == ["latest"]
    kept.get(f"manifests/{content.digest}").expect(200)
    kept.get(f"blobs/{blob.digest}").expect(200)


def test_uploads_can_be_cancelled_where_deleting_is_switched_off(kept: Repository) -> None:
    """U8: it needs no more than the right to push."""
    upload = kept.open_upload()
    kept.client.delete(upload).expect(204)
    kept.client.get(upload).expect(404)
