"""What every database must do; implementations subclass this, and `QueriesContract`, in their tests."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from holdfast.metadata.port import Connection, Database, DatabaseError, DatabaseUnavailable, Value
from holdfast.metadata.queries import meta
from holdfast.model.errors import UNAVAILABLE, Failure

LONG = 60.0
"""Seconds within which everything has come to an end."""


class EmptyDatabase:
    """Base of the suites: a fresh database for each test, in `directory` if it needs one."""

    directory: Path

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def database(self, before: Database | None = None) -> Database:
        """An empty database; or, given one, what another process has open on the same data (the same one if there cannot be another)."""
        raise NotImplementedError


Contract = TypeVar("Contract", bound=EmptyDatabase)


def on_database(test: Callable[[Contract, Database], Awaitable[None]]) -> Callable[[Contract], None]:
    """Make a test of a coroutine that takes a fresh database."""

    def run(self: Contract) -> None:
        async def whole() -> None:
            database = self.database()
            try:
                async with asyncio.timeout(LONG):
                    await test(self, database)
            finally:
                await database.close()

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def put(key: str, value: str) -> Callable[[Connection], None]:
    """Work that sets a value."""
    return lambda connection: meta.put(connection, key, value)


async def value(database: Database, key: str) -> str | None:
    """What is committed under a key."""
    return await database.read(lambda connection: meta.get(connection, key))


def count(connection: Connection) -> int:
    """Work that adds one to a number, and gives it."""
    found = int(meta.get(connection, "count") or "0") + 1
    meta.put(connection, "count", str(found))
    return found


class DatabaseContract(EmptyDatabase):
    """Transactions, errors, several processes, closing."""

    async def both(self, database: Database, work: Callable[[Database, Database], Awaitable[None]]) -> None:
        """Run `work` with a database and what another process has of it."""
        other = self.database(database)
        try:
            await work(database, other)
        finally:
            if other is not database:
                await other.close()

    @on_database
    async def test_what_is_written_is_read_here_and_elsewhere(self, database: Database) -> None:
        async def work(one: Database, two: Database) -> None:
            assert await value(one, "a") is None
            for number, (writer, reader) in enumerate([(one, two), (two, one), (one, one)]):
                await writer.write(put("a", str(number)))
                assert await value(reader, "a") == str(number)

        await self.both(database, work)

    @on_database
    async def test_what_is_remembered_is_never_older_than_what_was_committed(self, database: Database) -> None:
        async def work(one: Database, two: Database) -> None:
            for key in ("a", "b"):
                for number, (writer, reader) in enumerate([(one, one), (two, one), (one, two)]):
                    await writer.write(put(key, str(number)))
                    for _ in range(2):
                        assert await reader.remembered(key, partial(meta.get, key=key)) == str(number)

        await self.both(database, work)

    @on_database
    async def test_work_that_fails_changes_nothing_and_its_error_is_raised(self, database: Database) -> None:
        def fail(connection: Connection) -> None:
            meta.put(connection, "a", "2")
            meta.put(connection, "b", "2")
            raise Failure(UNAVAILABLE, "on purpose")

        await database.write(put("a", "1"))
        with pytest.raises(Failure, match="on purpose"):
            await database.write(fail)
        assert (await value(database, "a"), await value(database, "b")) == ("1", None)

    @on_database
    async def test_a_driver_s_error_is_the_port_s_and_undoes_all_of_the_work(self, database: Database) -> None:
        def clash(connection: Connection) -> None:
            meta.put(connection, "b", "2")
            connection.run("INSERT INTO meta (key, value) VALUES ('a', '2')")

        def wrong(connection: Connection) -> None:
            meta.put(connection, "b", "2")
            connection.all("SELECT nothing FROM nowhere")

        await database.write(put("a", "1"))
        for work in (clash, wrong):
            with pytest.raises(DatabaseError):
                await database.write(work)
        with pytest.raises(DatabaseError):
            await database.read(lambda c: c.all("SELECT nothing FROM nowhere"))
        assert (await value(database, "a"), await value(database, "b")) == ("1", None)

    @on_database
    async def test_of_many_writes_at_once_those_that_fail_do_not_harm_the_others(self, database: Database) -> None:
        """However they are committed together, each stands alone."""

        def work(number: int) -> Callable[[Connection], int]:
            def run(connection: Connection) -> int:
                meta.put(connection, f"key {number}", str(number))
                count(connection)
                match number % 5:
                    case 1:
                        raise Failure(UNAVAILABLE, f"number {number}")
                    case 2:
                        connection.run("INSERT INTO meta (key, value) VALUES (?, '')", f"key {number}")
                    case 3 if number % 2:
                        next(iter(()))
                return number

            return run

        results = await asyncio.gather(*(database.write(work(n)) for n in range(300)), return_exceptions=True)
        for number, result in enumerate(results):
            kept = await value(database, f"key {number}")
            if number % 5 == 1:
                assert isinstance(result, Failure)
                assert result.message == f"number {number}"
            elif number % 5 == 2:
                assert isinstance(result, DatabaseError)
            elif number % 5 == 3 and number % 2:
                assert isinstance(result, RuntimeError)
            else:
                assert (result, kept) == (number, str(number))
                continue
            assert kept is None
        assert await value(database, "count") == str(sum(isinstance(result, int) for result in results))

    @on_database
    async def test_nothing_comes_between_reading_and_writing_in_one_transaction(self, database: Database) -> None:
        async def work(one: Database, two: Database) -> None:
            found = await asyncio.gather(*((one, two)[n % 2].write(count) for n in range(200)))
            assert sorted(found) == list(range(1, 201))

        await self.both(database, work)

    @on_database
    async def test_readers_see_all_of_a_transaction_or_nothing(self, database: Database) -> None:
        done = asyncio.Event()

        def write(number: int) -> Callable[[Connection], None]:
            def run(connection: Connection) -> None:
                meta.put(connection, "a", str(number))
                meta.put(connection, "b", str(number))

            return run

        def look(connection: Connection) -> list[Value]:
            return [row[0] for row in connection.all("SELECT value FROM meta WHERE key IN ('a', 'b')")]

        def whole(found: list[Value]) -> bool:
            return found in ([], found[:1] * 2)

        async def work(one: Database, two: Database) -> None:
            async def watch() -> None:
                while not done.is_set():
                    assert whole(await two.read(look))
                    await asyncio.sleep(0)

            watching = asyncio.create_task(watch())
            for number in range(100):
                await one.write(write(number))
            done.set()
            await watching

        await self.both(database, work)

    @on_database
    async def test_a_caller_that_is_cancelled_harms_nobody(self, database: Database) -> None:
        for turns in range(20):
            writing = asyncio.create_task(database.write(count))
            others = [asyncio.create_task(database.write(put("a", str(turns)))) for _ in range(3)]
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing
            await asyncio.gather(*others)
        assert await value(database, "a") == "19"
        before = int(await value(database, "count") or "0")
        assert await database.write(count) == before + 1

    @on_database
    async def test_values_come_back_as_they_went(self, database: Database) -> None:
        largest = 2**63 - 1
        cases: list[Value] = [
            "",
            "text",
            "Ünï\ncode 🚢",
            "\x01\x01\x00\x00\x02\x01\x02\x00",
            0,
            largest,
            -largest,
            b"",
            b"\x00\xff" * 5000,
            None,
        ]

        def work(connection: Connection) -> list[Value]:
            return [row[0] for one in cases for row in connection.all("SELECT ?", one)]

        assert await database.write(work) == cases
        assert await database.read(work) == cases

    @on_database
    async def test_text_is_ordered_bytewise_with_whatever_is_in_it(self, database: Database) -> None:
        ordered = [
            "",
            "\x00",
            "\x00\x01",
            "\x01",
            "\x01\x00",
            "\x01\x02",
            "\x02",
            "-",
            "A",
            "_",
            "a",
            "a\x00b",
            "a\x01",
            "ab",
            "b",
            "é",
        ]

        def work(connection: Connection) -> list[Value]:
            for key in reversed(ordered):
                meta.put(connection, key, key)
            for position, key in enumerate(ordered):
                rows = connection.all("SELECT key FROM meta WHERE key > ? ORDER BY key", key)
                assert [row[0] for row in rows] == ordered[position + 1 :]
            return [row[0] for row in connection.all("SELECT value FROM meta ORDER BY key")]

        assert await database.write(work) == ordered

    @on_database
    async def test_rows_and_counts(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            assert connection.one("SELECT value FROM meta WHERE key = ?", "none") is None
            assert connection.all("SELECT value FROM meta WHERE key = ?", "none") == []
            for key in "abc":
                assert connection.run("INSERT INTO meta (key, value) VALUES (?, ?)", key, "1") == 1
            assert connection.all("SELECT key, value FROM meta ORDER BY key") == [("a", "1"), ("b", "1"), ("c", "1")]
            assert connection.one("SELECT key, value FROM meta ORDER BY key DESC") == ("c", "1")
            assert connection.run("UPDATE meta SET value = '2' WHERE key < 'c'") == 2
            assert connection.run("DELETE FROM meta WHERE key = 'none'") == 0
            assert connection.run("DELETE FROM meta") == 3

        await database.write(work)

    @on_database
    async def test_rows_that_others_need_cannot_be_removed(self, database: Database) -> None:
        def work(connection: Connection) -> None:
            connection.run(
                "INSERT INTO blobs (digest, size, state, created_at, touched_at) VALUES ('sha256:a', 1, 'live', 0, 0)"
            )
            connection.run("INSERT INTO claims (holder, digest, claimed_at) VALUES ('x', 'sha256:a', 0)")

        await database.write(work)
        with pytest.raises(DatabaseError):
            await database.write(lambda c: c.run("DELETE FROM blobs"))
        with pytest.raises(DatabaseError):
            await database.write(lambda c: c.run("INSERT INTO claims VALUES ('x', 'sha256:b', 0)"))

    @on_database
    async def test_a_database_in_order_has_nothing_to_tell(self, database: Database) -> None:
        await database.write(count)
        assert await database.check() == []

    @on_database
    async def test_closing_finishes_what_is_under_way_and_ends_the_rest(self, database: Database) -> None:
        other = self.database(database)
        writing = [asyncio.create_task(database.write(count)) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.gather(database.close(), database.close())
        assert sorted(await asyncio.gather(*writing)) == list(range(1, 51))
        with pytest.raises(DatabaseUnavailable):
            await database.write(count)
        with pytest.raises(DatabaseUnavailable):
            await value(database, "count")
        await database.close()
        if other is not database:
            assert await value(other, "count") == "50"
            await other.close()
