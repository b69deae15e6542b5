"""Good set-ups give no complaint, and nothing stays of what was tried."""

import os
from pathlib import Path

import pytest
import trustme

from clients.tools import program
from deploy.proxies import certificate, nginx
from doctor.reports import ANN, ANN_LINE, Report, report, resting, variables
from harness.content import blob
from harness.http import Client
from harness.repository import Repository
from harness.server import Server, free_port, wait_until

# What docs/deploy.md recommends.
PROXY = """
    client_max_body_size 0;
    merge_slashes off;
    location /v2/ {{
        proxy_pass {url};
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
"""


def expect_good(found: Report, *checks: str) -> None:
    """No complaint, and each of these checks is content."""
    assert found.complaints() == [], str(found)
    assert found.healthy or os.path.exists("/.dockerenv")
    assert set(checks) <= {name for name, one in found if one.verdict == "ok"}, str(found)


TRIED = ("answer", "readiness", "credentials", "clock", "location", "bodies", "push and pull", "rights", "space")


def test_plain(plain: Server) -> None:
    expect_good(report(plain), *TRIED)


def test_accounts(accounts: Server) -> None:
    expect_good(report(accounts, credentials=ANN), *TRIED, "browsers", "preflight", "accounts")


def test_tls(tmp_path: Path) -> None:
    authority, chain, key = certificate(tmp_path, "localhost")
    port = free_port()
    settings = {
        "storage.delete.enabled": "true",
        "http.addr": f"127.0.0.1:{port}",
        "http.host": f"https://localhost:{port}",
        "http.tls.certificate": str(chain),
        "http.tls.key": str(key),
    }
    key.chmod(0o600)
    trusted = trusting(tmp_path, f"localhost:{port}", authority)
    with Server(tmp_path, settings) as server, pytest.MonkeyPatch.context() as patch:
        authority.cert_pem.write_to_path(tmp_path / "root.crt")
        patch.setenv("SSL_CERT_FILE", str(tmp_path / "root.crt"))
        expect_good(report(server), *TRIED, "certificate", "trust")
        patch.delenv("SSL_CERT_FILE")
        report(None, url=settings["http.host"], trusted=(trusted,)).says("trust", "ok", str(trusted))


def test_behind_nginx(accounts: Server, tmp_path: Path) -> None:
    with nginx(tmp_path, PROXY.format(url=accounts.url)) as proxy:
        found = report(accounts, url=proxy.url, credentials=ANN)
    expect_good(found, *TRIED, "preflight", "streaming", "paths")
    assert sum(name == "push and pull" for name, _ in found) == 2


def test_behind_nginx_with_tls(accounts: Server, tmp_path: Path) -> None:
    with nginx(tmp_path, PROXY.format(url=accounts.url), host="127.0.0.1", tls=True) as proxy:
        assert isinstance(proxy._authority, trustme.CA)
        trusted = trusting(tmp_path, f"127.0.0.1:{proxy.address[1]}", proxy._authority)
        expect_good(report(accounts, url=proxy.url, credentials=ANN, trusted=(trusted,)), *TRIED, "trust")
        inner = report(None, url=proxy.url, credentials=ANN, trusted=(trusted,))
    expect_good(inner, "answer", "trust", "location", "bodies", "push and pull")
    inner.says("configuration", "skipped", "only the address is looked at")


def test_under_a_path(tmp_path: Path) -> None:
    settings = {"http.prefix": "/registry/", "storage.delete.enabled": "true"}
    with (
        Server(tmp_path, settings) as server,
        nginx(tmp_path, PROXY.format(url=server.url).replace("/v2/", "/registry/v2/")) as proxy,
    ):
        expect_good(report(server, url=f"{proxy.url}/registry"), *TRIED, "paths")


def test_on_a_unix_socket(tmp_path: Path) -> None:
    listening = {"http.net": "unix", "http.addr": str(tmp_path / "registry.sock")}
    server = Server(tmp_path, {"storage.delete.enabled": "true"}, environment=variables(listening))
    server.spawn()
    try:
        wait_until((tmp_path / "registry.sock").exists, "the socket", 30)
        expect_good(report({**server.settings, **listening}), "answer", "location", "bodies", "push and pull")
    finally:
        server.stop()


def test_without_a_server(tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root"))
    assert found.complaints() == []
    found.says("answer", "skipped", "no server runs on http://127.0.0.1:1")
    assert not (tmp_path / "root").exists()
    with nginx(tmp_path, PROXY.format(url="http://127.0.0.1:1")) as proxy:
        assert report(resting(tmp_path / "root", http__host=proxy.url)).complaints() == []
        report(resting(tmp_path / "root"), url="http://127.0.0.1:2").says("answer", "skipped", "http://127.0.0.1:2")


def test_nothing_stays(plain: Server) -> None:
    client = Client(plain)
    report(plain)
    assert not [name for name in client.get("/v2/_catalog").json()["repositories"] if "doctor" in name]
    assert list((plain.root / "docker/registry/v2/repositories").glob("holdfast-doctor/*/_uploads/*")) == []
    before = sorted(plain.root.glob("docker/registry/v2/blobs/sha256/*/*"))
    report(plain)
    assert sorted(plain.root.glob("docker/registry/v2/blobs/sha256/*/*")) == before


def test_nothing_is_pushed_where_it_would_stay(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        found = report(server)
        found.says("deleting", "ok", "switched off", "storage.delete.enabled: true", "REGISTRY_STORAGE_DELETE_ENABLED")
        found.says("push and pull", "skipped", "deleting is off", "no image to pull")
        assert list(server.root.glob("docker/registry/v2/blobs/sha256/*/*")) == []
        assert Client(server).get("/v2/_catalog").json()["repositories"] == []
        Repository(Client(server), "some/thing").push_image("latest", layers=[blob("layer")])
        report(server).says("push and pull", "ok", "pulled a manifest of some/thing")


def test_nothing_is_sent_when_not_asked_to(plain: Server) -> None:
    before = plain.log_text().count(" method=P")
    found = report(plain, push=False)
    found.says("location", "skipped", "--no-push")
    assert found.complaints() == []
    assert plain.log_text().count(" method=P") == before


def trusting(directory: Path, registry: str, authority: trustme.CA) -> Path:
    """A directory in the way of certs.d, in which this authority vouches for a registry."""
    place = directory / "certs.d" / registry
    place.mkdir(parents=True)
    authority.cert_pem.write_to_path(place / "ca.crt")
    return directory / "certs.d"


def test_accounts_without_password(accounts: Server) -> None:
    found = report(accounts)
    found.says("credentials", "skipped", "--user NAME --password-stdin")
    assert found.complaints() == []
    assert ANN_LINE.split(":")[1][:20] not in str(found)


def test_an_address_of_registry2(tmp_path: Path) -> None:
    """It is tried in the same way, and nothing stays but the name of the repository."""
    port = free_port()
    yml = tmp_path / "registry2.yml"
    yml.write_text("version: 0.1\nstorage: {delete: {enabled: true}}\nhttp: {secret: x}\nlog: {level: error}\n")
    command = (program("docker-registry"), "serve", str(yml))
    with Server(tmp_path, {"http.addr": f"127.0.0.1:{port}"}, command=command, ready="/v2/") as two:
        expect_good(report(None, url=two.url), "answer", "location", "bodies", "push and pull")
        repository = two.root / "docker/registry/v2/repositories/holdfast-doctor/trial"
        assert [path for path in repository.rglob("*") if path.name in {"data", "link", "startedat"}] == []
