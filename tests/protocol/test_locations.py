"""Locations and links behind any proxy: right without configuration, and under `http.prefix` and `http.host` with it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from harness.content import digest, index
from harness.http import Client
from harness.repository import with_query
from harness.server import Server

HOST = "https://registry.example.com"
ENGINES = ("granian", "uvicorn")
# Settings, where the paths of the protocol begin, and what stands before Locations.
SETUPS: dict[str, tuple[dict[str, str], str, str]] = {
    "plain": ({}, "", ""),
    "host-with-path": ({"http_host": f"{HOST}/behind/"}, "", f"{HOST}/behind"),
    "host-relative": ({"http_host": HOST, "http_relativeurls": "true"}, "", ""),
    "prefix": ({"http_prefix": "/registry/"}, "/registry", "/registry"),
    "prefix-root": ({"http_prefix": "/"}, "", ""),
    "prefix-host": ({"http_prefix": "/registry", "http_host": HOST}, "/registry", f"{HOST}/registry"),
    "prefix-host-relative": (
        {"http_prefix": "/registry", "http_host": HOST, "http_relativeurls": "true"},
        "/registry",
        "/registry",
    ),
}
FORWARDED: dict[str, dict[str, str]] = {
    "nothing": {},
    "nginx": {
        "Host": "registry.example.org",
        "X-Real-IP": "203.0.113.7",
        "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
        "X-Forwarded-Proto": "https",
    },
    "traefik": {
        "X-Forwarded-Host": "hub.example.org",
        "X-Forwarded-Port": "443",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Server": "node7",
        "X-Forwarded-Prefix": "/elsewhere",
    },
    "standard": {"Forwarded": 'for=203.0.113.7;host="hub.example.org";proto=https'},
    "hostile": {
        "Host": "evil.example.net:99999",
        "X-Forwarded-Host": "evil.example.net",
        "X-Forwarded-Proto": "javascript",
        "X-Forwarded-Prefix": "//evil.example.net",
        "X-Original-URL": "/evil",
        "X-Rewrite-URL": "/evil",
        "Forwarded": 'host="evil.example.net";proto=gopher',
    },
    "hostile-host": {"Host": "evil.example.net/%0d%0aX: y"},
}


@dataclass(frozen=True)
class Setup:
    """A server with where its paths begin (`inner`) and what its Locations begin with (`outer`)."""

    server: Server
    inner: str
    outer: str


@pytest.fixture(scope="module", params=SETUPS)
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """A server of each kind; the engines take turns."""
    settings, inner, outer = SETUPS[request.param]
    engine = ENGINES[list(SETUPS).index(request.param) % 2]
    keys = {"storage": "inmemory", "server.engine": engine, "storage.delete.enabled": "true"}
    keys |= {key.replace("_", "."): value for key, value in settings.items()}
    with Server(tmp_path_factory.mktemp(request.param), keys) as server:
        yield Setup(server, inner, outer)


def within(setup: Setup, location: str) -> str:
    """The path behind a Location, as a proxy hands it on."""
    assert location.startswith(f"{setup.outer}/v2/"), location
    return setup.inner + location.removeprefix(setup.outer)


@pytest.mark.parametrize("headers", FORWARDED.values(), ids=FORWARDED.keys())
def test_a_push_behind_a_proxy(setup: Setup, headers: dict[str, str]) -> None:
    """G6: every Location is made of the settings alone, and leads on."""
    client = Client(setup.server, headers=headers)
    base, outer = f"{setup.inner}/v2/a", f"{setup.outer}/v2/a"
    opened = client.post(f"{base}/blobs/uploads/").expect(202).headers["Location"]
    assert opened.startswith(f"{outer}/blobs/uploads/")
    patched = client.patch(within(setup, opened), body=b"abc").expect(202).headers["Location"]
    assert client.get(within(setup, patched)).expect(204).headers["Location"].startswith(f"{outer}/blobs/uploads/")
    blob = digest(b"abc")
    closed = client.put(with_query(within(setup, patched), f"digest={blob}")).expect(201)
    assert closed.headers["Location"] == f"{outer}/blobs/{blob}"
    assert client.get(within(setup, closed.headers["Location"])).expect(200).body == b"abc"
    mounted = client.post(f"{setup.inner}/v2/b/blobs/uploads/?mount={blob}&from=a").expect(201)
    assert mounted.headers["Location"] == f"{setup.outer}/v2/b/blobs/{blob}"
    body = index().body
    pushed = client.put(f"{base}/manifests/latest", body=body).expect(201).headers["Location"]
    assert pushed == f"{outer}/manifests/{digest(body)}"
    assert client.get(within(setup, pushed)).expect(200).body == body


def test_links(setup: Setup) -> None:
    """Path-absolute with the prefix, never with a host, as registry:2 has them."""
    client, inner = Client(setup.server, headers=FORWARDED["hostile"]), setup.inner
    subject = digest(b"subject")
    for name in ("m", "n"):
        for tag in ("one", "two"):
            fields = {"mediaType": "a/b", "digest": subject, "size": 1}
            body = index(subject=fields, annotations={"tag": tag}).body
            client.put(f"{inner}/v2/{name}/manifests/{tag}", body=body).expect(201)
    lists = {
        f"{inner}/v2/_catalog": f"{inner}/v2/_catalog?",
        f"{inner}/v2/m/tags/list": f"{inner}/v2/m/tags/list?",
        f"{inner}/m/tags/list": f"{inner}/v2/m/tags/list?",
        f"{inner}/v2/m/referrers/{subject}": f"{inner}/v2/m/referrers/{subject.replace(':', '%3A')}?",
    }
    for path, following in lists.items():
        link = client.get(f"{path}?n=1").expect(200).headers["Link"]
        assert link.startswith(f"<{following}")
        client.get(link[1:].partition(">")[0]).expect(200)


def test_paths_with_a_prefix(setup: Setup) -> None:
    """Everything is behind the prefix; what load balancers ask for is at the root as well."""
    client = Client(setup.server)
    for path in ("/", "/healthz", "/readyz"):
        client.get(path).expect(200)
        client.get(f"{setup.inner}{path}").expect(200)
    client.get(f"{setup.inner}/v2").expect(200)
    client.get(f"{setup.inner}/v2/").expect(200)
    client.get(f"{setup.inner}/v1/_ping").expect(404, code="UNSUPPORTED")
    if setup.inner:
        for path in (
            "/v2/",
            "/v2/_catalog",
            "/m/tags/list",
            f"{setup.inner}x/v2/",
            f"/x{setup.inner}/v2/",
            setup.inner,
        ):
            refused = client.get(path).expect(404, code="UNSUPPORTED")
            assert f"{setup.inner}/v2/" in refused.json()["errors"][0]["message"]


@pytest.mark.parametrize("path", ["/v2/", "/v2/unknown/thing", "/unknown", "/healthz"])
def test_nothing_is_said_of_other_hosts(start_server: Callable[..., Server], path: str) -> None:
    """Neither head nor body of any answer repeats what a proxy, or somebody who plays one, says."""
    server = start_server(storage="inmemory")
    answer = Client(server, headers=FORWARDED["hostile"]).get(path)
    assert "evil" not in str(answer).partition("=> ")[2]
