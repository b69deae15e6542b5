"""PostgreSQL on bad days: conflicts, processes that start at once, a server that is killed, falls silent, or will not do."""

import asyncio
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count as count_up
from pathlib import Path

import pytest

from harness.postgresql import PgBouncer, PostgreSQL
from harness.wire import Wire
from holdfast.metadata.port import (
    Connection,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
)
from holdfast.metadata.postgresql import PostgreSQLDatabase, described
from holdfast.metadata.postgresql_errors import error_of
from holdfast.metadata.queries import meta, repositories
from metadata.support import migrated

LONG = 90.0
NODES = 10
STARTER = """
import asyncio, sys
from holdfast.metadata.postgresql import PostgreSQLDatabase

async def start(url):
    database = PostgreSQLDatabase(url)
    try:
        await database.migrate()
        return "done"
    except Exception as error:
        return repr(error)
    finally:
        await database.close()

for line in sys.stdin:
    print(asyncio.run(start(line.strip())), flush=True)
"""


def on_database(url: str, work: Callable[[PostgreSQLDatabase], Awaitable[None]], connections: int = 8) -> None:
    """Run `work` with a database object."""

    async def whole() -> None:
        database = PostgreSQLDatabase(url, connections)
        try:
            async with asyncio.timeout(LONG):
                await work(database)
        finally:
            await database.close()

    asyncio.run(whole())


def count(connection: Connection, key: str) -> None:
    """Add one to a number."""
    meta.put(connection, key, str(int(meta.get(connection, key) or "0") + 1))


async def number(database: PostgreSQLDatabase, key: str) -> int:
    """What a number is."""
    return await database.read(lambda c: int(meta.get(c, key) or "0"))


async def available(database: PostgreSQLDatabase) -> None:
    """Wait until the database answers."""
    while True:
        with suppress(DatabaseUnavailable):
            await number(database, "a")
            return
        await asyncio.sleep(0.05)


def test_of_many_writers_on_the_same_rows_none_fails_and_nothing_is_lost(postgresql: PostgreSQL) -> None:
    url = migrated(postgresql.fresh())
    rounds, writers = 15, 12

    def work(connection: Connection, turn: int) -> int:
        for key in sorted(("a", "b"), reverse=bool(turn % 2)):
            count(connection, key)
        return repositories.make(connection, f"repository/{turn // writers}", 0)

    async def both(one: PostgreSQLDatabase) -> None:
        two = PostgreSQLDatabase(url)
        turns = range(rounds * writers)
        found = await asyncio.gather(*((one, two)[n % 2].write(lambda c, n=n: work(c, n)) for n in turns))  # type: ignore[misc]
        assert len(set(found)) == rounds, "a repository was made twice"
        assert await number(two, "a") == await number(two, "b") == rounds * writers
        await two.close()

    on_database(url, both)


@contextmanager
def starters() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that make the tables of each database whose URL they are given."""
    command = [sys.executable, "-c", STARTER]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(NODES)
    ]
    yield processes
    for process in processes:
        process.communicate()
        assert process.returncode == 0


def test_processes_that_start_at_once_on_an_empty_database_make_one_schema(postgresql: PostgreSQL, long: bool) -> None:
    with starters() as processes:
        for _ in range(100 if long else 10):
            name = postgresql.empty()
            for process in processes:
                assert process.stdin
                process.stdin.write(f"{postgresql.url(name)}\n")
                process.stdin.flush()
            for process in processes:
                assert process.stdout
                assert process.stdout.readline() == "done\n"
            versions = postgresql.run("SELECT version FROM schema_version", name)
            assert len(versions) == len(set(versions)) > 0


@pytest.fixture
def own(open_directory: Path) -> Iterator[PostgreSQL]:
    """A server for a test that kills it."""
    with PostgreSQL(open_directory / f"own-{time.monotonic_ns()}", durable=False) as server:
        yield server


class Writers:
    """Tasks that write without end. `acknowledged`: the keys that were written; `errors`: how often the database was not available."""

    def __init__(self, database: PostgreSQLDatabase) -> None:
        self.acknowledged: set[str] = set()
        self.errors = 0
        self._database = database
        self._moved = asyncio.Condition()
        self._tasks = [asyncio.create_task(self._write(writer)) for writer in range(6)]

    async def _write(self, writer: int) -> None:
        for turn in count_up():
            key = f"{writer}-{turn}"
            try:
                await self._database.write(lambda c, key=key: meta.put_once(c, key, "x"))  # type: ignore[misc]
            except DatabaseUnavailable:
                self.errors += 1
                await asyncio.sleep(0.05)
            else:
                self.acknowledged.add(key)
            async with self._moved:
                self._moved.notify_all()

    async def more(self) -> None:
        """Wait for another 50 keys."""
        wanted = len(self.acknowledged) + 50
        async with self._moved:
            await self._moved.wait_for(lambda: len(self.acknowledged) >= wanted)

    async def failure(self) -> None:
        """Wait for an error."""
        before = self.errors
        async with self._moved:
            await self._moved.wait_for(lambda: self.errors > before)

    async def stop(self) -> None:
        """End them."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def kill_and_restart(server: PostgreSQL, database: PostgreSQLDatabase) -> None:
    """Do so twice under load: what was acknowledged stays, and writes go on."""
    writers = Writers(database)
    for _ in range(2):
        await writers.more()
        await asyncio.to_thread(server.kill)
        await writers.failure()
        await asyncio.to_thread(server.start)
        await writers.more()
    await writers.stop()
    await available(database)
    kept = await database.read(lambda c: {row[0] for row in c.all("SELECT key FROM meta")})
    assert writers.acknowledged <= kept


def test_a_server_that_is_killed_loses_nothing_and_is_used_again_when_it_is_back(own: PostgreSQL) -> None:
    on_database(migrated(own.fresh()), lambda database: kill_and_restart(own, database))


def test_behind_pgbouncer_too(own: PostgreSQL, open_directory: Path) -> None:
    with PgBouncer(open_directory / f"pooler-{own.port}", own) as pooler:
        on_database(migrated(pooler.fresh()), lambda database: kill_and_restart(own, database))


def test_who_asks_a_server_that_fell_silent_is_told_in_time_and_later_ones_at_once(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    migrated(postgresql.url(name))

    async def work(database: PostgreSQLDatabase) -> None:
        await asyncio.gather(*(database.write(lambda c: count(c, "a")) for _ in range(20)))
        wire.silence()
        asked = [number(database, "a") for _ in range(20)] + [
            database.write(lambda c: count(c, "b")) for _ in range(20)
        ]
        begun = time.monotonic()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(result, DatabaseUnavailable) for result in results), results
        assert time.monotonic() - begun < 30
        for _ in range(1000):
            with pytest.raises(
                DatabaseUnavailable, match=f"PostgreSQL at postgresql://postgres@127.0.0.1:{wire.port}/{name}"
            ):
                await number(database, "a")
        assert time.monotonic() - begun < 40
        wire.restore()
        await available(database)
        assert await number(database, "a") == 20
        await database.write(lambda c: count(c, "b"))

    with Wire(postgresql.port) as wire:
        on_database(f"postgresql://postgres@127.0.0.1:{wire.port}/{name}", work)


def test_work_does_not_wait_without_end_for_a_connection(postgresql: PostgreSQL) -> None:
    url = migrated(postgresql.fresh())
    go_on = threading.Event()

    async def work(database: PostgreSQLDatabase) -> None:
        slow = asyncio.create_task(database.read(lambda _: go_on.wait()))
        await asyncio.sleep(0)
        with pytest.raises(DatabaseUnavailable, match="no connection came free"):
            await number(database, "a")
        go_on.set()
        assert await slow
        assert await number(database, "a") == 0

    on_database(url, work, connections=1)


def test_a_server_that_is_not_there_yet_is_found_when_it_comes(own: PostgreSQL) -> None:
    url = migrated(own.fresh())
    own.stop()

    async def work(database: PostgreSQLDatabase) -> None:
        with pytest.raises(DatabaseUnavailable, match="cannot be reached"):
            await database.migrate()
        await asyncio.to_thread(own.start)
        await available(database)
        await database.migrate()

    on_database(url, work)


def refusal(url: str) -> str:
    """The error that a start with this URL ends with."""

    async def start() -> None:
        database = PostgreSQLDatabase(url)
        try:
            await database.migrate()
        finally:
            await database.close()

    with pytest.raises(DatabaseError) as caught:
        asyncio.run(start())
    return str(caught.value)


def test_a_newer_database_is_refused(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    migrated(postgresql.url(name))
    postgresql.run("INSERT INTO schema_version VALUES (1000)", name)
    assert "the database has version 1000, this program knows up to" in refusal(postgresql.url(name))


def test_what_is_wrong_is_said_without_the_password(postgresql: PostgreSQL) -> None:
    url = postgresql.url("postgres", "locked:secret%21")
    for wrong, words in {
        url: f"at postgresql://locked@127.0.0.1:{postgresql.port}/postgres cannot be reached: .*password authentication failed for .*; check user",
        postgresql.url("nowhere"): 'database "nowhere" does not exist; .*CREATE DATABASE',
        postgresql.url("nowhere", "nobody"): 'role "nobody" does not exist; make that user',
        "postgresql://postgres@127.0.0.1:1/postgres": "Connection refused; start PostgreSQL",
        "postgresql://postgres@database.invalid/postgres": "correct the host",
        f"{url}?sslmode": "is not a valid URL",
        f"{url}?nothing=secret": "is not a valid URL",
        url.replace("%21", "%"): "is not a valid URL",
        url.replace("postgresql:", "mysql:"): "must begin with postgresql://",
    }.items():
        message = refusal(wrong)
        assert "secret" not in message
        assert re.search(words, message), message


def test_a_user_who_may_not_make_tables_is_told_how(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    assert "GRANT CREATE" in refusal(postgresql.url(name, "locked:right"))


def test_a_database_of_another_encoding_is_refused(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    postgresql.run(f"CREATE DATABASE {name}_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    assert "make one with ENCODING 'UTF8'" in refusal(postgresql.url(f"{name}_ascii"))


def test_a_server_that_takes_no_writes_is_read(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    migrated(postgresql.url(name))
    postgresql.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    async def work(database: PostgreSQLDatabase) -> None:
        await database.migrate()
        with pytest.raises(DatabaseReadOnly):
            await database.write(lambda c: count(c, "a"))
        assert await number(database, "a") == 0

    on_database(postgresql.url(name), work)


def test_an_old_server_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_old_server, args=(listener,))
        thread.start()
        message = refusal(f"postgresql://user@127.0.0.1:{listener.getsockname()[1]}/names?sslmode=disable")
        thread.join()
    assert "is PostgreSQL 12.22: Holdfast needs 13 or newer" in message


def _old_server(listener: socket.socket) -> None:
    """Answer one start of a session as PostgreSQL 12 does."""
    near, _ = listener.accept()
    with near:
        near.recv(4096)
        version = b"server_version\x0012.22\x00"
        near.sendall(
            b"R"
            + struct.pack("!ii", 8, 0)
            + b"S"
            + struct.pack("!i", 4 + len(version))
            + version
            + b"Z\x00\x00\x00\x05I"
        )
        near.recv(4096)


def test_damage_is_found(postgresql: PostgreSQL) -> None:
    name = postgresql.empty()
    migrated(postgresql.url(name))
    postgresql.run("ALTER TABLE tags DISABLE TRIGGER ALL", name)
    postgresql.run("INSERT INTO tags VALUES (7, 'latest', 'sha256:none', 0)", name)

    async def work(database: PostgreSQLDatabase) -> None:
        (found,) = await database.check()
        assert found.startswith("table tags, ")
        assert found.endswith(": 1 rows refer to rows of manifests that are not there")

    on_database(postgresql.url(name), work)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("53100", DatabaseFull),
        ("25006", DatabaseReadOnly),
        ("53300", DatabaseUnavailable),
        ("57P01", DatabaseUnavailable),
        ("57P03", DatabaseUnavailable),
        ("08006", DatabaseUnavailable),
        ("XX001", DatabaseError),
    ],
)
def test_what_an_error_of_the_server_means(state: str, kind: type[DatabaseError]) -> None:
    error = error_of(state, "words")
    assert isinstance(error, kind)
    assert str(error) == "PostgreSQL: words"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@host:5432/names", "postgresql://user@host:5432/names"),
        ("postgres://user:secret@host/names?sslmode=require", "postgres://user@host/names"),
        ("postgresql://user@host/names?password=secret", "postgresql://user@host/names"),
        ("postgresql://host/names", "postgresql://host/names"),
        ("postgresql:///names?user=user&password=secret", "postgresql:///names"),
        ("postgresql://user:secret@a:1,b:2/names", "postgresql://user@a:1,b:2/names"),
        ("postgresql://user:se@cret/x@host/names", "postgresql://user@host/names"),
        ("postgresql://user:se?cret@host/names", "postgresql://..."),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert described(url) == shown


def test_without_psycopg_the_error_says_what_to_install() -> None:
    text = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from holdfast.metadata.postgresql import PostgreSQLDatabase\n"
        "from holdfast.metadata.port import DatabaseError\n"
        "try: PostgreSQLDatabase('postgresql://host/names')\n"
        "except DatabaseError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "metadata.url needs psycopg: in a checkout of Holdfast, pip install '.[postgres]'\n"
