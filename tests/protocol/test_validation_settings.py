"""The `validation` section: which URLs layers may name, and which children of an index have to exist."""

from collections.abc import Callable

import pytest

from harness.content import DOCKER_IMAGE, OCI_IMAGE, OCI_LAYER_GZIP, Content, Fields, blob, config, image, index
from harness.http import Client
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
GOOD = "https://layers.example.com/one"

ALLOW_AND_DENY = {
    "validation_manifests_urls_allow": r'["^https?://([^/]+\\.)*example\\.com/", "^https://other\\.example/"]',
    "validation_manifests_urls_deny": r'["^https?://www\\.example\\.com/"]',
}


@pytest.fixture
def serving(start_server: Callable[..., Server], request: pytest.FixtureRequest) -> Callable[..., Repository]:
    """Makes a repository of a server with settings."""

    def make(**settings: str) -> Repository:
        client = Client(start_server(storage="inmemory", **settings), check=every_answer)
        return Repository(client, f"validation/{abs(hash(request.node.name))}")

    return make


def foreign(repository: Repository, *urls: str, layer_type: str = FOREIGN, media_type: str = OCI_IMAGE) -> Content:
    """An image with a layer that lies at `urls` only."""
    layer = blob("elsewhere").descriptor() | {"mediaType": layer_type, "urls": list(urls)}
    return image(repository.push_blob(config("x")), [layer], media_type=media_type)


def refusal(repository: Repository, content: Content) -> str:
    """What is said of a manifest that is refused; one that is refused leaves nothing."""
    answer = repository.put_manifest(content, "latest").expect(400, code="MANIFEST_INVALID")
    repository.get("manifests/latest").expect(404)
    message: str = answer.json()["errors"][0]["message"]
    return message


@pytest.mark.parametrize("media_type", [FOREIGN, NONDISTRIBUTABLE, OCI_LAYER_GZIP])
def test_every_url_is_allowed_by_default(serving: Callable[..., Repository], media_type: str) -> None:
    """M8: the protocol's tests push such manifests, and clients do not push such layers."""
    repository = serving()
    for image_type in (OCI_IMAGE, DOCKER_IMAGE):
        content = foreign(repository, GOOD, "ftp://x/y#z", layer_type=media_type, media_type=image_type)
        repository.push_manifest(content, "latest")


URLS = {
    GOOD: "",
    "http://example.com/": "",
    "https://other.example/x": "",
    "https://www.example.com/x": "validation.manifests.urls.deny has a pattern for it",
    "https://example.org/": "validation.manifests.urls.allow has no pattern for it",
    "ftp://example.com/x": "it has to be http or https",
    "https://layers.example.com/one#part": "without a fragment",
    "https://layers.example.com/" + "x" * 3000: "at most 2048 characters",
    "https://[example.com/": "it has to be http or https",
    "": "it has to be http or https",
}


@pytest.mark.parametrize("url", URLS)
def test_allowed_and_denied(serving: Callable[..., Repository], url: str) -> None:
    """The answer names the URL and the setting."""
    repository = serving(**ALLOW_AND_DENY)
    for media_type in (FOREIGN, NONDISTRIBUTABLE):
        content = foreign(repository, GOOD, url, layer_type=media_type)
        if URLS[url]:
            said = refusal(repository, content)
            assert URLS[url] in said
            assert repr(url[:200]) in said
        else:
            repository.push_manifest(content, "latest")


def test_urls_that_nobody_fetches(serving: Callable[..., Repository]) -> None:
    """registry:2 takes them, whatever the patterns say."""
    repository = serving(**ALLOW_AND_DENY)
    layer = repository.push_blob(repository.blob(media_type="application/vnd.docker.image.rootfs.diff.tar.gzip"))
    odd = {"urls": ["ftp://elsewhere"]}
    configuration = repository.push_blob(config("x")).descriptor() | odd
    repository.push_manifest(image(configuration, [layer.descriptor() | odd], media_type=DOCKER_IMAGE), "latest")


def test_only_denied(serving: Callable[..., Repository]) -> None:
    repository = serving(validation_manifests_urls_deny='["^http:"]')
    assert "urls.deny" in refusal(repository, foreign(repository, "http://example.com/"))
    repository.push_manifest(foreign(repository, "https://anything.example/"), "latest")


@pytest.mark.parametrize("settings", [{"validation_manifests_urls": "{}"}, {"validation_enabled": "true"}], ids=str)
def test_none_allowed(serving: Callable[..., Repository], settings: dict[str, str]) -> None:
    """registry:2's default, for those who ask for it: the section is there, and its lists are empty."""
    repository = serving(**settings)
    said = refusal(repository, foreign(repository, GOOD))
    assert "validation.manifests.urls allows none" in said
    assert GOOD in said


def test_disabled(serving: Callable[..., Repository]) -> None:
    rules = {"validation_manifests_indexes_platforms": "all", **ALLOW_AND_DENY}
    repository = serving(validation_disabled="true", **rules)
    repository.push_manifest(foreign(repository, "ftp://example.org/"), "latest")
    repository.push_manifest(index([blob("nowhere")]), "index")


def child(seed: str, **platform: object) -> Fields:
    return image(config(seed)).descriptor() | ({"platform": platform} if platform else {})


def test_children_by_default(serving: Callable[..., Repository]) -> None:
    """M8: sparse indexes are pushed by skopeo and regctl."""
    repository = serving()
    repository.push_manifest(index([child("a", os="linux", architecture="amd64")]), "latest")


def test_every_child_has_to_exist(serving: Callable[..., Repository]) -> None:
    """A child may be a manifest or (as BuildKit's caches have it) a blob; what is missing is named with the setting."""
    repository = serving(validation_manifests_indexes_platforms="all")
    there = [repository.push_image(), repository.push_blob(repository.blob())]
    missing = child("missing")
    answer = repository.put_manifest(index([*there, missing]), "latest").expect(400, code="MANIFEST_BLOB_UNKNOWN")
    [error] = answer.json()["errors"]
    assert error["detail"] == {"digest": missing["digest"]}
    assert "validation.manifests.indexes.platforms" in error["message"]
    repository.push_manifest(index(there), "latest")
    repository.push_manifest(index([]), "empty")
    repository.put_manifest(image(blob("missing")), "image").expect(400, code="MANIFEST_BLOB_UNKNOWN")


PLATFORMS = "[{os: linux, architecture: amd64}, {os: windows, architecture: amd64}]"


@pytest.mark.parametrize(
    ("platform", "wanted"),
    [
        ({"os": "linux", "architecture": "amd64"}, True),
        ({"os": "windows", "architecture": "amd64", "os.version": "10.0"}, True),
        ({"os": "linux", "architecture": "arm64"}, False),
        ({"os": "unknown", "architecture": "unknown"}, False),
        ({"os": "linux"}, False),
        ({"os": 7, "architecture": ["amd64"]}, False),
        ({}, False),
    ],
    ids=str,
)
def test_children_of_some_platforms(
    serving: Callable[..., Repository], platform: dict[str, object], wanted: bool
) -> None:
    repository = serving(
        validation_manifests_indexes_platforms="list", validation_manifests_indexes_platformlist=PLATFORMS
    )
    answer = repository.put_manifest(index([child("missing", **platform)]), "latest")
    if wanted:
        answer.expect(400, code="MANIFEST_BLOB_UNKNOWN")
    else:
        answer.expect(201)


def test_a_platform_that_is_none(serving: Callable[..., Repository]) -> None:
    """M7: no field is wrong that nobody needs."""
    settings: dict[str, str]
    for settings in ({}, {"validation_manifests_indexes_platforms": "all"}):
        repository = serving(**settings)
        odd: object
        for odd in ("x", [], 7, None):
            there = repository.push_image().descriptor(platform=odd)
            repository.push_manifest(index([there]), "latest")
