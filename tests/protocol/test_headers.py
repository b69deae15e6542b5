"""Headers of every answer, or of every answer of a kind. (`harness.rules` checks more of them on each answer.)"""

import time
from collections.abc import Callable

import pytest

from harness.content import EMPTY, digest, index
from harness.http import Client, Connection
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server

D = digest(b"unknown")


@pytest.fixture
def filled(repository: Repository) -> Repository:
    """`repository` with an image `latest`, an index `index` and the blob `{}`."""
    repository.push_blob(EMPTY)
    repository.push_manifest(index([repository.push_image("latest")]), "index")
    return repository


HEADABLE = [
    "/v2/",
    "/v2",
    "/v2/_catalog?n=1",
    "/v2/{name}/tags/list",
    "/v2/{name}/tags/list?n=1",
    "/v2/{name}/tags/list?n=x",
    "/v2/{name}/manifests/latest",
    "/v2/{name}/manifests/index",
    "/v2/{name}/manifests/unknown",
    "/v2/{name}/manifests/sha256:bad",
    "/v2/{name}/blobs/" + EMPTY.digest,
    "/v2/{name}/blobs/" + D,
    "/v2/{name}/referrers/" + D,
    "/v2/{name}/referrers/" + D + "?artifactType=a/b",
    "/v2/{name}/blobs/uploads/unknown",
    "/v2/{name}/unknown",
    "/v2/UPPER/tags/list",
]


@pytest.mark.parametrize("path", HEADABLE)
def test_head_is_get_without_the_body(filled: Repository, path: str) -> None:
    """G3: the same status and headers, the real length among them."""
    target = path.format(name=filled.name)
    varying = {"date", "x-request-id"}
    get, head = filled.client.get(target), filled.client.head(target)
    assert head.status == get.status
    assert head.body == b""
    assert {(name.lower(), value) for name, value in head.headers if name.lower() not in varying} == {
        (name.lower(), value) for name, value in get.headers if name.lower() not in varying
    }
    assert get.headers["Content-Length"] == str(len(get.body))


def test_head_and_get_of_an_upload(repository: Repository) -> None:
    upload = repository.open_upload()
    get, head = repository.client.get(upload).expect(204), repository.client.head(upload).expect(204)
    for name in ("Location", "Range", "Docker-Upload-UUID"):
        assert get.headers[name] == head.headers[name]


@pytest.mark.parametrize("connection", ["close", "keep-alive", "Close", "upgrade"])
def test_connections(filled: Repository, connection: str) -> None:
    """G17: kept unless the client says otherwise."""
    with filled.client.connect() as kept:
        for _ in range(3):
            answer = kept.request("GET", filled.url("manifests/latest"), {"Connection": connection}).expect(200)
            every_answer(answer)
            if connection.lower() == "close":
                assert kept.read_to_end() == b""
                return
        kept.request("GET", "/v2/", {"Connection": "close"}).expect(200)
        assert kept.read_to_end() == b""


def test_pipelined_requests(filled: Repository) -> None:
    """Answers come in the order of the requests."""
    with filled.client.connect() as connection:
        for path in ("tags/list", "manifests/unknown", "manifests/latest"):
            connection.send_head("GET", filled.url(path))
        assert [connection.receive().status for _ in range(3)] == [200, 404, 200]


def test_http_1_0(filled: Repository, registry: Server) -> None:
    with Connection(registry) as connection:
        connection.send(f"GET {filled.url('tags/list')} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
        assert connection.receive().expect(200).json()["tags"] == ["index", "latest"]
        assert connection.read_to_end() == b""


def test_small_answers_come_at_once(filled: Repository) -> None:
    """A head and body that go out as two packets cost 40 ms each time; a hundred requests show it."""
    with filled.client.connect() as connection:
        connection.request("GET", filled.url("manifests/latest")).expect(200)
        start = time.monotonic()
        for _ in range(100):
            connection.request("GET", filled.url("manifests/latest")).expect(200)
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_errors_before_anything_is_looked_up(client: Client, method: str) -> None:
    """G2, G13: the version header and the error form, even where no endpoint is."""
    client.request(method, "/v2/there/is/no/such/endpoint").expect(404, code="UNSUPPORTED")


@pytest.fixture(scope="session")
def hosted(start_server: Callable[..., Server]) -> Server:
    """A server that knows its address."""
    return start_server(storage="inmemory", http_host="https://registry.example.com")


@pytest.fixture(scope="session")
def hosted_relative(start_server: Callable[..., Server]) -> Server:
    """A server that knows its address, but is told not to say it."""
    return start_server(storage="inmemory", http_host="https://registry.example.com", http_relativeurls="true")


@pytest.mark.parametrize(
    ("fixture", "prefix"), [("hosted", "https://registry.example.com/v2/"), ("hosted_relative", "/v2/")]
)
def test_locations_of_a_server_with_an_address(request: pytest.FixtureRequest, fixture: str, prefix: str) -> None:
    """G6: path-absolute unless `http.host` is set; never made of what the client says."""
    client = Client(request.getfixturevalue(fixture), headers={"X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil"})
    opened = client.post("/v2/a/blobs/uploads/").expect(202).headers["Location"]
    assert opened.startswith(prefix)
    path = "/v2/" + opened.split("/v2/", 1)[1]
    patched = client.patch(path, body=b"abc").expect(202).headers["Location"]
    assert patched.startswith(prefix)
    closed = client.put(f"/v2/{patched.split('/v2/', 1)[1]}?digest={digest(b'abc')}").expect(201).headers["Location"]
    assert closed == f"{prefix}a/blobs/{digest(b'abc')}"
    body = index().body
    pushed = client.put("/v2/a/manifests/latest", body=body).expect(201).headers["Location"]
    assert pushed == f"{prefix}a/manifests/{digest(body)}"


@pytest.mark.parametrize("host", ["evil.example.com", "[::1]:5000", "a:99999", "x" * 200])
def test_host_is_not_repeated(client: Client, host: str) -> None:
    """G6: a proxy's Host must not turn up in a Location."""
    opened = client.post("/v2/host/blobs/uploads/", {"Host": host}).expect(202)
    assert opened.headers["Location"].startswith("/v2/host/blobs/uploads/")


def test_configured_headers(start_server: Callable[..., Server]) -> None:
    """`http.headers` go with every answer, errors included; nosniff is its default."""
    server = start_server(storage="inmemory")
    for path in ("/v2/", "/v2/a/tags/list"):
        assert Client(server).get(path).headers["X-Content-Type-Options"] == "nosniff"
