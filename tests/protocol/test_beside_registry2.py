"""The same requests to Holdfast and to docker-registry 2.8.2: what a script sees is the same, or differs for a reason given here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from clients.tools import program
from harness.content import DOCKER_CONFIG, DOCKER_IMAGE, DOCKER_LAYER, Content, blob, config, digest, image
from harness.http import Client, Response
from harness.repository import Repository, with_query
from harness.server import Server

CONFIGURATION = """
version: 0.1
storage:
  delete: {enabled: true}
  filesystem: {rootdirectory: /nowhere}
http:
  addr: 127.0.0.1:0
  relativeurls: true
  headers: {X-Content-Type-Options: [nosniff]}
"""
LAYER = blob("layer", media_type=DOCKER_LAYER)
IMAGE = image(config("image", DOCKER_CONFIG), [LAYER], media_type=DOCKER_IMAGE)
UNKNOWN = digest(b"unknown")
UPLOAD = "00000000-0000-4000-8000-000000000000"

OURS_ALONE = {
    "server": "the name of the HTTP server",
    "content-security-policy": "a browser must not run what somebody pushed",
}
VARYING = {"date", "docker-upload-uuid"}


@dataclass(frozen=True)
class Case:
    """A request, and why the answers differ in `status`, `type`, `headers` or `body`. Of errors, the codes are the body."""

    method: str
    path: str
    differs: str = ""
    why: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path[:70]}"


M = "/v2/raoul/ubuntu"
JSON_ERRORS = "every error is told in JSON, since clients that meet something else give up"
CASES = [
    Case("GET", "/v2/"),
    Case("HEAD", "/v2/"),
    Case("GET", "/v2", "status type headers body", "answered as /v2/, without a redirect on the way"),
    Case("GET", "/v2/_catalog"),
    Case("GET", "/v2/_catalog?n=1"),
    Case("GET", "/v2/_catalog?n=1&last=gianluca/ubuntu"),
    Case("GET", "/v2/_catalog?n=0"),
    Case("GET", "/v2/_catalog?n=-1", "status body", "as registry:3, a number that is none is an error"),
    Case("GET", f"{M}/tags/list"),
    Case("HEAD", f"{M}/tags/list", "status type headers", "HEAD is GET without the body, everywhere"),
    Case("GET", "/v2/unknown/tags/list"),
    Case("GET", "/v2/untagged/tags/list", "body", "no tags are [], as the protocol wants it, not null"),
    Case("GET", f"{M}/manifests/18.04"),
    Case("HEAD", f"{M}/manifests/18.04"),
    Case("GET", f"{M}/manifests/{IMAGE.digest}"),
    Case("GET", f"{M}/manifests/unknown"),
    Case("HEAD", f"{M}/manifests/unknown"),
    Case("GET", "/v2/unknown/manifests/latest"),
    Case("GET", f"{M}/manifests/{UNKNOWN}"),
    Case("GET", f"{M}/manifests/sha256:bad", "status body", "a digest that is none is the client's mistake"),
    Case(
        "GET",
        f"{M}/blobs/{LAYER.digest}",
        "headers",
        "Cache-Control keeps blobs out of caches that several people share",
    ),
    Case("HEAD", f"{M}/blobs/{LAYER.digest}", "headers", "the same"),
    Case("GET", f"{M}/blobs/{UNKNOWN}"),
    Case("HEAD", f"{M}/blobs/{UNKNOWN}"),
    Case("GET", f"/v2/unknown/blobs/{UNKNOWN}"),
    Case("GET", f"{M}/blobs/sha256:bad"),
    Case("POST", f"{M}/blobs/uploads/"),
    Case("POST", f"/v2/new/blobs/uploads/?mount={LAYER.digest}&from=raoul/ubuntu"),
    Case("POST", f"/v2/new/blobs/uploads/?mount={UNKNOWN}&from=raoul/ubuntu"),
    Case(
        "GET",
        f"{M}/blobs/uploads/{UPLOAD}",
        "body",
        "an upload that is not there is unknown; registry:2 misses its signature",
    ),
    Case("PUT", f"{M}/manifests/new"),
    Case("POST", "/v2/", "status headers body", "there is nothing to post to"),
    Case("DELETE", f"{M}/tags/list", "type headers body", JSON_ERRORS),
    Case("DELETE", f"{M}/manifests/{UNKNOWN}"),
    Case("DELETE", f"/v2/unknown/manifests/{UNKNOWN}"),
    Case("DELETE", f"{M}/manifests/unknown", "status body", "as registry:3, tags can be deleted"),
    Case("DELETE", f"{M}/blobs/{UNKNOWN}"),
    Case("GET", "/v2/UPPER/tags/list", "status type body", "the protocol has a code for it"),
    Case("GET", "/v2/x/unknown", "type body", JSON_ERRORS),
    Case("GET", "/unknown", "type body", JSON_ERRORS),
    Case("GET", "/v1/_ping", "type body", JSON_ERRORS),
    Case("GET", "/", "type headers body", "a word for people; the same status for load balancers"),
    Case("OPTIONS", "/v2/", "type headers body", "answered before authentication, with Allow"),
]


def fill(client: Client) -> None:
    """What the slides have, and a repository that has lost its tags."""
    for name in ("gianluca/ubuntu", "raoul/ubuntu", "untagged"):
        repository = Repository(client, name)
        for content in (config("image", DOCKER_CONFIG), LAYER):
            upload = repository.open_upload()
            client.put(with_query(upload, f"digest={content.digest}"), body=content.body).expect(201)
        tagged, other = IMAGE, Content(IMAGE.body.replace(b": 2", b":  2", 1), DOCKER_IMAGE)
        repository.push_manifest(tagged, "18.04")
        if name == "untagged":
            repository.put_manifest(other, other.digest).expect(201)
            repository.delete(f"manifests/{tagged.digest}").expect(202)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    """Holdfast and docker-registry, filled alike."""
    directories = tmp_path_factory.mktemp("holdfast"), tmp_path_factory.mktemp("registry2")
    (directories[1] / "config.yml").write_text(CONFIGURATION)
    command = (program("docker-registry"), "serve", str(directories[1] / "config.yml"))
    with (
        Server(directories[0], {"storage.delete.enabled": "true"}) as holdfast,
        Server(directories[1], command=command, ready="/") as registry2,
    ):
        clients = Client(holdfast), Client(registry2)
        for client in clients:
            fill(client)
        yield clients


def differing(ours: Response, theirs: Response) -> set[str]:
    """In what two answers differ."""
    found = set()
    if ours.status != theirs.status:
        found.add("status")
    if ours.headers.get("Content-Type") != theirs.headers.get("Content-Type"):
        found.add("type")
    if fields(ours) != fields(theirs):
        found.add("headers")
    if body(ours) != body(theirs):
        found.add("body")
    return found


def fields(answer: Response) -> dict[str, object]:
    """The headers that can be compared."""
    known: dict[str, object] = {name.lower(): value for name, value in answer.headers}
    kept = {name: value for name, value in known.items() if name not in OURS_ALONE.keys() | VARYING | {"content-type"}}
    if answer.method != "HEAD" or answer.status >= 400:
        kept.pop("content-length", None)  # that of the body, which is compared as far as it can be
    if "location" in kept:
        kept["location"] = re.sub(r"(uploads/)[^?]*(\?_state=.*)?", r"\1", str(kept["location"]))
    if "link" in kept:
        target, _, relation = str(kept["link"]).partition(">")
        path, _, query = target.partition("?")
        kept["link"] = (path, sorted(query.split("&")), relation)
    return kept


def body(answer: Response) -> object:
    """An error's codes, and every other body as it is."""
    if answer.status >= 400 and answer.body.startswith(b"{"):
        return answer.codes, sorted(set().union(*answer.json()["errors"]) - {"detail"})
    return answer.body


@pytest.mark.parametrize("case", CASES, ids=str)
def test_answers(both: tuple[Client, Client], case: Case) -> None:
    """The table above is the whole difference."""
    accept = {"Accept": DOCKER_IMAGE} if "/manifests/" in case.path else {}
    ours, theirs = (client.request(case.method, case.path, accept) for client in both)
    assert differing(ours, theirs) == set(case.differs.split()), f"{case.why}\n{ours}\n\n{theirs}"


def test_the_headers_of_the_slides(both: tuple[Client, Client]) -> None:
    """To the byte, the end of the line included."""
    answer = both[0].get("/v2/_catalog?last=&n=2")
    assert answer.body == b'{"repositories":["gianluca/ubuntu","raoul/ubuntu"]}\n'
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == "52"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["Date"])


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "text/html"])
def test_a_manifest_in_curl(both: tuple[Client, Client], accept: str | None) -> None:
    """registry:2 makes a schema 1 manifest for clients that do not name a type, or fails; Holdfast shows what is stored."""
    headers = {"Accept": accept} if accept else {}
    for path in (f"{M}/manifests/18.04", "/raoul/ubuntu/manifests/18.04"):
        answer = both[0].get(path, headers).expect(200)
        assert (answer.body, answer.headers["Content-Type"]) == (IMAGE.body, DOCKER_IMAGE)
