"""Which paths are endpoints, which names they take, which methods they allow (distribution-spec 1.1 "Endpoints")."""

from collections.abc import Callable

import bcrypt
import pytest

from harness.content import OCI_IMAGE, digest
from harness.http import Client
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server

D = digest(b"unknown")
UPLOAD = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
@pytest.mark.parametrize("query", ["", "?ns=docker.io&account=somebody"])
def test_ping(client: Client, path: str, query: str) -> None:
    """G1: with and without the final slash, the same empty object."""
    answer = client.get(path + query).expect(200)
    assert answer.json() == {}
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_root_answers_load_balancers(registry: Server) -> None:
    plain = Client(registry)
    assert plain.get("/").status == 200
    assert plain.head("/").status == 200
    assert plain.get("/healthz").status == 200
    assert plain.get("/readyz").status == 200


@pytest.mark.parametrize("path", ["/v2/_oci/ext/discover", "/v2/a/b/_oci/ext/discover"])
def test_extensions(client: Client, path: str) -> None:
    """1.2: asked by clients that look for more than the specification has."""
    assert isinstance(client.get(path).expect(200).json()["extensions"], list)


@pytest.mark.parametrize("credentials", ["Basic Og==", "Basic eDp5", "Bearer x", "Basic ???", "Nonsense", ""])
def test_credentials_nobody_asked_for(repository: Repository, credentials: str) -> None:
    """An open registry does not mind them; skopeo sends an empty user."""
    repository.push_image("latest")
    for path in ("/v2/", repository.url("manifests/latest"), repository.url("tags/list")):
        repository.client.get(path, {"Authorization": credentials}).expect(200)


UNKNOWN_PATHS = [
    "/v2/_unknown",
    "/v2/a/b",
    "/v2/a/manifests",
    "/v2/a/manifests/",
    "/v2/a/blobs",
    "/v2/a/blobs/",
    "/v2/a/tags",
    "/v2/a/tags/",
    "/v2/a/tags/lists",
    "/v2/a/referrers/",
    "/v2/manifests/latest",
    "/v2/tags/list",
    "/v2/library/alpine/unknown/thing",
    "/v2/_catalog/more",
    "/v2/a/_holdfast/unknown",
    "/v2//",
    "/v2/a/blobs/uploads/x/y",
]


@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_paths_are_told_in_json(client: Client, path: str) -> None:
    """A client that meets HTML here gives up its pull; so JSON, 404 (or 400 for what cannot be a name)."""
    client.get(path).expect(400, 404)


VALID_NAMES = {
    "short": "a",
    "digit": "0",
    "path": "a/b/c",
    "separators": "a.b/c_d/e__f/g-h/i---j",
    "blobs": "foo/blobs",
    "manifests": "a/manifests/b",
    "uploads": "x/blobs/uploads",
    "uploads-id": f"x/blobs/uploads/{UPLOAD}",
    "tags-list": "tags/list",
    "a-tags-list": "a/tags/list",
    "referrers": "a/referrers/b",
    "v2": "v2",
    "catalog": "catalog",
    "manifests-alone": "manifests/latest",
    "longest": "n" * 255,
    "deepest": "a/" * 127 + "a",
}


@pytest.mark.parametrize("name", VALID_NAMES.values(), ids=VALID_NAMES.keys())
def test_whole_life_under_each_valid_name(client: Client, name: str) -> None:
    """G10, N: paths are read from the right, so names may contain the words of the protocol."""
    repository = Repository(client, name)
    upload = repository.open_upload()
    assert upload.startswith(f"/v2/{name}/blobs/uploads/")
    client.get(upload).expect(204)
    client.delete(upload).expect(204)
    manifest = repository.push_image("latest", subject={"mediaType": OCI_IMAGE, "digest": D, "size": 7})
    layer = manifest.json()["layers"][0]["digest"]
    assert repository.get(f"blobs/{layer}").expect(200).headers["Docker-Content-Digest"] == layer
    assert repository.get("manifests/latest").expect(200).body == manifest.body
    assert repository.tags() == ["latest"]
    assert [entry["digest"] for entry in repository.referrers(D)] == [manifest.digest]
    assert client.get("/v2/_catalog?n=1000").expect(200).json()["repositories"].count(name) == 1
    repository.delete("_holdfast/repository").expect(202)
    repository.get("tags/list").expect(404)


INVALID_NAMES = {
    "upper": "A",
    "upper-part": "a/B",
    "leading-dash": "-a",
    "final-dash": "a-",
    "leading-underscore": "a/_b",
    "final-underscore": "a_",
    "leading-dot": ".a",
    "final-dot": "a.",
    "two-dots": "a..b",
    "three-underscores": "a___b",
    "mixed-separators": "a._b",
    "separator-after-slash": "a/-b",
    "empty-part": "a//b",
    "too-long": "n" * 256,
    "too-deep": "a/" * 10_000 + "a",
    "parent": "..",
    "parent-part": "a/../b",
    "encoded-parent": "a%2f..%2fb",
    "encoded-parent-outside": "..%2f..%2f..%2fetc",
    "double-encoded": "a%252fb",
    "current": "a/./b",
    "space": "a%20b",
    "newline": "a%0a",
    "nul": "a%00b",
    "not-ascii": "%c3%a9",
    "not-utf8": "%ff%fe",
    "not-ascii-digit": "%d9%a1",
    "backslash": "a%5cb",
    "colon": "a:b",
    "at": "a@b",
    "semicolon": "a;b",
}
NAMED: list[tuple[str, str]] = [
    ("GET", "tags/list"),
    ("HEAD", f"blobs/{D}"),
    ("GET", "manifests/latest"),
    ("PUT", "manifests/latest"),
    ("POST", "blobs/uploads/"),
    ("GET", f"blobs/uploads/{UPLOAD}"),
    ("GET", f"referrers/{D}"),
    ("DELETE", "manifests/latest"),
    ("DELETE", "_holdfast/repository"),
]


@pytest.mark.parametrize("name", INVALID_NAMES.values(), ids=INVALID_NAMES.keys())
def test_invalid_names(client: Client, direct: Client, name: str) -> None:
    """N: 400 NAME_INVALID from every endpoint, and nothing is made by it."""
    before = client.get("/v2/_catalog?n=1000").body
    for method, tail in NAMED:
        direct.request(method, f"/v2/{name}/{tail}").expect(400, code="NAME_INVALID")
    assert client.get("/v2/_catalog?n=1000").body == before


METHODS = [
    ("/v2/", "GET HEAD OPTIONS"),
    ("/v2/_catalog", "GET HEAD OPTIONS"),
    ("/v2/a/tags/list", "GET HEAD OPTIONS"),
    (f"/v2/a/blobs/{D}", "GET HEAD DELETE OPTIONS"),
    ("/v2/a/manifests/latest", "GET HEAD PUT DELETE OPTIONS"),
    ("/v2/a/blobs/uploads/", "POST OPTIONS"),
    ("/v2/a/blobs/uploads", "POST OPTIONS"),
    (f"/v2/a/blobs/uploads/{UPLOAD}", "GET HEAD PATCH PUT DELETE OPTIONS"),
    (f"/v2/a/referrers/{D}", "GET HEAD OPTIONS"),
]


@pytest.mark.parametrize(("path", "allowed"), METHODS)
def test_methods(client: Client, direct: Client, path: str, allowed: str) -> None:
    """G13: what an endpoint does not do is 405 UNSUPPORTED, and Allow lists what it does; OPTIONS tells the same."""
    options = client.request("OPTIONS", path).expect(200, 204)
    assert set(options.headers["Allow"].replace(" ", "").split(",")) == set(allowed.split())
    for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - set(allowed.split()):
        answer = direct.request(method, path).expect(405, code="UNSUPPORTED")
        assert set(answer.headers["Allow"].replace(" ", "").split(",")) == set(allowed.split())


@pytest.fixture(scope="session")
def closed(start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that lets nobody in without a password."""
    accounts = tmp_path_factory.mktemp("accounts") / "htpasswd"
    accounts.write_bytes(b"somebody:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n")
    return start_server(storage="inmemory", auth_htpasswd_path=str(accounts), auth_htpasswd_realm="Test")


@pytest.mark.parametrize("path", ["/v2/", "/v2/_catalog", f"/v2/a/blobs/{D}", "/v2/a/manifests/latest"])
def test_options_answers_before_authentication(closed: Server, path: str) -> None:
    """A browser's preflight carries no credentials; the request after it does."""
    client = Client(closed, check=every_answer)
    preflight = {"Origin": "https://ui.example.com", "Access-Control-Request-Method": "GET"}
    assert "GET" in client.request("OPTIONS", path, preflight).expect(200, 204).headers["Allow"]
    client.get(path).expect(401, code="UNAUTHORIZED")
    assert client.head(path).expect(401).headers["WWW-Authenticate"] == 'Basic realm="Test"'


@pytest.mark.parametrize("path", ["/v2/unknown", "/v2/UPPER/tags/list", "/v2/a/tags/list"])
def test_nothing_is_told_before_authentication(closed: Server, path: str) -> None:
    """A9: what exists and what does not look alike."""
    Client(closed, check=every_answer).get(path).expect(401, code="UNAUTHORIZED")


@pytest.mark.parametrize("colon", [":", "%3A", "%3a"])
def test_encoded_colon_of_a_digest(repository: Repository, colon: str) -> None:
    """G11: the same path."""
    blob = repository.push_blob(repository.blob())
    manifest = repository.push_image()
    encoded = blob.digest.replace(":", colon)
    assert repository.get(f"blobs/{encoded}").expect(200).headers["Docker-Content-Digest"] == blob.digest
    repository.get(f"manifests/{manifest.digest.replace(':', colon)}").expect(200)
    repository.get(f"referrers/{manifest.digest.replace(':', colon)}").expect(200)
    repository.client.post(repository.url(f"blobs/uploads/?mount={encoded}&from={repository.name}")).expect(201)


def test_unknown_parameters_are_ignored(repository: Repository) -> None:
    """G9: mirrors add `ns`, crane adds `origin`."""
    extra = "ns=docker.io&origin=a%2Fb&account=x&client_id=docker&flag"
    blob = repository.blob()
    upload = repository.open_upload(f"?{extra}")
    repository.client.put(
        f"{upload}{'&' if '?' in upload else '?'}{extra}&digest={blob.digest}", body=blob.body
    ).expect(201)
    manifest = repository.image()
    repository.put_manifest(manifest, "latest", f"?{extra}").expect(201)
    for tail in (f"blobs/{blob.digest}", "manifests/latest", "tags/list", f"referrers/{manifest.digest}"):
        repository.get(f"{tail}?{extra}").expect(200)
    repository.client.get(f"/v2/_catalog?{extra}").expect(200)


BAD_DIGESTS = {
    "word": "sha256:totallywrong",
    "bad-digest-string": "sha256:baddigeststring",
    "short": "sha256:" + "a" * 63,
    "long": "sha256:" + "a" * 65,
    "upper-case": "sha256:" + "A" * 64,
    "upper-case-algorithm": "SHA256:" + "a" * 64,
    "not-hexadecimal": "sha256:" + "g" * 64,
    "no-algorithm": ":" + "a" * 64,
    "nothing-encoded": "sha256:",
    "length-of-another": "sha512:" + "a" * 64,
    "md5": "md5:" + "a" * 32,
    "blake3": "blake3:" + "a" * 64,
    "final-newline": "sha256:" + "a" * 64 + "%0a",
    "traversal": "sha256:%2e%2e",
}


@pytest.mark.parametrize("bad", BAD_DIGESTS.values(), ids=BAD_DIGESTS.keys())
def test_bad_digests(repository: Repository, bad: str) -> None:
    """N: 400 DIGEST_INVALID wherever a digest stands in a path."""
    repository.push_image("latest")
    client = repository.client
    for method in ("GET", "HEAD", "DELETE"):
        client.request(method, repository.url(f"blobs/{bad}")).expect(400, code="DIGEST_INVALID")
        client.request(method, repository.url(f"manifests/{bad}")).expect(400, code="DIGEST_INVALID")
    repository.get(f"referrers/{bad}").expect(400, code="DIGEST_INVALID")
    repository.put_manifest(repository.image(), bad).expect(400, code="DIGEST_INVALID")
    assert repository.tags() == ["latest"]


def test_blob_reference_without_algorithm(repository: Repository) -> None:
    repository.push_image("latest")
    repository.get("blobs/latest").expect(400, code="DIGEST_INVALID")
    repository.get(f"blobs/{D.removeprefix('sha256:')}").expect(400, code="DIGEST_INVALID")
    repository.get("referrers/latest").expect(400, code="DIGEST_INVALID")
