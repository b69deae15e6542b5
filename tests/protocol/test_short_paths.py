"""Tags and manifests without `/v2` in front, as people type them into curl; and what is left of Docker's first protocol."""

from collections.abc import Callable

import bcrypt
import pytest

from harness.content import OCI_IMAGE, digest
from harness.http import Client, Response
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server, wait_until

VARYING = {"date"}


def same(short: Response, full: Response) -> None:
    """Raise unless two answers are alike in everything."""
    assert (short.status, short.body) == (full.status, full.body)
    kept = [[field for field in answer.headers if field[0].lower() not in VARYING] for answer in (short, full)]
    assert kept[0] == kept[1]


TAILS = [
    "tags/list",
    "tags/list?n=1",
    "tags/list?n=x",
    "manifests/latest",
    "manifests/unknown",
    "manifests/.bad",
    "manifests/sha256:bad",
    f"manifests/{digest(b'unknown')}",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_twins(repository: Repository, other: Repository, method: str) -> None:
    """The same answer, headers and errors included, to the end of the path."""
    repository.push_image("latest", "second")
    request = repository.client.request
    for name in (repository.name, other.name, "UPPER"):
        for tail in TAILS:
            full = request(method, f"/v2/{name}/{tail}")
            short = request(method, f"/{name}/{tail}")
            if method == "OPTIONS":
                assert short.expect(200).headers["Allow"] == "GET, HEAD, OPTIONS"
            else:
                same(short, full)


def test_as_the_slides_have_it(repository: Repository) -> None:
    content = repository.push_image("18.04")
    listed = repository.client.get(f"/{repository.name}/tags/list").expect(200)
    assert listed.json() == {"name": repository.name, "tags": ["18.04"]}
    shown = repository.client.get(f"/{repository.name}/manifests/18.04", {"Accept": "*/*"}).expect(200)
    assert shown.body == content.body
    assert shown.headers["Content-Type"] == OCI_IMAGE


def test_next_page(repository: Repository) -> None:
    """Link leads to the address of the protocol."""
    repository.push_image("one", "two")
    link = repository.client.get(f"/{repository.name}/tags/list?n=1").expect(200).headers["Link"]
    assert link == f'</v2/{repository.name}/tags/list?n=1&last=one>; rel="next"'


@pytest.mark.parametrize("tail", ["tags/list", "manifests/latest", f"manifests/{digest(b'unknown')}"])
def test_only_reading(repository: Repository, tail: str) -> None:
    repository.push_image("latest")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = repository.client.request(method, f"/{repository.name}/{tail}").expect(405, code="UNSUPPORTED")
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert repository.tags() == ["latest"]


@pytest.mark.parametrize(
    "tail", ["blobs/{}", "blobs/uploads/", "referrers/{}", "tags", "manifests/", "_holdfast/repository"]
)
def test_nothing_else(repository: Repository, tail: str) -> None:
    repository.push_image("latest")
    path = tail.format(digest(b"unknown"))
    repository.client.get(f"/{repository.name}/{path}").expect(404, code="UNSUPPORTED")


NAMES = ["healthz", "readyz", "tags/list", "x/manifests/y", "manifests/latest", "v1", "v2", "v2x/a", "v1x/a"]


@pytest.mark.parametrize("name", NAMES)
def test_names_like_other_paths(client: Client, name: str) -> None:
    """Read from the right, as under /v2; only what begins with /v1/ or /v2/ is never a short path."""
    repository = Repository(client, name)
    content = repository.push_image("latest")
    reserved = name in {"v1", "v2"}
    for tail in ("tags/list", "manifests/latest"):
        short = client.get(f"/{name}/{tail}")
        if reserved:
            short.expect(404, code="UNSUPPORTED")
        else:
            same(short, repository.get(tail).expect(200))
    assert repository.get("manifests/latest").body == content.body


def test_under_v2_the_protocol_goes_first(client: Client) -> None:
    """`/v2/a/tags/list` is about `a`, whether or not there is a repository `v2/a`."""
    plain, nested = Repository(client, "ambiguous"), Repository(client, "v2/ambiguous")
    nested.push_image("nested")
    client.get("/v2/ambiguous/tags/list").expect(404, code="NAME_UNKNOWN")
    plain.push_image("plain")
    assert client.get("/v2/ambiguous/tags/list").expect(200).json()["tags"] == ["plain"]
    assert client.get("/v2/v2/ambiguous/tags/list").expect(200).json()["tags"] == ["nested"]


OLD_PATHS = [
    "/v1/_ping",
    "/v1/",
    "/v1/users/",
    "/v1/repositories/library/a/images",
    "/v1/search?q=a",
    "/v1/a/tags/list",
]


@pytest.mark.parametrize("path", OLD_PATHS)
def test_clients_of_the_first_protocol_are_told(client: Client, path: str) -> None:
    for method in ("GET", "HEAD", "PUT", "POST"):
        answer = client.request(method, path).expect(404, code="UNSUPPORTED")
        if method != "HEAD":
            assert "V2" in answer.json()["errors"][0]["message"]
            assert "Docker 1.6 or newer" in answer.json()["errors"][0]["message"]


@pytest.fixture(scope="session")
def guarded(start_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A server that lets nobody in without a password."""
    accounts = tmp_path_factory.mktemp("short") / "htpasswd"
    accounts.write_bytes(b"somebody:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)) + b"\n")
    return start_server(storage="inmemory", auth_htpasswd_path=str(accounts), auth_htpasswd_realm="Test")


SIGNED_IN = {"Authorization": "Basic c29tZWJvZHk6c2VjcmV0"}


@pytest.mark.parametrize("tail", ["tags/list", "manifests/latest", "manifests/unknown"])
def test_same_rights(guarded: Server, tail: str) -> None:
    """Nothing is to be had by leaving /v2 out."""
    repository = Repository(Client(guarded, headers=SIGNED_IN, check=every_answer), "guarded")
    repository.push_image("latest")
    stranger = Client(guarded, check=every_answer)
    for method in ("GET", "HEAD"):
        refused = stranger.request(method, f"/guarded/{tail}").expect(401, code="UNAUTHORIZED")
        assert refused.headers["WWW-Authenticate"] == 'Basic realm="Test"'
        same(refused, stranger.request(method, f"/v2/guarded/{tail}"))
        same(
            repository.client.request(method, f"/guarded/{tail}"),
            repository.client.request(method, f"/v2/guarded/{tail}"),
        )
    stranger.delete(f"/guarded/{tail}").expect(401, code="UNAUTHORIZED")
    stranger.get("/v1/_ping").expect(404, code="UNSUPPORTED")


def test_in_the_access_log(guarded: Server) -> None:
    """With the path as it was asked for, and who asked."""
    Client(guarded, headers=SIGNED_IN).get("/logged/tags/list").expect(404)

    def logged() -> bool:
        lines = [line for line in guarded.log_text().splitlines() if "path=/logged/tags/list" in line]
        return any("status=404" in line and "user=somebody" in line for line in lines)

    wait_until(logged, "the line of the request")
