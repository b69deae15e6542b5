"""Object stores and database servers that are not as they should be."""

from collections.abc import Mapping

import pytest

from doctor.reports import report
from harness.content import blob
from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository
from harness.server import Server
from harness.swift import Swift
from holdfast.storage.s3_requests import request

S3 = "storage.s3."


@pytest.fixture
def bucket(swift: Swift) -> dict[str, str]:
    """Settings of a server that does not run, on a new bucket."""
    return {
        "http.addr": "127.0.0.1:1",
        f"{S3}regionendpoint": swift.endpoint,
        f"{S3}bucket": swift.new_bucket(),
        f"{S3}accesskey": swift.access_key,
        f"{S3}secretkey": swift.secret_key,
    }


@pytest.fixture
def both(bucket: dict[str, str], postgresql: PostgreSQL) -> dict[str, str]:
    """With a new database as well."""
    return bucket | {"metadata.url": postgresql.fresh(), "server.workers": "1"}


def objects(swift: Swift, settings: Mapping[str, str]) -> bytes:
    """What the store says is in the bucket."""
    return request(swift.bucket_address(settings[f"{S3}bucket"]), "GET")


def test_all_is_well_before_the_first_start(both: dict[str, str], swift: Swift) -> None:
    found = report(both)
    found.says("store", "ok", both[f"{S3}bucket"], "read, written, listed, and deleted")
    found.says("store", "advice", swift.endpoint.partition("//")[2], "storage.redirect.disable")
    found.says("database", "ok", "no tables yet", "may use 8 of")
    assert b"<Key>" not in objects(swift, both)
    assert "memory" not in str(found)
    assert "testing" not in str(found).replace(both["metadata.url"], "")


def test_nothing_is_written_when_not_asked_to(bucket: dict[str, str]) -> None:
    report(bucket, push=False).says("store", "ok", "nothing was written")


def test_beside_a_server(both: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {key: value for key, value in both.items() if key != "http.addr"} | {"storage.delete.enabled": "true"}
    with Server(tmp_path_factory.mktemp("node"), settings) as server:
        Repository(Client(server), "some/thing").push_blob(blob("x"))
        found = report(server)
    found.says("database", "ok", "1 nodes serve")
    found.says("push and pull", "ok", "the same bytes")
    assert found.healthy, found


def test_clients_that_cannot_reach_the_store(both: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    settings = {key: value for key, value in both.items() if key != "http.addr"}
    settings |= {"storage.delete.enabled": "true", f"{S3}redirectendpoint": "http://127.0.0.1:1"}
    with Server(tmp_path_factory.mktemp("node"), settings) as server:
        report(server).says(
            "push and pull", "problem", "sends clients to http://127.0.0.1:1", "storage.redirect.disable"
        )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("secretkey", "wrong", "check the access key"),
        ("bucket", "missing", "make it, or correct"),
        ("region", "eu-west-1", "set it to us-east-1"),
    ],
)
def test_a_store_that_refuses(bucket: dict[str, str], key: str, value: str, words: str) -> None:
    report(bucket | {S3 + key: value}).says("store", "problem", words, "the section storage")


def test_databases_that_cannot_be_used(bucket: dict[str, str], postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    newer = postgresql.empty()
    postgresql.run("CREATE TABLE schema_version (version BIGINT PRIMARY KEY)", newer)
    postgresql.run("INSERT INTO schema_version VALUES (1000)", newer)
    for url, words in {
        postgresql.url(name, "locked:wrong"): ("password authentication failed", "check user and password"),
        postgresql.url("nowhere"): ('database "nowhere" does not exist', "CREATE DATABASE"),
        postgresql.url(name, "locked:right"): ("may not make tables", "GRANT CREATE"),
        postgresql.url(newer): ("tables of version 1000", "use a newer one"),
        "postgresql://someone@127.0.0.1:1/names": ("cannot be reached", "start PostgreSQL"),
    }.items():
        report({"http.addr": "127.0.0.1:1", "storage": "inmemory", "metadata.url": url}).says(
            "database", "problem", *words
        )


def test_too_few_connections(postgresql: PostgreSQL) -> None:
    settings = {"http.addr": "127.0.0.1:1", "storage": "inmemory", "metadata.url": postgresql.fresh()}
    found = report(settings | {"server.workers": "10", "metadata.connections": "100"})
    found.says("database", "problem", "may use 1000 connections", "PgBouncer")


def test_an_embedded_database_beside_a_bucket(bucket: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("database")
    found = report(bucket | {"metadata.path": str(directory)})
    assert "memory: everything" not in str(found)
    assert str(directory) in str(found)
