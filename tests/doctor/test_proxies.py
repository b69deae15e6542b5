"""nginx with mistakes in its configuration: each is named, with what to write in its place."""

import base64
from pathlib import Path

import pytest

from deploy.proxies import nginx
from doctor.reports import ANN, report
from harness.server import Server, free_port
from holdfast.doctor.reach import Credentials

STREAMING = "proxy_http_version 1.1; proxy_request_buffering off;"

# What stands in the server block; the check that notices, its verdict, and words that it says.
MISTAKES = {
    "the default limit of bodies": (
        "location / {{ proxy_pass {url}; }}",
        ("bodies", "problem", "413", "1 MiB", "client_max_body_size 0"),
    ),
    "a limit of 50 MB": (
        "client_max_body_size 50m; location / {{ proxy_pass {url}; }}",
        ("bodies", "problem", "413", "100 MiB", "client_max_body_size 0"),
    ),
    "no chunked requests": (
        "client_max_body_size 0; if ($http_transfer_encoding) {{ return 411; }} location / {{ proxy_pass {url}; }}",
        ("bodies", "problem", "without an announced length", "proxy_request_buffering off"),
    ),
    "requests are kept until complete": (
        "client_max_body_size 0; proxy_request_buffering on; location / {{ proxy_pass {url}; }}",
        ("streaming", "advice", "proxy_request_buffering off"),
    ),
    "a path is cut off": (
        "client_max_body_size 0; location / {{ proxy_pass {url}/; }}",
        ("paths", "advice", "%2F", "proxy_pass without a path"),
    ),
    "Location is rewritten to another host": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; proxy_redirect / http://internal:5000/; }}",
        ("location", "problem", "internal:5000", "wrong host or port", "proxy_redirect off"),
    ),
    "Location is rewritten to another path": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; proxy_redirect /v2/ /registry/v2/; }}",
        ("location", "problem", "/registry/v2/", "http.prefix"),
    ),
    "pushes are forbidden": (
        "location / {{ limit_except GET {{ deny all; }} proxy_pass {url}; }}",
        ("location", "problem", "403", "limit_except"),
    ),
    "/v2/ leads to a web page": (
        "root {directory}; location /v2/ {{ try_files $uri /index.html; }}",
        ("answer", "problem", "a web page", "location /v2/"),
    ),
    "/v2/ leads nowhere": (
        "root {directory};",
        ("answer", "problem", "404", "a web page", "location /v2/"),
    ),
    "the registry cannot be reached": (
        "location / {{ proxy_pass http://127.0.0.1:1; }}",
        ("answer", "problem", "502", "proxy_pass"),
    ),
    "TLS to a registry without TLS": (
        "location / {{ proxy_pass https://{registry}; }}",
        ("answer", "problem", "502", "scheme"),
    ),
    "a redirect to TLS": (
        "return 301 https://registry.example.com$request_uri;",
        ("answer", "problem", "redirects to https://registry.example.com/v2/", "use that address"),
    ),
    "the header that names the protocol is dropped": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; proxy_hide_header Docker-Distribution-Api-Version; }}",
        ("answer", "advice", "Docker-Distribution-Api-Version", "add_header"),
    ),
    "digests are dropped": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; proxy_hide_header Docker-Content-Digest; }}",
        ("push and pull", "problem", "HEAD", "Docker-Content-Digest missing", "proxy_hide_header"),
    ),
    "manifests are compressed": (
        "client_max_body_size 0; gzip on; gzip_types *; gzip_proxied any; location / {{ proxy_pass {url}; }}",
        ("push and pull", "problem", "Content-Length missing", "gzip off"),
    ),
    "ranges are dropped": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; proxy_set_header Range ''; }}",
        ("push and pull", "advice", "broken downloads", "Range"),
    ),
    "answers are rewritten": (
        "client_max_body_size 0; location / {{ proxy_pass {url}; sub_filter_types *; sub_filter schemaVersion schemaversion; }}",
        ("push and pull", "problem", "other bytes", "sub_filter"),
    ),
}

MISTAKES_WITH_ACCOUNTS = {
    "the password is dropped": (
        "location / {{ proxy_pass {url}; proxy_set_header Authorization ''; }}",
        ("credentials", "problem", "refuses ann", "does not pass the password on", "Authorization"),
    ),
    "the challenge is dropped": (
        "location / {{ proxy_pass {url}; proxy_hide_header WWW-Authenticate; }}",
        ("credentials", "problem", "asks for nothing", "WWW-Authenticate"),
    ),
    "401 becomes a web page": (
        "root {directory}; location / {{ proxy_pass {url}; proxy_intercept_errors on; error_page 401 =200 /index.html; }}"
        " location = /index.html {{ }}",
        ("answer", "problem", "a web page"),
    ),
    "a password is added for everybody": (
        "location / {{ proxy_pass {url}; proxy_set_header Authorization 'Basic {ann}'; }}",
        ("credentials", "problem", "lets everybody in", "proxy_set_header Authorization"),
    ),
    "OPTIONS needs a password": (
        "location / {{ auth_basic registry; auth_basic_user_file {directory}/users; proxy_pass {url}; }}",
        ("preflight", "problem", "401", "let OPTIONS through", "auth_basic"),
    ),
    "CORS headers are dropped": (
        "location / {{ proxy_pass {url}; proxy_hide_header Access-Control-Allow-Origin; }}",
        ("preflight", "problem", "gets lost", "proxy_hide_header"),
    ),
    "CORS headers are doubled": (
        "location / {{ proxy_pass {url}; add_header Access-Control-Allow-Origin https://ui.example.com always; }}",
        ("preflight", "problem", "twice", "not in both"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake(mistake: str, plain: Server, tmp_path: Path) -> None:
    text, expected = MISTAKES[mistake]
    (tmp_path / "index.html").write_text("<!doctype html><title>Welcome</title>")
    if "proxy_request_buffering" not in text:
        text = STREAMING + text
    text = text.format(url=plain.url, registry=plain.registry, directory=tmp_path)
    with nginx(tmp_path, text) as proxy:
        found = report(plain, url=proxy.url)
    found.says(*expected)
    assert "could not be looked at" not in str(found)


@pytest.mark.parametrize("mistake", MISTAKES_WITH_ACCOUNTS)
def test_mistake_with_accounts(mistake: str, accounts: Server, tmp_path: Path) -> None:
    text, expected = MISTAKES_WITH_ACCOUNTS[mistake]
    (tmp_path / "index.html").write_text("<!doctype html><title>Welcome</title>")
    (tmp_path / "users").write_text("bob:{PLAIN}secret\n")
    ann = base64.b64encode(f"{ANN.user}:{ANN.password}".encode()).decode()
    with nginx(tmp_path, (STREAMING + text).format(url=accounts.url, directory=tmp_path, ann=ann)) as proxy:
        found = report(accounts, url=proxy.url, credentials=ANN)
    found.says(*expected)
    assert "could not be looked at" not in str(found)
    assert ANN.password not in str(found)


def test_wrong_password(accounts: Server) -> None:
    found = report(accounts, credentials=Credentials("ann", "not hers"))
    found.says("credentials", "problem", "refuses ann", "htpasswd -vB")
    assert "not hers" not in str(found)


def test_realm_without_tls(tmp_path: Path) -> None:
    challenge = (
        'add_header WWW-Authenticate \'Bearer realm="http://token.example.com/auth",service="x"\' always; return 401;'
    )
    with nginx(tmp_path, challenge, tls=True) as proxy:
        found = report(None, url=proxy.url)
    found.says("credentials", "problem", "http://token.example.com/auth", "without TLS", "https://")


def test_realm_that_is_no_address(tmp_path: Path) -> None:
    challenge = "add_header WWW-Authenticate 'Bearer realm=\"registry\"' always; return 401;"
    with nginx(tmp_path, challenge) as proxy:
        report(None, url=proxy.url).says("credentials", "problem", "no address", "https://")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("http://{authority}", ("wrong scheme", "http.host")),
        ("https://localhost:{port}", ("wrong host or port", "http.host")),
        ("https://{host}", ("wrong host or port", "http.host")),
    ],
    ids=["scheme", "host", "port"],
)
def test_wrong_http_host(host: str, words: tuple[str, ...], tmp_path: Path) -> None:
    port, front = free_port(), free_port()
    authority = f"127.0.0.1:{front}"
    named = host.format(authority=authority, port=front, host="127.0.0.1")
    settings = {"http.addr": f"127.0.0.1:{port}", "http.host": named, "storage": "inmemory"}
    with (
        Server(tmp_path, settings) as server,
        nginx(
            tmp_path,
            f"client_max_body_size 0; {STREAMING} location / {{ proxy_pass {server.url}; }}",
            port=front,
            tls=True,
        ) as proxy,
    ):
        report(server, url=proxy.url).says("location", "problem", *words)


def test_two_servers_behind_one_address(tmp_path: Path) -> None:
    """Uploads that are begun on one are unknown to the other."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Server(tmp_path / "one") as one, Server(tmp_path / "two") as two:
        text = f"""
            upstream both {{ server {one.registry}; server {two.registry}; }}
            server {{ listen 127.0.0.1:{(port := free_port())}; {STREAMING} location / {{ proxy_pass http://both; }} }}"""
        with nginx(tmp_path, "", port=port, servers=text) as proxy:
            report(one, url=proxy.url).says("location", "problem", "not known there", "share nothing")
