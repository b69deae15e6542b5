"""Which manifests are taken, which are refused: type, fields, JSON, missing content (image-spec 1.1)."""

import json
from typing import Any

import pytest

from harness.content import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    DOCKER_SCHEMA_1,
    EMPTY,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    artifact,
    digest,
    image,
    index,
)
from harness.repository import Repository
from protocol.test_manifests_push import put

NOWHERE = {"mediaType": OCI_LAYER_GZIP, "digest": digest(b"nowhere"), "size": 7}


@pytest.mark.parametrize(
    "header",
    [
        OCI_IMAGE,
        OCI_IMAGE + "; charset=utf-8",
        OCI_IMAGE + ";charset=UTF-8 ; x=y",
        OCI_IMAGE.upper(),
        f" {OCI_IMAGE} ",
        None,
    ],
)
@pytest.mark.parametrize("in_body", [True, False])
def test_where_the_type_comes_from(repository: Repository, header: str | None, in_body: bool) -> None:
    """M6, G5: the header without parameters, else the body, else a guess; parameters are never served."""
    fields = repository.image().json()
    if not in_body:
        del fields["mediaType"]
    put(repository, json.dumps(fields).encode(), header).expect(201)
    assert repository.get("manifests/latest").expect(200).headers["Content-Type"] == OCI_IMAGE


def test_guessed_index(repository: Repository) -> None:
    put(repository, b'{"schemaVersion": 2, "manifests": []}', None).expect(201)
    assert repository.get("manifests/latest").expect(200).headers["Content-Type"] == OCI_INDEX


DESCRIPTOR = {"mediaType": OCI_LAYER_GZIP, "digest": EMPTY.digest, "size": 2}
CHANGES: dict[str, dict[str, Any]] = {
    "another-media-type": {"mediaType": OCI_INDEX},
    "docker-media-type": {"mediaType": DOCKER_IMAGE},
    "image-and-index": {"manifests": []},
    "schema-1": {"schemaVersion": 1},
    "schema-3": {"schemaVersion": 3},
    "schema-text": {"schemaVersion": "2"},
    "schema-missing": {"schemaVersion": ...},
    "schema-1-fields": {"fsLayers": [], "history": []},
    "no-config": {"config": ...},
    "no-layers-field": {"layers": ...},
    "config-list": {"config": []},
    "config-text": {"config": EMPTY.digest},
    "config-without-digest": {"config": {"mediaType": OCI_CONFIG, "size": 2}},
    "layers-object": {"layers": {}},
    "layers-text": {"layers": "none"},
    "layer-text": {"layers": [EMPTY.digest]},
    "layer-bad-digest": {"layers": [{**DESCRIPTOR, "digest": "sha256:bad"}]},
    "layer-upper-case-digest": {"layers": [{**DESCRIPTOR, "digest": EMPTY.digest.upper()}]},
    "layer-path-digest": {"layers": [{**DESCRIPTOR, "digest": "../../etc/passwd"}]},
    "layer-number-digest": {"layers": [{**DESCRIPTOR, "digest": 5}]},
    "layer-negative-size": {"layers": [{**DESCRIPTOR, "size": -1}]},
    "layer-text-size": {"layers": [{**DESCRIPTOR, "size": "2"}]},
    "layer-fraction-size": {"layers": [{**DESCRIPTOR, "size": 2.5}]},
    "subject-text": {"subject": EMPTY.digest},
    "subject-bad-digest": {"subject": {**DESCRIPTOR, "digest": "sha256:bad"}},
    "subject-unknown-algorithm": {"subject": {**DESCRIPTOR, "digest": "md5:" + "a" * 32}},
    "subject-without-digest": {"subject": {"mediaType": OCI_IMAGE, "size": 2}},
    "annotations-list": {"annotations": []},
    "annotation-number": {"annotations": {"a": 1}},
    "artifact-type-number": {"artifactType": 1},
    "media-type-number": {"mediaType": 1},
}


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The fields with some set to another value, or removed where that is `...`."""
    return {name: value for name, value in {**base, **changes}.items() if value is not ...}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES.keys())
def test_refused_image(repository: Repository, changes: dict[str, Any]) -> None:
    """M6: 400 MANIFEST_INVALID, and nothing is stored."""
    repository.push_blob(EMPTY)
    body = json.dumps(changed(image(EMPTY, [EMPTY]).json(), **changes)).encode()
    put(repository, body, OCI_IMAGE).expect(400, code="MANIFEST_INVALID")
    put(repository, body, OCI_IMAGE, digest(body)).expect(400, code="MANIFEST_INVALID")
    repository.get("manifests/latest").expect(404)
    repository.get(f"manifests/{digest(body)}").expect(404)


@pytest.mark.parametrize(
    "changes",
    [
        {"mediaType": OCI_IMAGE},
        {"mediaType": DOCKER_LIST},
        {"config": EMPTY.descriptor()},
        {"layers": []},
        {"schemaVersion": 1},
        {"schemaVersion": ...},
        {"manifests": ...},
        {"manifests": {}},
        {"manifests": ["a"]},
        {"manifests": [{**DESCRIPTOR, "digest": "sha256:bad"}]},
        {"manifests": [{"mediaType": OCI_IMAGE, "size": 1}]},
        {"subject": {**DESCRIPTOR, "digest": "sha256:bad"}},
    ],
    ids=lambda changes: "-".join(f"{name}={json.dumps(value, default=str)[:30]}" for name, value in changes.items()),
)
def test_refused_index(repository: Repository, changes: dict[str, Any]) -> None:
    repository.push_image("other")
    body = json.dumps(changed(index().json(), **changes)).encode()
    put(repository, body, OCI_INDEX).expect(400, code="MANIFEST_INVALID")
    assert repository.tags() == ["other"]


BAD_BODIES = {
    "empty": b"",
    "text": b"hello",
    "list": b"[]",
    "number": b"2",
    "null": b"null",
    "cut": b'{"schemaVersion": 2, "config": {',
    "trailing": b'{"schemaVersion": 2, "manifests": []} {}',
    "not-utf8": b'{"schemaVersion": 2, "artifactType": "\xff\xfe", "manifests": []}',
    "nul": b"\0" * 100,
    "html": b"<html><body>404</body></html>",
    "deep-lists": b"[" * 1_000_000,
    "deep-objects": b'{"a":' * 500_000,
    "deep-unknown-field": b'{"schemaVersion": 2, "manifests": [], "x": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
    "deep-config": b'{"schemaVersion": 2, "layers": [], "config": ' + b'{"a":' * 400_000 + b"1" + b"}" * 400_000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("content_type", [OCI_IMAGE, OCI_INDEX])
def test_not_a_manifest(repository: Repository, body: bytes, content_type: str) -> None:
    repository.push_image("other")
    put(repository, body, content_type).expect(400, code="MANIFEST_INVALID")
    assert repository.tags() == ["other"]


@pytest.mark.parametrize("content_type", [DOCKER_SCHEMA_1, "application/vnd.docker.distribution.manifest.v1+prettyjws"])
def test_schema_1(repository: Repository, content_type: str) -> None:
    """M6: skopeo converts to another type on MANIFEST_INVALID alone."""
    body = {"schemaVersion": 1, "name": "a", "tag": "b", "architecture": "amd64", "fsLayers": [], "history": []}
    put(repository, json.dumps(body).encode(), content_type).expect(400, code="MANIFEST_INVALID")
    put(repository, json.dumps(body).encode(), None).expect(400, code="MANIFEST_INVALID")


@pytest.mark.parametrize("content_type", ["x", "application/", "/json", "a/b/c", "a" * 128 + "/b", "a/" + "b" * 128])
def test_content_type_that_is_none(repository: Repository, content_type: str) -> None:
    put(repository, b'{"schemaVersion": 2}', content_type).expect(400, code="MANIFEST_INVALID")


UNUSUAL: dict[str, dict[str, Any]] = {
    "unknown-fields": {"unknown": {"deep": [1, 2.5, None, True]}, "": 0, "config2": "x"},
    "no-layers": {"layers": []},
    "null-subject": {"subject": None},
    "artifact-type": {"artifactType": "application/vnd.example+type"},
    "odd-artifact-type": {"artifactType": "not a media type"},
    "empty-artifact-type": {"artifactType": ""},
    "annotations": {"annotations": {"": "", "a": "\u0000\u00e9\U0001f600", "org.example/key": "x" * 100_000}},
    "same-layer-twice": {"layers": [EMPTY.descriptor(), EMPTY.descriptor()]},
    "data": {"layers": [EMPTY.descriptor(data="e30=", artifactType="a/b", annotations={"c": "d"})]},
    "unknown-layer-type": {"layers": [{**EMPTY.descriptor(), "mediaType": "x-anything/at-all"}]},
    "layer-without-type": {"layers": [{"digest": EMPTY.digest, "size": 2}]},
    "unknown-config-type": {"config": {**EMPTY.descriptor(), "mediaType": "application/vnd.buildkit.cacheconfig.v0"}},
    "platform-in-layer": {"layers": [EMPTY.descriptor(platform={"os": "unknown", "architecture": "unknown"})]},
    "large-size": {"layers": [{**EMPTY.descriptor(), "mediaType": "a/b", "urls": ["https://x"], "size": 2**62}]},
}


@pytest.mark.parametrize("changes", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_accepted_image(repository: Repository, changes: dict[str, Any]) -> None:
    """M7: what the registry does not know is none of its business."""
    repository.push_blob(EMPTY)
    body = json.dumps(changed(image(EMPTY).json(), **changes)).encode()
    put(repository, body, OCI_IMAGE).expect(201)
    assert repository.get("manifests/latest").expect(200).body == body


FOREIGN = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
]


@pytest.mark.parametrize(
    "layer", [*({**NOWHERE, "mediaType": media_type} for media_type in FOREIGN), {**NOWHERE, "urls": ["https://x"]}]
)
def test_layers_that_may_be_elsewhere(repository: Repository, layer: dict[str, Any]) -> None:
    """M8: foreign layers are not pushed by clients."""
    present = repository.push_blob(repository.blob())
    repository.push_manifest(repository.image([present]), "first")
    repository.push_manifest(image(repository.push_blob(EMPTY), [present, layer]), "latest")


def test_missing_blobs(repository: Repository, other: Repository) -> None:
    """M8: one entry for each missing digest, whatever other repositories have."""
    present, elsewhere = repository.push_blob(repository.blob()), other.push_blob(other.blob())
    missing = [repository.blob(), repository.blob()]
    content = image(elsewhere, [present, missing[0], missing[1], missing[0]])
    for reference in ("latest", content.digest):
        answer = repository.put_manifest(content, reference).expect(400, code="MANIFEST_BLOB_UNKNOWN")
        wanted = sorted(one.digest for one in (elsewhere, *missing))
        assert sorted(error["detail"]["digest"] for error in answer.json()["errors"]) == wanted
        repository.get(f"manifests/{reference}").expect(404)


@pytest.mark.parametrize("media_type", [OCI_IMAGE, DOCKER_IMAGE])
@pytest.mark.parametrize("missing", ["config", "layer"])
def test_one_missing_blob(repository: Repository, media_type: str, missing: str) -> None:
    present, absent = repository.push_blob(repository.blob()), repository.blob()
    content = image(
        absent if missing == "config" else present, [present if missing == "config" else absent], media_type=media_type
    )
    answer = repository.put_manifest(content, "latest").expect(400, code="MANIFEST_BLOB_UNKNOWN")
    assert [error["detail"]["digest"] for error in answer.json()["errors"]] == [absent.digest]
    repository.push_blob(absent)
    repository.put_manifest(content, "latest").expect(201)


def test_blob_pushed_under_another_algorithm(repository: Repository) -> None:
    """A layer named by the algorithm under which it was pushed."""
    layer, configuration = repository.push_blob(repository.blob(), "sha512"), repository.push_blob(repository.blob())
    repository.push_manifest(image(configuration, [layer.descriptor("sha512")]), "latest")


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_lenient_indexes(repository: Repository, media_type: str) -> None:
    """M8: an index may name what is not there (sparse), or blobs (caches of older BuildKit), or nothing."""
    blob, child = repository.push_blob(repository.blob()), repository.push_image()
    cache = {**blob.descriptor(), "mediaType": "application/vnd.buildkit.cacheconfig.v0"}
    children: list[list[Any]] = [
        [],
        [NOWHERE],
        [blob, cache],
        [child, NOWHERE],
        [child.descriptor(platform={"os": "x"})],
        [child, child],
    ]
    for number, members in enumerate(children):
        repository.push_manifest(index(members, media_type=media_type), f"index-{number}")
    assert len(repository.tags()) == len(children)


def test_nested_index(repository: Repository) -> None:
    child = repository.push_image()
    for _ in range(5):
        child = repository.push_manifest(index([child]))
    repository.push_manifest(child, "latest")


def test_artifact_may_name_missing_blobs(repository: Repository) -> None:
    repository.push_manifest(artifact([NOWHERE], artifactType="a/b"), "latest")
