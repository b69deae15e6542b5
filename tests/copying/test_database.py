"""`holdfast database copy`: an embedded database that was in use becomes one on a real PostgreSQL."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import psycopg
import pytest

from copying.support import line, run, variables
from harness.content import digest, index
from harness.http import Client
from harness.postgresql import PgBouncer, PostgreSQL
from harness.repository import Repository, with_query
from harness.server import Server, free_port
from holdfast.metadata import copying
from holdfast.metadata.postgresql_connection import decoded
from holdfast.metadata.sqlite import FILE, SQLiteDatabase
from metadata.support import migrated

PAST = 1_700_000_000_000
DIGEST = "sha256:" + "0" * 64


def connected(directory: Path) -> apsw.Connection:
    """A new embedded database."""

    async def make() -> None:
        await SQLiteDatabase(directory).close()

    asyncio.run(make())
    return apsw.Connection(str(directory / FILE))


def every_table(connection: apsw.Connection) -> list[copying.Table]:
    """Put rows into every table that is copied, with values of all kinds; gives the tables."""
    blob, odd = f"sha256:{'a' * 64}", "tab\tnew\nline back\\slash 'quote' \\N é 語 \U0001f4e6 \x01 \0"
    statements: list[tuple[str, list[tuple[apsw.SQLiteValue, ...]]]] = [
        ("INSERT INTO blobs VALUES (?, ?, 'live', ?, ?, ?)", [(blob, 2**53, PAST, 0, ""), (DIGEST, 0, 0, -1, odd)]),
        ("INSERT INTO aliases VALUES (?, ?)", [(f"sha512:{'b' * 128}", blob)]),
        ("INSERT INTO claims VALUES (?, ?, ?)", [(odd, blob, PAST)]),
        ("INSERT INTO repositories VALUES (?, ?, ?)", [(3, "team/app", PAST), (7, "b", PAST)]),
        ("INSERT INTO repository_blobs VALUES (?, ?, ?)", [(3, blob, PAST), (7, DIGEST, PAST)]),
        (
            "INSERT INTO manifests VALUES (3, ?, ?, 'type', ?, ?, 9, '{}', 1, ?, ?, ?, ?)",
            [
                (blob, blob, "", None, PAST, odd, None, b""),
                (DIGEST, DIGEST, odd, blob, PAST, "", PAST, bytes(range(256)) * 5000),
            ],
        ),
        ("INSERT INTO manifest_references VALUES (3, ?, ?, 'layer')", [(blob, DIGEST)]),
        ("INSERT INTO tags VALUES (3, ?, ?, ?)", [("latest", blob, PAST)]),
        ("INSERT INTO tag_history VALUES (?, 'b', 't', ?, ?, ?, ?)", [(5, None, blob, PAST, odd)]),
        (
            "INSERT INTO uploads VALUES (?, 'b', 1, 2, 3, ?, ?, ?, '')",
            [("u", None, b"\0\xff", None), ("v", "", b"", DIGEST)],
        ),
        ("INSERT INTO dirty VALUES (?, 'b', 'tag', 'latest', ?, 1)", [(8, None), (9, blob)]),
        ("DELETE FROM dirty WHERE id = ?", [(9,)]),
        ("INSERT INTO leftovers VALUES (?, ?, ?)", [(blob, "[]", PAST)]),
        ("INSERT INTO meta VALUES (?, ?)", [("instance", "me"), ("key", odd)]),
    ]
    for statement, rows in statements:
        connection.executemany(statement, rows)
    return copying.tables_of(connection)


def as_written(value: object) -> object:
    """A value that PostgreSQL keeps, which knows no character 0, as it was meant."""
    return decoded(value.encode()) if isinstance(value, str) else value


@pytest.fixture(params=["directly", "pooled"])
def url(request: pytest.FixtureRequest, postgresql: PostgreSQL) -> str:
    """An empty database, on the server or behind PgBouncer."""
    pooler: PgBouncer | PostgreSQL = request.getfixturevalue("pgbouncer") if request.param == "pooled" else postgresql
    return pooler.fresh()


def test_every_row_of_every_table_arrives(tmp_path: Path, url: str) -> None:
    source = connected(tmp_path)
    tables = every_table(source)
    output = run("database", "copy", tmp_path, "-", text=f"{url}\n")
    with psycopg.connect(url) as target:
        for table in tables:
            columns = ", ".join(name for name, _ in table.columns)
            statement = f"SELECT {columns} FROM {table.name}"
            ours = source.execute(statement).fetchall()
            assert ours, f"the test has no rows for {table.name}"
            theirs = [tuple(map(as_written, row)) for row in target.execute(statement.encode())]
            assert sorted(map(repr, theirs)) == sorted(map(repr, ours))
            assert re.search(rf"^{table.name} +{len(ours)} rows, digest [0-9a-f]+ on both sides$", output, re.MULTILINE)
        for statement, expected in (
            ("INSERT INTO repositories (name, created_at) VALUES ('c', 1) RETURNING id", 8),
            ("INSERT INTO dirty (repository, kind, name) VALUES ('b', 'tag', 't') RETURNING id", 10),
        ):
            assert target.execute(statement.encode()).fetchall() == [(expected,)]
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            target.execute("INSERT INTO repository_blobs VALUES (99, %s, 0)", (DIGEST,))


def test_both_schemas_have_the_same_tables(tmp_path: Path, postgresql: PostgreSQL) -> None:
    """A table that one of them lacks would be missed, or stop the copy."""
    with psycopg.connect(migrated(postgresql.fresh())) as connection:
        there = copying.target_columns(connection)
    assert there.pop("turns", {}) == {}
    assert set(there.pop("schema_version")) == {"version"}
    for name in copying.LEFT_OUT:
        del there[name]
    assert there == {table.name: dict(table.columns) for table in copying.tables_of(connected(tmp_path))}


def test_an_installation_goes_on_from_postgresql(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.fresh()
    settings = {"storage.delete.enabled": "true"}
    with Server(tmp_path, settings) as server:
        repository = Repository(Client(server), "team/app")
        first = repository.push_image("1", "latest")
        second = repository.push_image("latest")
        gone = repository.push_image("gone")
        repository.delete("manifests/gone").expect(202)
        referrer = repository.push_image(subject=second, artifactType="application/vnd.example.signature")
        both = repository.push_manifest(index([first, second]), "both")
        repository.put_manifest(first, first.sha512).expect(201)
        content = repository.blob(300_000)
        half = repository.client.patch(repository.open_upload(), {}, content.body[:200_000]).expect(202)
        busy = run("database", "copy", tmp_path / "root/holdfast", url, status=1)
        assert f"the database in {tmp_path}/root/holdfast is in use: process {server.pid} on " in busy
        answers = _answers(repository)
        before = _history(tmp_path / "root/holdfast")
    output = run("database", "copy", tmp_path / "root/holdfast" / FILE, url)
    assert re.search(r"^Copied \d+ rows in .* to postgresql://postgres@127.0.0.1:", output, re.MULTILINE)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT * FROM tag_history ORDER BY id").fetchall() == before
    with Server(tmp_path, settings | {"metadata.url": url}) as server:
        repository = Repository(Client(server), "team/app")
        assert repository.tags() == ["1", "both", "latest"]
        assert _answers(repository) == answers
        for manifest in (first, second, gone, referrer, both):
            assert repository.get(f"manifests/{manifest.digest}").expect(200).body == manifest.body
        assert repository.get(f"manifests/{first.sha512}").expect(200).body == first.body
        assert [found["digest"] for found in repository.referrers(second.digest)] == [referrer.digest]
        half = repository.client.patch(half.headers["Location"], {}, content.body[200_000:]).expect(202)
        closing = with_query(half.headers["Location"], f"digest={digest(content.body)}")
        repository.client.put(closing).expect(201)
        assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
        third = repository.push_image("latest")
        assert repository.get("manifests/latest").expect(200).body == third.body


def _answers(repository: Repository) -> list[bytes]:
    paths = ("/v2/_catalog", "/v2/team/app/tags/list", "/v2/team/app/manifests/latest")
    return [repository.client.get(path).expect(200).body for path in paths]


def _history(directory: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(directory / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    return [tuple(row) for row in connection.execute("SELECT * FROM tag_history ORDER BY id")]


def test_what_is_interrupted_did_not_happen(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.fresh()
    tables = every_table(connected(tmp_path))
    script = f"""
import sys
from pathlib import Path
from holdfast.app.copying import copy_database

def tell(table, done, total):
    if (table, done) == ({tables[-1].name!r}, {{}}):
        print("here", flush=True)
        sys.stdin.read()

copy_database(Path({str(tmp_path)!r}), {url!r}, tell)
"""
    for done in (0, 1):
        process = subprocess.Popen(
            [sys.executable, "-c", script.format(done)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables()
        )
        with process:
            assert process.stdout
            assert process.stdout.readline() == b"here\n"
            os.kill(process.pid, signal.SIGKILL)
        with psycopg.connect(url) as connection:
            for table in tables:
                assert connection.execute(f"SELECT * FROM {table.name}".encode()).fetchall() == []
    run("database", "copy", tmp_path, url)
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT name FROM tags").fetchall() == [("latest",)]


def refused(*words: object, **settings: str) -> str:
    """What a copy that does not begin says."""
    return run("database", "copy", *words, status=1, **settings)


def test_what_cannot_be_copied_is_refused(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.fresh()
    directory = tmp_path / "root/holdfast"
    assert f"there is no {FILE} in {tmp_path}: give the directory" in refused(tmp_path, url)
    with connected(directory) as source:
        source.execute("INSERT INTO meta VALUES ('instance', 'me')")
    assert f"did you mean {directory}?" in refused(tmp_path / "root", url)
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/registry"
    assert f"PostgreSQL at {nowhere} cannot be reached" in refused(directory, nowhere)
    assert "metadata.url is not a valid URL" in refused(directory, "postgresql://[/")
    run("database", "copy", directory, url)
    assert f"{url} is not empty: table meta has rows" in refused(directory, url)
    [version] = source.execute("PRAGMA user_version").fetchall()[0]
    source.execute("PRAGMA user_version = 9999")
    assert "the database has version 9999" in refused(directory, postgresql.fresh())
    source.execute(f"PRAGMA user_version = {version}")


def test_a_configuration_file_names_the_target(tmp_path: Path, postgresql: PostgreSQL) -> None:
    every_table(connected(tmp_path))
    url = postgresql.fresh()
    configuration = tmp_path / "config.yml"
    configuration.write_text("version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\n")
    assert f"{configuration} has no metadata.url: add it" in refused(tmp_path, configuration)
    assert "there is no such file" in refused(tmp_path, tmp_path / "other.yml")
    configuration.write_text(f"{configuration.read_text()}metadata: {{url: '{url}'}}\n")
    assert " rows in " in run("database", "copy", tmp_path, configuration)
    other = postgresql.fresh()
    assert other in run("database", "copy", tmp_path, configuration, metadata_url=other)


FILL = """
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
"""
ROWS: list[Callable[[str], str]] = [
    lambda n: f"INSERT INTO blobs {n} SELECT printf('sha256:%064x', i), 1000, 'live', 1, 1, '' FROM n",
    lambda n: (
        f"INSERT INTO manifests {n} SELECT 1, printf('sha256:%064x', i), printf('sha256:%064x', i), 'type', '', NULL, 1000, '{{}}', 1, 1, '',"
        " NULL, randomblob(1000) FROM n"
    ),
    lambda n: f"INSERT INTO tags {n} SELECT 1, printf('tag%d', i), printf('sha256:%064x', i), 1 FROM n",
]


def test_memory_does_not_grow_with_the_tags(tmp_path: Path, postgresql: PostgreSQL) -> None:
    taken = {}
    for tags in (5_000, 50_000):
        directory = tmp_path / str(tags)
        with connected(directory) as source:
            source.execute("INSERT INTO repositories VALUES (1, 'app', 1)")
            for statement in ROWS:
                source.execute(statement(FILL), (tags,))
        process = subprocess.Popen(
            line("database", "copy", directory, postgresql.fresh()), env=variables(), stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        taken[tags] = usage.ru_maxrss
    assert taken[50_000] < taken[5_000] + 16 * 1024
