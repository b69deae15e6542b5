"""Leases in PostgreSQL are locks among nodes: of two at most one has one, and a dead one's passes on."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from harness.postgresql import PostgreSQL
from holdfast.metadata.port import Connection, DatabaseUnavailable
from holdfast.metadata.postgresql import PostgreSQLDatabase
from holdfast.metadata.queries import leases
from holdfast.registry.claims import attempt
from holdfast.registry.leases import LeaseLocks
from holdfast.storage.contract_locks import LocksContract
from holdfast.storage.locks import Locks
from holdfast.storage.port import StorageError
from metadata.support import emptied, migrated

LONG = 60.0
HOUR = 60 * 60.0
SHORT = 1.0
LONGER = 6.0
"""Seconds that a lease lasts: one that has to be renewed in time must not be so short that a busy machine is too slow."""


class TestLeases(LocksContract):
    """Leases keep the contract of locks."""

    @pytest.fixture(autouse=True)
    def _empty(self, url: str) -> None:
        self.url = url

    def locks(self) -> Locks:
        return LeaseLocks(PostgreSQLDatabase(self.url), str(uuid4()))


Two = Callable[[LeaseLocks, LeaseLocks, PostgreSQLDatabase], Awaitable[None]]


def on_two_nodes(url: str, seconds: float, work: Two) -> None:
    """Run `work` with the locks of two nodes, whose leases last for so long, and with the first one's database."""

    async def whole() -> None:
        databases = PostgreSQLDatabase(url), PostgreSQLDatabase(url)
        locks = [LeaseLocks(database, str(uuid4()), seconds) for database in databases]
        async with asyncio.timeout(LONG):
            await work(locks[0], locks[1], databases[0])
        for each in locks:
            each.close()
        for database in databases:
            await database.close()

    asyncio.run(whole())


@pytest.fixture(scope="module")
def tables(postgresql: PostgreSQL) -> str:
    """A database with its tables."""
    return migrated(postgresql.fresh())


@pytest.fixture
def url(tables: str) -> str:
    """A database without rows."""
    emptied(tables)
    return tables


def test_of_two_nodes_one_has_a_lease_for_as_long_as_it_wants(url: str) -> None:
    async def work(one: LeaseLocks, two: LeaseLocks, _: PostgreSQLDatabase) -> None:
        inside = 0

        async def enter(locks: LeaseLocks) -> None:
            nonlocal inside
            async with locks.hold("a"):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(enter((one, two)[number % 2]) for number in range(10)))
        async with one.hold("a"), AsyncExitStack() as stack:
            assert not await attempt(two, "a", stack, LONGER * 1.5)
            assert await attempt(two, "b", stack, LONG)
        async with two.hold("a"):
            pass

    on_two_nodes(url, LONGER, work)


def test_a_lease_of_a_dead_node_passes_on(url: str) -> None:
    async def work(one: LeaseLocks, two: LeaseLocks, _: PostgreSQLDatabase) -> None:
        held = asyncio.Event()
        holding = asyncio.create_task(hold(one, held))
        await held.wait()
        one.close()
        async with two.hold("a"):
            pass
        holding.cancel()
        await asyncio.wait([holding])

    on_two_nodes(url, SHORT, work)


async def hold(locks: LeaseLocks, held: asyncio.Event) -> None:
    """Hold a lease until cancelled."""
    async with locks.hold("a"):
        held.set()
        await asyncio.Event().wait()


def test_who_loses_a_lease_is_stopped(url: str) -> None:
    async def work(one: LeaseLocks, two: LeaseLocks, database: PostgreSQLDatabase) -> None:
        held = asyncio.Event()
        holding = asyncio.create_task(hold(one, held))
        await held.wait()
        await database.write(lambda c: c.run("DELETE FROM leases"))
        with pytest.raises(StorageError, match="the lease 'a' was lost"):
            await holding
        async with two.hold("a"):
            pass

    on_two_nodes(url, SHORT, work)


def test_cancelling_at_any_moment_leaves_no_lease_behind(url: str) -> None:
    async def work(one: LeaseLocks, two: LeaseLocks, database: PostgreSQLDatabase) -> None:
        for number in range(40):
            holding = asyncio.create_task(hold(one, asyncio.Event()))
            for _ in range(number):
                await asyncio.sleep(0.0005)
            holding.cancel()
            await asyncio.wait([holding])
            assert holding.cancelled()
        async with two.hold("a"):
            pass
        names = ["a"]
        while names:
            names = await database.read(lambda c: leases.held(c, ""))

    on_two_nodes(url, HOUR, work)


def test_waiting_for_a_lease_while_the_database_is_away_is_an_error_of_storage(url: str) -> None:
    async def work(one: LeaseLocks, _: LeaseLocks, database: PostgreSQLDatabase) -> None:
        await database.close()
        with pytest.raises(StorageError, match="the database is closed"):
            async with one.hold("a"):
                pass

    on_two_nodes(url, HOUR, work)


def test_an_error_of_the_work_is_raised_and_the_lease_released(url: str) -> None:
    def fail(connection: Connection) -> None:
        raise DatabaseUnavailable("on purpose")

    async def work(one: LeaseLocks, two: LeaseLocks, database: PostgreSQLDatabase) -> None:
        with pytest.raises(DatabaseUnavailable, match="on purpose"):
            async with one.hold("a"):
                await database.write(fail)
        async with AsyncExitStack() as stack:
            assert await attempt(two, "a", stack, LONG)

    on_two_nodes(url, HOUR, work)
