"""PostgreSQL behind the port, for installations of more than one machine.

Reads run outside of transactions, a round trip for each statement. Writes are serializable: PostgreSQL ends one with an error where another
came between, and it runs again. Each write takes a weak lock on the table `turns`; one that failed several times takes a strong lock, which
waits for all others and keeps them out, so that everything is done in the end.

A `COMMIT` whose answer is lost leaves it open whether it was done; the caller is told so.
"""

import random
import time
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, TypeVar, cast

from holdfast.metadata.port import Connection, DatabaseError, DatabaseUnavailable
from holdfast.metadata.postgresql_errors import Blocked, Conflict, ConnectionLost, Violation
from holdfast.metadata.postgresql_url import described

if TYPE_CHECKING:
    from holdfast.metadata.postgresql_connection import PostgreSQLConnection
    from holdfast.metadata.postgresql_pool import Worker

__all__ = ["PostgreSQLDatabase", "described"]

TRIES = 3
"""How often a write runs beside others before it runs alone."""

WRITE_SECONDS = 20.0
"""How long a write is begun again after conflicts."""

LOST = 2
"""How often a write is begun again after its connection was lost."""

CHECK_SECONDS = 24 * 60 * 60.0

T = TypeVar("T")


class PostgreSQLDatabase:
    """A database on a server. Nothing is connected before it is needed, and the server may go and come back."""

    def __init__(self, url: str, connections: int = 8) -> None:
        """`url`: postgresql://..., as libpq takes it. `connections`: the most at once.

        Raises `DatabaseError` if the URL is wrong or psycopg is not installed.
        """
        try:
            from holdfast.metadata.postgresql_connection import check_url  # noqa: PLC0415 - an extra
            from holdfast.metadata.postgresql_pool import Pool  # noqa: PLC0415 - an extra
        except ImportError:
            raise DatabaseError(
                "metadata.url needs psycopg: in a checkout of Holdfast, pip install '.[postgres]'"
            ) from None

        check_url(url)
        self._pool = Pool(url, described(url), connections)

    async def migrate(self) -> None:
        """Make the tables or bring them up to date; any number of processes may do so at once.

        Raises `DatabaseUnavailable`; `DatabaseError` if the database is newer than this program, or cannot hold what it is for.
        """
        from holdfast.metadata.postgresql_schema import migrate  # noqa: PLC0415 - an extra

        await self._pool.run(lambda worker: _again(worker, migrate), patience=WRITE_SECONDS * 3)

    async def read(self, work: Callable[[Connection], T]) -> T:
        return cast(T, await self._pool.run(lambda worker: _again(worker, work)))

    async def remembered(self, key: Hashable, work: Callable[[Connection], T]) -> T:  # noqa: ARG002 - nothing is remembered
        return await self.read(work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        return cast(T, await self._pool.run(lambda worker: _write(worker, work), writes=True))

    async def check(self) -> list[str]:
        from holdfast.metadata.postgresql_schema import damage  # noqa: PLC0415 - an extra

        return cast(list[str], await self._pool.run(lambda worker: _again(worker, damage), patience=CHECK_SECONDS))

    async def close(self) -> None:
        await self._pool.close()


def _again(worker: "Worker", work: "Callable[[PostgreSQLConnection], T]") -> T:
    """Run `work`; once more on a fresh connection if the server had closed the one that there was."""
    for last in (False, True):
        connection = worker.connected()
        try:
            return work(connection)
        except ConnectionLost:
            if last or connection.silent:
                raise
        finally:
            if connection.broken:
                worker.drop()
    raise AssertionError  # pragma: no cover - the loop returns or raises


def _write(worker: "Worker", work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction until it is committed, or fails for a reason of its own."""
    end = time.monotonic() + WRITE_SECONDS
    conflicts = lost = 0
    while True:
        connection = worker.connected()
        alone = conflicts >= TRIES
        try:
            connection.begin(alone=alone)
            result = work(connection)
            connection.commit()
            return result
        except BaseException:
            failed = connection.failed
            _undo(worker, connection)
            if isinstance(failed, Conflict) and time.monotonic() < end:
                conflicts += TRIES if isinstance(failed, Blocked) else 1
                time.sleep(random.uniform(0, 0.002 * 2**conflicts) if conflicts < TRIES else 0)  # noqa: S311 - no secret
            elif isinstance(failed, Violation) and not alone:
                conflicts = TRIES  # alone it turns out whose fault it was
            elif isinstance(failed, ConnectionLost) and connection.committing:
                raise DatabaseUnavailable(
                    "the connection to PostgreSQL was lost during a commit: it is not known whether the change was made"
                ) from None
            elif isinstance(failed, ConnectionLost) and lost < LOST and not connection.silent:
                lost += 1
            else:
                raise


def _undo(worker: "Worker", connection: "PostgreSQLConnection") -> None:
    try:
        if not connection.broken:
            connection.rollback()
    except DatabaseError:
        worker.drop()
    if connection.broken:
        worker.drop()
