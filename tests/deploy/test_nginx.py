"""nginx in front of the server: Locations are right whatever it passes on, and the two whole configurations do what they say."""

import base64
import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.tools import program
from deploy.document import DEPLOY
from deploy.proxies import Proxy, certificate, nginx
from deploy.pushes import push_and_pull
from harness.server import Server, free_port

# What stands beside proxy_pass.
SETTINGS = {
    "nothing at all": "",
    "host and scheme": "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;",
    "host without its port": "proxy_set_header Host $host; proxy_set_header X-Forwarded-Proto $scheme;",
    "scheme of an inner proxy": "proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto http;",
    "two schemes": "proxy_set_header X-Forwarded-Proto 'https, http';",
    "another host and port": """
        proxy_set_header X-Forwarded-Host registry.example.com;
        proxy_set_header X-Forwarded-Port 8443;
        proxy_set_header Forwarded 'for=192.0.2.1;host=registry.example.com;proto=http';""",
    "HTTP/1.1 without buffers": "proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off;",
}
LARGE = 3 << 20
OLD_DOCKER = (
    "docker/1.5.0 go/go1.3.3 git-commit/a8a31ef kernel/3.13 os/linux arch/amd64",
    "docker/1.3.2 go/go1.3.3 os/linux",
    "Go 1.1 package http",
)
DOCKER = ("docker/1.6.0 go/go1.4.2 os/linux", "docker/28.2.2 go/go1.24 os/linux", "Go-http-client/1.1")

_repositories = (f"behind/nginx{number}" for number in itertools.count(1))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("registry"), {"storage": "inmemory"}) as server:
        yield server


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", SETTINGS)
def test_locations_stay_behind_the_proxy(name: str, tls: bool, registry: Server, tmp_path: Path) -> None:
    with nginx(tmp_path, f"location / {{ proxy_pass {registry.url}; {SETTINGS[name]} }}", tls=tls) as proxy:
        push_and_pull(proxy.client(), proxy.url, next(_repositories))


def test_a_limit_of_bodies_stops_a_push(registry: Server, tmp_path: Path) -> None:
    with (
        nginx(tmp_path, f"location / {{ proxy_pass {registry.url}; }}") as proxy,
        pytest.raises(AssertionError, match="413"),
    ):
        push_and_pull(proxy.client(), proxy.url, next(_repositories), size=LARGE)


def test_a_path_that_the_registry_knows(tmp_path: Path) -> None:
    with (
        Server(tmp_path, {"storage": "inmemory", "http.prefix": "/registry/"}) as registry,
        nginx(tmp_path, f"location /registry/ {{ proxy_pass {registry.url}; }}") as proxy,
    ):
        push_and_pull(proxy.client(), f"{proxy.url}/registry", next(_repositories))


def test_a_path_that_nginx_adds_and_takes_away(registry: Server, tmp_path: Path) -> None:
    location = f"location /registry/ {{ proxy_pass {registry.url}/; proxy_redirect / /registry/; }}"
    with nginx(tmp_path, location) as proxy:
        push_and_pull(proxy.client(), f"{proxy.url}/registry", next(_repositories))


@pytest.fixture(scope="module", params=["deploy/compose/nginx/registry.conf", "year2016/nginx.conf"])
def front(
    request: pytest.FixtureRequest, registry: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """nginx with a whole configuration, of which only places are changed, and the account `ann`."""
    directory, port = tmp_path_factory.mktemp("front"), free_port()
    authority, _, _ = certificate(directory, "127.0.0.1")
    if "2016" in request.param:
        text = (Path(__file__).parent / request.param).read_text()
        # nginx 1.25.1 dropped what had been deprecated since 1.15.
        changes = {
            "listen 443;": f"listen 127.0.0.1:{port} ssl;",
            "ssl on;": "",
            "conf.d/example.com.": "conf.d/proxy.",
        }
        changes["server registry:5000"] = f"server {registry.registry}"
    else:
        text = (DEPLOY / "compose" / "nginx" / "registry.conf").read_text()
        changes = {"listen 443 ssl": f"listen 127.0.0.1:{port} ssl", "conf.d/registry.crt": "conf.d/proxy.crt"}
        changes |= {"conf.d/registry.key": "conf.d/proxy.key", "http://registry:5000": registry.url}
    for old, new in {**changes, "/etc/nginx/conf.d": str(directory)}.items():
        assert old in text
        text = text.replace(old, new)
    users = "registry.password" if "2016" in request.param else "users"
    command = [program("htpasswd"), "-b", "-c", str(directory / users), "ann", "her password"]
    subprocess.run(command, check=True, capture_output=True)
    with nginx(directory, "", port=port, servers=text, authority=authority) as proxy:
        yield proxy


def signed_in() -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(b"ann:her password").decode()}


def test_push_and_pull_with_the_password(front: Proxy) -> None:
    push_and_pull(front.client(signed_in()), front.url, next(_repositories), size=LARGE)


def test_without_password_docker_sees_a_registry_that_asks_for_one(front: Proxy) -> None:
    answer = front.client().get("/v2/").expect(401)
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.headers["WWW-Authenticate"].startswith("Basic realm=")


def test_each_answer_names_the_protocol(front: Proxy) -> None:
    for path, status in (("/v2/", 200), ("/v2/nothing/manifests/latest", 404)):
        versions = front.client(signed_in()).get(path).expect(status).headers.all("Docker-Distribution-Api-Version")
        assert set(versions) == {"registry/2.0"}


@pytest.mark.parametrize("agent", OLD_DOCKER)
def test_docker_that_cannot_speak_the_protocol_gets_404(agent: str, front: Proxy) -> None:
    front.client({"User-Agent": agent}).get("/v2/").expect(404)


@pytest.mark.parametrize("agent", DOCKER)
def test_docker_since_1_6_is_let_in(agent: str, front: Proxy) -> None:
    front.client({**signed_in(), "User-Agent": agent}).get("/v2/").expect(200)


@pytest.mark.parametrize("front", ["deploy/compose/nginx/registry.conf"], indirect=True)
def test_docker_that_cannot_speak_the_protocol_is_told_so(front: Proxy) -> None:
    client = front.client({"User-Agent": OLD_DOCKER[0]})
    for path in ("/v2/", "/v1/_ping"):
        assert b"Docker 1.6" in client.get(path).expect(404).body


@pytest.mark.parametrize("front", ["deploy/compose/nginx/registry.conf"], indirect=True)
def test_the_header_that_names_the_protocol_comes_once(front: Proxy) -> None:
    assert front.client(signed_in()).get("/v2/").headers["Docker-Distribution-Api-Version"] == "registry/2.0"
