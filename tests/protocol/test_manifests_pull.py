"""Pulling manifests (distribution-spec 1.1 "Pulling manifests")."""

import pytest

from harness.content import DOCKER_IMAGE, DOCKER_LIST, OCI_ARTIFACT, OCI_IMAGE, OCI_INDEX, digest
from harness.repository import Repository
from protocol.test_manifests_push import of_type

ALL_TYPES = [OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST, OCI_ARTIFACT]


@pytest.mark.parametrize("media_type", [*ALL_TYPES, "application/vnd.example.thing.v1+json"])
def test_headers(repository: Repository, media_type: str) -> None:
    """1.3, G5: exact type, length, digest and entity tag, on GET and HEAD, by tag and by digest."""
    content = repository.push_manifest(of_type(repository, media_type), "latest")
    for reference in ("latest", content.digest):
        for method in ("GET", "HEAD"):
            answer = repository.client.request(method, repository.url(f"manifests/{reference}")).expect(200)
            assert answer.body == (content.body if method == "GET" else b"")
            assert answer.headers["Content-Type"] == media_type
            assert answer.headers["Content-Length"] == str(content.size)
            assert answer.headers["Docker-Content-Digest"] == content.digest
            assert answer.headers["ETag"] == f'"{content.digest}"'


ACCEPTS: dict[str, list[str]] = {
    "none": [],
    "any": ["*/*"],
    "curl": ["*/*;q=0.1"],
    "html": ["text/html,application/xhtml+xml;q=0.9"],
    "another": [DOCKER_LIST],
    "refused": [f"{OCI_IMAGE};q=0, */*;q=0"],
    "each-in-a-line": ALL_TYPES,
    "all-in-one": [", ".join(f"{media_type};q=0.{9 - place}" for place, media_type in enumerate(ALL_TYPES))],
    "old-docker": ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"],
    "nonsense": ["///;;,,=", ""],
}


@pytest.mark.parametrize("accepts", ACCEPTS.values(), ids=ACCEPTS.keys())
@pytest.mark.parametrize("media_type", [OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST])
def test_accept_is_ignored(repository: Repository, media_type: str, accepts: list[str]) -> None:
    """M2, G12: what is stored is answered, never 404 or 406 for the type's sake."""
    content = repository.push_manifest(of_type(repository, media_type), "latest")
    for method in ("GET", "HEAD"):
        for reference in ("latest", content.digest):
            headers = [("Accept", accept) for accept in accepts]
            answer = repository.client.request(method, repository.url(f"manifests/{reference}"), headers).expect(200)
            assert answer.headers["Content-Type"] == media_type
            assert answer.headers["Docker-Content-Digest"] == content.digest


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_digest_in_the_algorithm_asked_for(repository: Repository, algorithm: str) -> None:
    """M1."""
    content = repository.image()
    wanted = digest(content.body, algorithm)
    repository.put_manifest(content, wanted, "?tag=latest").expect(201)
    for reference in (wanted, "latest"):
        for method in ("GET", "HEAD"):
            answer = repository.client.request(method, repository.url(f"manifests/{reference}")).expect(200)
            assert answer.headers["Docker-Content-Digest"] == wanted
            assert answer.headers["ETag"] == f'"{wanted}"'


def test_tag_then_digest(repository: Repository) -> None:
    """M3: HEAD by tag, then GET by the digest that it told, while the tag moves."""
    for _ in range(5):
        content = repository.push_image("latest")
        told = repository.head("manifests/latest").expect(200).headers["Docker-Content-Digest"]
        assert told == content.digest
        assert repository.get(f"manifests/{told}").expect(200).body == content.body


@pytest.mark.parametrize(
    "reference",
    ["unknown", digest(b"unknown"), digest(b"unknown", "sha512"), ".INVALID_MANIFEST_NAME", "-x", "t" * 129, "a%20b"],
)
def test_missing_manifest(repository: Repository, reference: str) -> None:
    """N: what cannot be a tag is not there either."""
    repository.push_image("latest")
    for method in ("GET", "HEAD"):
        answer = repository.client.request(method, repository.url(f"manifests/{reference}"))
        answer.expect(404, code="MANIFEST_UNKNOWN")


@pytest.mark.parametrize("reference", ["latest", ".INVALID_MANIFEST_NAME", digest(b"unknown")])
def test_manifest_of_an_unknown_repository(repository: Repository, reference: str) -> None:
    """The same as in a repository that is known: scripts and Podman look for MANIFEST_UNKNOWN."""
    repository.get(f"manifests/{reference}").expect(404, code="MANIFEST_UNKNOWN")
    repository.head(f"manifests/{reference}").expect(404)


def test_manifests_belong_to_their_repository(repository: Repository, other: Repository) -> None:
    content = repository.push_image("latest")
    other.push_image("other")
    for reference in ("latest", content.digest):
        other.get(f"manifests/{reference}").expect(404, code="MANIFEST_UNKNOWN")


def test_a_blob_is_no_manifest(repository: Repository) -> None:
    """The bytes of a manifest, pushed as a blob, are not one."""
    content = repository.image()
    repository.push_blob(content)
    repository.get(f"manifests/{content.digest}").expect(404, code="MANIFEST_UNKNOWN")


@pytest.mark.parametrize(
    ("condition", "status"),
    [('"{}"', 304), ("{}", 304), ('W/"{}"', 304), ("*", 304), ('"other", "{}"', 304), ('"other"', 200), ("other", 200)],
)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_if_none_match(repository: Repository, condition: str, status: int, by: str) -> None:
    content = repository.push_image("latest")
    target = repository.url(f"manifests/{'latest' if by == 'tag' else content.digest}")
    for method in ("GET", "HEAD"):
        answer = repository.client.request(method, target, {"If-None-Match": condition.format(content.digest)})
        assert answer.expect(status).headers["ETag"] == f'"{content.digest}"'
        assert answer.headers["Docker-Content-Digest"] == content.digest


def test_if_none_match_follows_the_tag(repository: Repository) -> None:
    first = repository.push_image("latest")
    condition = {"If-None-Match": f'"{first.digest}"'}
    repository.get("manifests/latest", condition).expect(304)
    second = repository.push_image("latest")
    assert repository.get("manifests/latest", condition).expect(200).body == second.body


def test_manifests_are_never_compressed(repository: Repository) -> None:
    """G4."""
    content = repository.push_image("latest", annotations={"a": "x" * 100_000})
    answer = repository.get("manifests/latest", {"Accept-Encoding": "gzip"}).expect(200)
    assert answer.body == content.body


def test_tags_may_not_be_kept(repository: Repository) -> None:
    """A tag moves, so no cache may be told that it does not."""
    repository.push_image("latest")
    by_tag = repository.get("manifests/latest").expect(200).headers.get("Cache-Control") or "no-cache"
    assert "immutable" not in by_tag
