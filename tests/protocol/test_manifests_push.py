"""Pushing manifests (distribution-spec 1.1 "Pushing Manifests"; image-spec 1.1 "Image Manifest", "Image Index")."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.content import (
    DOCKER_CONFIG,
    DOCKER_IMAGE,
    DOCKER_LAYER,
    DOCKER_LIST,
    EMPTY,
    OCI_ARTIFACT,
    OCI_EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    Content,
    artifact,
    digest,
    image,
    index,
    manifest,
)
from harness.http import Response
from harness.repository import Repository, pieces

LARGEST = 4 * 2**20


def put(repository: Repository, body: bytes, content_type: str | None, reference: str = "latest") -> Response:
    """Send bytes as a manifest, with a Content-Type or without."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    return repository.client.put(repository.url(f"manifests/{reference}"), headers, body)


def of_type(repository: Repository, media_type: str) -> Content:
    """A manifest of a type, whose blobs have been pushed."""
    layer = repository.push_blob(repository.blob())
    if media_type in {OCI_IMAGE, DOCKER_IMAGE}:
        return repository.image([layer], media_type=media_type)
    if media_type in {OCI_INDEX, DOCKER_LIST}:
        return index([repository.push_image()], media_type=media_type)
    return artifact([layer]) if media_type == OCI_ARTIFACT else manifest(media_type, {"things": [layer.descriptor()]})


TYPES = [
    OCI_IMAGE,
    OCI_INDEX,
    DOCKER_IMAGE,
    DOCKER_LIST,
    OCI_ARTIFACT,
    "application/vnd.example.thing.v1+json",
    "application/json",
]


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize("by", ["tag", "sha256", "sha512"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_push(repository: Repository, media_type: str, by: str, chunked: bool) -> None:
    """M4, M5, G8: any type, under a tag or a digest; what is pulled is what was pushed."""
    content = of_type(repository, media_type)
    reference = "latest" if by == "tag" else digest(content.body, by)
    wanted = content.digest if by == "tag" else reference
    body = pieces(content.body, 100) if chunked else content.body
    target = repository.url(f"manifests/{reference}")
    pushed = repository.client.put(target, {"Content-Type": media_type}, body).expect(201)
    assert pushed.headers["Location"] == repository.url(f"manifests/{wanted}")
    assert pushed.headers["Docker-Content-Digest"] == wanted
    assert "OCI-Subject" not in pushed.headers
    for location in (pushed.headers["Location"], target):
        pulled = repository.client.get(location).expect(200)
        assert pulled.body == content.body
        assert pulled.headers["Content-Type"] == media_type
        assert pulled.headers["Docker-Content-Digest"] == wanted
    assert repository.get("tags/list").expect(200).json()["tags"] == (["latest"] if by == "tag" else [])


def test_bytes_are_kept_as_they_came(repository: Repository) -> None:
    """M4: spaces, order, escapes, a final newline."""
    fields = repository.image().json()
    body = (
        "\n \t" + json.dumps(fields, indent=3, sort_keys=True).replace("sha256", "sha\\u0032\\u0035\\u0036") + "\r\n"
    ).encode()
    content = Content(body, OCI_IMAGE)
    repository.push_manifest(content, "latest", content.digest)
    assert repository.get("manifests/latest").expect(200).body == body


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_content_that_does_not_have_the_digest(repository: Repository, algorithm: str) -> None:
    """M4."""
    content = repository.image()
    wanted = digest(b"other", algorithm)
    repository.put_manifest(content, wanted).expect(400, code="DIGEST_INVALID")
    for missing in (wanted, content.digest):
        repository.get(f"manifests/{missing}").expect(404)


VALID_TAGS = [
    "a",
    "A",
    "_",
    "0",
    "v1.0",
    "a-b.c_d",
    "_.-",
    "latest",
    "UPPER",
    "uploads",
    "list",
    "sha256-abc.sig",
    "t" * 128,
]
INVALID_TAGS = [
    ".a",
    "-a",
    "t" * 129,
    "a%2Bb",
    "a+b",
    "a%20b",
    "%c3%a9",
    "a%00",
    "a%0a",
    "%2e%2e",
    "a@b",
    "t" * 20_000,
    ".INVALID",
]


@pytest.mark.parametrize("tag", VALID_TAGS)
def test_valid_tags(repository: Repository, tag: str) -> None:
    content = repository.push_image(tag)
    assert repository.get(f"manifests/{tag}").expect(200).body == content.body
    assert repository.tags() == [tag]
    repository.delete(f"manifests/{tag}").expect(202)


@pytest.mark.parametrize("tag", INVALID_TAGS)
def test_invalid_tags(repository: Repository, direct_repository: Repository, tag: str) -> None:
    """N: 400 on a push; on a pull it is a tag that is not there."""
    content = repository.push_image("other")
    direct_repository.put_manifest(content, tag).expect(400, code="MANIFEST_INVALID")
    direct_repository.get(f"manifests/{tag}").expect(404, code="MANIFEST_UNKNOWN")
    direct_repository.head(f"manifests/{tag}").expect(404)
    assert repository.tags() == ["other"]


@pytest.mark.parametrize("kind", ["image", "docker", "index", "list", "artifact"])
@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_subject(repository: Repository, kind: str, present: bool, algorithm: str) -> None:
    """M9: the subject need not be there; OCI-Subject repeats its digest."""
    subject = repository.image()
    if present:
        repository.push_manifest(subject, digest(subject.body, algorithm))
    field = subject.descriptor(algorithm)
    content = {
        "image": lambda: repository.image(subject=field),
        "docker": lambda: repository.image(subject=field, media_type=DOCKER_IMAGE),
        "index": lambda: index(subject=field),
        "list": lambda: index(subject=field, media_type=DOCKER_LIST),
        "artifact": lambda: artifact(subject=field),
    }[kind]()
    for reference in (content.digest, "latest"):
        pushed = repository.put_manifest(content, reference).expect(201)
        assert pushed.headers["OCI-Subject"] == digest(subject.body, algorithm)


def padded(repository: Repository, size: int) -> Content:
    """An image manifest of exactly `size` bytes."""
    fields = repository.image(annotations={"pad": ""})
    return image(*parts(fields), annotations={"pad": "x" * (size - fields.size)})


def parts(content: Content) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    fields = content.json()
    return fields["config"], fields["layers"]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("by_digest", [False, True], ids=["tag", "digest"])
@pytest.mark.parametrize(("size", "status"), [(LARGEST, 201), (LARGEST + 1, 413), (LARGEST + 2 * 2**20, 413)])
def test_largest_manifest(repository: Repository, chunked: bool, by_digest: bool, size: int, status: int) -> None:
    """M11: 4 MiB are taken, one byte more is 413, known length or not, and the client gets to read that."""
    content = padded(repository, size)
    assert content.size == size
    target = repository.url(f"manifests/{content.digest if by_digest else 'latest'}")
    body = pieces(content.body, 65536) if chunked else content.body
    answer = repository.client.put(target, {"Content-Type": OCI_IMAGE}, body).expect(status)
    if status == 201:
        assert repository.client.get(target).expect(200).body == content.body
    else:
        assert set(answer.codes) <= {"MANIFEST_INVALID", "SIZE_INVALID"}
        repository.client.get(target).expect(404)


def test_announced_huge_manifest_is_refused_at_once(repository: Repository) -> None:
    """Not a byte has to be sent before the answer comes."""
    with repository.client.connect() as connection:
        headers = {"Content-Type": OCI_IMAGE, "Content-Length": str(2**40), "Expect": "100-continue"}
        connection.send_head("PUT", repository.url("manifests/latest"), headers)
        assert connection.receive("PUT").status == 413


def test_cut_manifest(repository: Repository) -> None:
    """A manifest that does not arrive whole is not stored."""
    content = repository.image()
    with repository.client.connect() as connection:
        headers = {"Content-Type": OCI_IMAGE, "Content-Length": str(content.size)}
        connection.send_head("PUT", repository.url("manifests/latest"), headers)
        connection.send(content.body[:-10])
    repository.get("manifests/latest").expect(404)
    repository.push_manifest(content, "latest")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("count", [1, 12, 100])
def test_tag_parameters(repository: Repository, algorithm: str, count: int) -> None:
    """M10, M1: each tag is told in OCI-Tag; a tag answers the digest under which it was pushed."""
    content = repository.image()
    wanted = digest(content.body, algorithm)
    tags = [f"tag-{number:03}" for number in range(count)]
    pushed = repository.put_manifest(content, wanted, "?" + "&".join(f"tag={tag}" for tag in tags)).expect(201)
    assert pushed.headers["Location"] == repository.url(f"manifests/{wanted}")
    told = [tag.strip() for value in pushed.headers.all("OCI-Tag") for tag in value.split(",")]
    assert sorted(told) == tags
    assert repository.tags() == tags
    for tag in tags[:3]:
        pulled = repository.head(f"manifests/{tag}").expect(200)
        assert pulled.headers["Docker-Content-Digest"] == wanted


def test_tag_parameter_given_twice(repository: Repository) -> None:
    content = repository.image()
    pushed = repository.put_manifest(content, content.digest, "?tag=a&tag=b&tag=a").expect(201)
    told = {tag.strip() for value in pushed.headers.all("OCI-Tag") for tag in value.split(",")}
    assert told == {"a", "b"}
    assert repository.tags() == ["a", "b"]


def test_too_many_tag_parameters(repository: Repository) -> None:
    """M10: 414, and nothing is changed."""
    content = repository.image()
    query = "?" + "&".join(f"tag=tag-{number}" for number in range(101))
    repository.put_manifest(content, content.digest, query).expect(414, code="MANIFEST_INVALID")
    repository.get(f"manifests/{content.digest}").expect(404)


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a%20b", "a%2Cb", "t" * 129])
def test_invalid_tag_parameter(repository: Repository, tag: str) -> None:
    """M10: 400, and nothing is changed."""
    content = repository.image()
    repository.put_manifest(content, content.digest, f"?tag=good&tag={tag}").expect(400, code="MANIFEST_INVALID")
    repository.get("manifests/good").expect(404)
    repository.get(f"manifests/{content.digest}").expect(404)


def test_tag_parameter_of_a_push_by_tag(repository: Repository) -> None:
    """M10: 400."""
    content = repository.image()
    repository.put_manifest(content, "latest", "?tag=other").expect(400, code="MANIFEST_INVALID")
    repository.get("manifests/latest").expect(404)
    repository.get("manifests/other").expect(404)


def test_pushing_again_and_moving_a_tag(repository: Repository) -> None:
    """M13: the same again is 201; the last writer wins; both manifests stay."""
    first = repository.push_image("latest")
    repository.push_manifest(first, "latest", first.digest)
    second = repository.push_image("latest")
    assert repository.get("manifests/latest").expect(200).body == second.body
    assert repository.get(f"manifests/{first.digest}").expect(200).body == first.body
    assert repository.tags() == ["latest"]


def test_parallel_pushes_of_one_tag(repository: Repository) -> None:
    """M13: all succeed, and the tag is one of them, whole."""
    contents = [repository.image() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for answer in pool.map(lambda content: repository.put_manifest(content, "latest"), contents):
            answer.expect(201)
    assert repository.get("manifests/latest").expect(200).body in {content.body for content in contents}
    for content in contents:
        repository.head(f"manifests/{content.digest}").expect(200)


def test_type_of_a_manifest_pushed_again(repository: Repository) -> None:
    """The same bytes as two types: the tag that was pushed last is served with the type that it was pushed with."""
    repository.push_blob(EMPTY)
    body = json.dumps({"schemaVersion": 2, "config": EMPTY.descriptor(), "layers": []}).encode()
    for media_type in (OCI_IMAGE, DOCKER_IMAGE):
        put(repository, body, media_type).expect(201)
        assert repository.get("manifests/latest").expect(200).headers["Content-Type"] == media_type


def test_docker_image(repository: Repository) -> None:
    """What `docker push` sends: docker's own types throughout."""
    layer = repository.push_blob(repository.blob(media_type=DOCKER_LAYER))
    configuration = repository.push_blob(repository.blob(media_type=DOCKER_CONFIG))
    repository.push_manifest(image(configuration, [layer], media_type=DOCKER_IMAGE), "latest")


def test_empty_descriptor_of_an_artifact(repository: Repository) -> None:
    """image-spec 1.1 "Guidance for an Empty Descriptor": config and the only layer are `{}`."""
    repository.push_blob(EMPTY)
    content = image(EMPTY, [EMPTY], artifactType="application/vnd.example+type")
    repository.push_manifest(content, "latest")
    assert content.json()["config"]["mediaType"] == OCI_EMPTY
