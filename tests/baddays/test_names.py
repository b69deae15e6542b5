"""Paths and queries that nobody in good faith sends."""

import json
from pathlib import Path

import pytest

from baddays.raw import exchange
from baddays.watch import Watch
from harness.content import OCI_IMAGE, digest
from harness.http import Client
from harness.repository import Repository
from harness.rules import error_body
from harness.server import Server

D = digest(b"unknown")

UNKNOWN_PATHS = [
    "/v2/x",
    "/v2/x/",
    "/v2//",
    "/v2/x/y/z",
    "/v2/x/manifests",
    "/v2/x/manifests/",
    "/v2/x/blobs",
    "/v2/x/blobs/",
    "/v2/x/tags",
    "/v2/x/tags/",
    "/v2/x/tags/list/",
    "/v2/x/tags/lists",
    "/v2/x/referrers/",
    "/v2/_catalog/",
    "/v2/_catalogs",
    "/v2/_oci",
    "/v2/manifests/latest",
    "/v2/tags/list",
    "/v1/",
    "/v3/",
    "/v2x",
    "/favicon.ico",
    "/.git/config",
    "/robots.txt",
    "/metrics",
    "//v2/",
    "//",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", UNKNOWN_PATHS)
def test_unknown_paths_are_told_in_json(client: Client, path: str, method: str) -> None:
    answer = client.request(method, path).expect(404)
    if method != "HEAD":
        error_body(answer)


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "BREW", "get"])
def test_unknown_methods_are_told_in_json(client: Client, method: str) -> None:
    answer = client.request(method, "/v2/a/b/manifests/latest").expect(405, 400)
    if answer.status == 405:
        assert "GET" in answer.headers["Allow"]
        error_body(answer)


NAMES = {
    "up": "../../../etc",
    "up-inside": "a/../../b",
    "up-end": "a/..",
    "dot": "a/./b",
    "encoded-up": "%2e%2e/%2e%2e/etc",
    "half-encoded-up": ".%2e/b",
    "double-encoded-up": "%252e%252e/b",
    "encoded-slash": "a%2fb",
    "encoded-slash-up": "..%2f..%2fetc",
    "encoded-backslash": "a%5cb",
    "backslash": "a\\b",
    "nul": "a%00b",
    "nul-end": "a%00",
    "newline": "a%0ab",
    "return": "a%0d%0aSet-Cookie:%20x",
    "overlong-utf8": "a%c0%afb",
    "bad-utf8": "a%ff",
    "bad-percent": "a%zz",
    "cut-percent": "a%2",
    "unicode": "%c3%a4%c3%b6",
    "wide": "%ef%bd%81",
    "dotless-i": "%c4%b1",
    "upper": "A/B",
    "space": "a%20b",
    "plus": "a+b",
    "colon": "a:b",
    "at": "a@b",
    "star": "*",
    "tilde": "~root",
    "dollar": "$HOME",
    "double-slash": "a//b",
    "leading-slash": "/a",
    "many-slashes": "/" * 200 + "a",
    "trailing-slash": "a/",
    "underscore": "_uploads",
    "inside": "a/_layers/b",
    "three-underscores": "a___b",
    "dash-end": "a-",
    "dash-begin": "-a",
    "two-dots": "a..b",
    "256-characters": "a" * 256,
    "10,000-segments": "a/" * 10_000 + "a",
    "10,000-ups": "../" * 10_000 + "a",
    "60,000-characters": "a" * 60_000,
}
"""Repository names that are none."""

TAILS = {
    "GET tags/list": b"",
    "GET manifests/latest": b"",
    f"GET blobs/{D}": b"",
    f"GET referrers/{D}": b"",
    "PUT manifests/latest": b"{}",
    "POST blobs/uploads/": b"",
    "DELETE manifests/latest": b"",
}


def tree(server: Server) -> set[Path]:
    """All that lies around the server's root, except the database."""
    top = server.root.parent.parent
    return {path for path in top.rglob("*") if "holdfast.db" not in path.name and "pytest" not in path.name}


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_reach_nothing(server: Server, name: str) -> None:
    before = tree(server)
    with Watch(server):
        for request, body in TAILS.items():
            method, _, tail = request.partition(" ")
            head = f"{method} /v2/{NAMES[name]}/{tail} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            if body or method == "POST":
                head += f"Content-Length: {len(body)}\r\nContent-Type: {OCI_IMAGE}\r\n"
            outcome = exchange(server, head.encode() + b"\r\n" + body, wait=5)
            assert len(outcome.statuses) == 1, outcome
            assert outcome.statuses[0] in {400, 404, 405, 414}, outcome
            assert outcome.closed
            answer = outcome.octets.partition(b"\r\n\r\n")
            assert b"Set-Cookie" not in answer[0]
            if b"docker-distribution-api-version" in answer[0].lower():
                assert json.loads(answer[2])["errors"]
    assert tree(server) == before


def test_a_name_of_255_characters_is_a_name(client: Client) -> None:
    for name in ("a" * 255, "a/" * 127 + "a", "/".join(["b" * 127, "c" * 127])):
        assert len(name) == 255
        repository = Repository(client, name)
        image = repository.push_image("latest")
        assert repository.get("manifests/latest").expect(200).body == image.body
        repository.delete(f"manifests/{image.digest}").expect(202)


REFERENCES = {
    "up": "..",
    "encoded-up": "%2e%2e",
    "slash": "..%2f..%2fx",
    "nul": "a%00",
    "newline": "a%0a",
    "129-characters": "a" * 129,
    "long": "a" * 50_000,
    "dash": "-a",
    "unicode": "%c3%a4",
    "digest-up": "sha256:../../x",
    "digest-short": "sha256:" + "a" * 63,
    "digest-long": "sha256:" + "a" * 65,
    "digest-upper": "sha256:" + "A" * 64,
    "digest-newline": "sha256:" + "a" * 64 + "%0a",
    "digest-unknown": "md5:" + "a" * 32,
    "digest-unicode": "sha256:" + "%d9%a1" * 64,
    "digest-empty": "sha256:",
}


@pytest.mark.parametrize("kind", ["manifests", "blobs", "blobs/uploads", "referrers"])
@pytest.mark.parametrize("name", REFERENCES)
def test_hostile_references_reach_nothing(server: Server, client: Client, kind: str, name: str) -> None:
    before = tree(server)
    methods = {"manifests": ["GET", "PUT", "DELETE"], "blobs": ["GET", "DELETE"], "referrers": ["GET"]}
    for method in methods.get(kind, ["GET", "PATCH", "PUT", "DELETE"]):
        answer = client.request(method, f"/v2/warm/up/{kind}/{REFERENCES[name]}")
        assert answer.status in {400, 404}, answer
        error_body(answer)
    assert tree(server) == before


QUERIES = {
    "10,000-parameters": "&".join(f"p{number}=1" for number in range(10_000)),
    "10,000-of-one": "&".join(["n=1"] * 10_000),
    "10,000-empty": "&" * 10_000,
    "no-utf8": "last=%ff%fe&n=1",
    "raw-bytes": "last=\xff\xfe",
    "bad-percent": "last=%zz&n=%",
    "nul": "last=%00",
    "newline": "last=a%0d%0aX-Evil:%20x&n=1",
    "long": "last=" + "a" * 60_000,
    "surrogate": "last=%ed%a0%80",
    "digits": "n=" + "9" * 5000,
    "arabic-digits": "n=%d9%a1",
    "negative": "n=-1",
    "float": "n=1e3",
    "brackets": "n[]=1&last[a]=b",
    "semicolons": "n=1;last=a",
    "equals": "=&==&=a&n",
}


@pytest.mark.parametrize("path", ["/v2/_catalog", "/v2/warm/up/tags/list", f"/v2/warm/up/referrers/{D}"])
@pytest.mark.parametrize("name", QUERIES)
def test_hostile_queries_of_lists(server: Server, name: str, path: str) -> None:
    with Watch(server):
        head = f"GET {path}?{QUERIES[name]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        outcome = exchange(server, head.encode("latin-1"), wait=5)
    assert len(outcome.statuses) == 1
    assert outcome.statuses[0] in {200, 400, 414}, outcome
    assert outcome.closed
    assert b"x-evil" not in outcome.octets.partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("parameter", ["digest", "mount", "from", "digest-algorithm"])
def test_hostile_queries_of_uploads(server: Server, client: Client, name: str, parameter: str) -> None:
    query = QUERIES[name].replace("last", parameter).replace("n=", f"{parameter}=")
    answer = client.post(f"/v2/odd/query/blobs/uploads/?{query}")
    assert answer.status in {202, 400, 414}, answer
    if answer.status == 202:
        client.delete(answer.headers["Location"]).expect(204)
