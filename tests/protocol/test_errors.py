"""The error table: each row that a client can provoke over HTTP is provoked, and told as the table says."""

import hashlib
from collections.abc import Callable

import pytest

from harness.content import EMPTY, OCI_IMAGE, digest, image
from harness.http import Client, Response
from harness.repository import Repository, with_query
from harness.rules import CODES, error_body, every_answer
from harness.server import Server
from holdfast.model.errors import ERRORS, ErrorKind

D = digest(b"unknown")

Provoke = Callable[[Repository], Response]


def chunk(repository: Repository, content_range: str) -> Response:
    return repository.client.patch(repository.open_upload(), {"Content-Range": content_range}, b"abcde")


def blob_referenced(repository: Repository) -> Response:
    repository.push_blob(EMPTY)
    repository.push_manifest(image(EMPTY))
    return repository.delete(f"blobs/{EMPTY.digest}")


def ranged(repository: Repository, asked: str) -> Response:
    repository.push_blob(EMPTY)
    return repository.get(f"blobs/{EMPTY.digest}", {"Range": asked})


def known(repository: Repository) -> Repository:
    """The repository, which exists now."""
    repository.push_image("known")
    return repository


def manifest(repository: Repository, body: bytes, reference: str = "latest") -> Response:
    return repository.client.put(repository.url(f"manifests/{reference}"), {"Content-Type": OCI_IMAGE}, body)


PROVOKED: dict[str, Provoke] = {
    "NAME_INVALID": lambda repository: repository.client.get("/v2/UPPER/tags/list"),
    "NAME_UNKNOWN": lambda repository: repository.get("tags/list"),
    "TAG_INVALID": lambda repository: manifest(repository, b"{}", ".dot"),
    "DIGEST_INVALID": lambda repository: known(repository).get("blobs/sha256:bad"),
    "MANIFEST_UNKNOWN": lambda repository: known(repository).get("manifests/unknown"),
    "MANIFEST_INVALID": lambda repository: manifest(repository, b"{"),
    "MANIFEST_TOO_LARGE": lambda repository: manifest(repository, b" " * (4 * 2**20 + 1)),
    "MANIFEST_BLOB_UNKNOWN": lambda repository: manifest(repository, image(EMPTY).body),
    "TOO_MANY_TAGS": lambda repository: manifest(repository, b"{}", f"{D}?{'&'.join(['tag=a'] * 101)}"),
    "BLOB_UNKNOWN": lambda repository: known(repository).get(f"blobs/{D}"),
    "BLOB_REFERENCED": blob_referenced,
    "BLOB_UPLOAD_UNKNOWN": lambda repository: repository.get("blobs/uploads/00000000-0000-4000-8000-000000000000"),
    "BLOB_UPLOAD_INVALID": lambda repository: chunk(repository, "five"),
    "RANGE_INVALID": lambda repository: chunk(repository, "5-9"),
    "RANGE_NOT_SATISFIABLE": lambda repository: ranged(repository, "bytes=2-"),
    "TOO_MANY_RANGES": lambda repository: ranged(repository, "bytes=" + ",".join(["0-0"] * 101)),
    "PAGINATION_INVALID": lambda repository: known(repository).get("tags/list?n=-1"),
    "UNSUPPORTED": lambda repository: repository.client.post("/v2/"),
    "NOT_FOUND": lambda repository: repository.client.get("/v2/unknown"),
    "OLD_PROTOCOL": lambda repository: repository.client.get("/v1/_ping"),
}

NOT_FOR_A_CLIENT_ALONE = {
    "SIZE_INVALID",  # a body that breaks off takes its connection, and so the answer, with it
    "UNAUTHORIZED",  # needs a server with accounts, as in test_endpoints.py
    "TOO_MANY_REQUESTS",  # needs many attempts there
    "DENIED",  # needs access rules
    "READ_ONLY",  # these need a bad day of the server's
    "UNAVAILABLE",
    "DISK_FULL",
    "UNKNOWN",
    "DELETE_DISABLED",  # these two need a setting, and have a test of their own below
    "BODY_TIMEOUT",
    "SET_READ_ONLY",  # as in test_read_only.py
}


def test_table_is_covered() -> None:
    """A new kind of error has to be provoked here, or to be named as one that a client cannot provoke."""
    assert PROVOKED.keys() | NOT_FOR_A_CLIENT_ALONE == ERRORS.keys()
    assert not PROVOKED.keys() & NOT_FOR_A_CLIENT_ALONE


@pytest.mark.parametrize("name", PROVOKED)
def test_kind(repository: Repository, name: str) -> None:
    """Code and status of the table, in the protocol's form."""
    kind = ERRORS[name]
    answer = PROVOKED[name](repository).expect(kind.status, code=kind.code)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


def test_delete_disabled(start_server: Callable[..., Server]) -> None:
    repository = Repository(Client(start_server(storage="inmemory"), check=every_answer), "a")
    kind = ERRORS["DELETE_DISABLED"]
    repository.push_image("latest")
    answer = repository.delete("manifests/latest").expect(kind.status, code=kind.code)
    assert answer.json()["errors"][0]["message"] == kind.message


@pytest.mark.parametrize("engine", ["granian", "uvicorn"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_body_timeout(start_server: Callable[..., Server], engine: str, method: str) -> None:
    """I7: a body that stops is given up, and the upload stands where it stood."""
    server = start_server(storage="inmemory", server_engine=engine, server_bodytimeout="0.5")
    repository = Repository(Client(server, check=every_answer), f"stalled/{engine}")
    upload = repository.open_upload()
    target = with_query(upload, f"digest={D}") if method == "PUT" else upload
    with repository.client.connect() as connection:
        connection.send_head(method, target, {"Content-Length": "1000"})
        connection.send(b"abc")
        answer = connection.receive(method, target)
    kind = ERRORS["BODY_TIMEOUT"]
    answer.expect(kind.status, code=kind.code)
    error_body(answer)
    assert repository.client.get(upload).expect(204).headers["Range"] == "0-0"


@pytest.mark.parametrize("row", ERRORS.values(), ids=lambda row: row.name)
def test_rows(row: ErrorKind) -> None:
    """What clients rely on: known codes, the status that goes with a code, words that help."""
    assert row.code in CODES | {"UNKNOWN", "UNAVAILABLE"}
    assert 400 <= row.status < 600
    assert (row.code in {"UNKNOWN", "UNAVAILABLE"}) == (row.status in {408, 500, 503})
    assert row.message
    assert row.help.endswith(".")


def test_messages_do_not_repeat_hostile_input(repository: Repository) -> None:
    """What a client sends comes back as JSON and cut, whatever it was."""
    hostile = "%3Cscript%3E%22%5C%0a" + hashlib.sha256(b"x").hexdigest() * 100
    for tail in (f"manifests/{hostile}", f"blobs/{hostile}", f"tags/list?n={hostile}", f"referrers/{hostile}"):
        answer = known(repository).get(tail).expect(400, 404)
        assert len(answer.body) < 2000
        assert "X-Content-Type-Options" in answer.headers
