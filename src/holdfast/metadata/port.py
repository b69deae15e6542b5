"""The database port: where names live.

Queries are the functions of `holdfast.metadata.queries`, which take a `Connection`; a `Database` runs them. Implementations: `sqlite`.
`contract.py` holds the suite that each must pass. Errors of a driver never cross the port.
"""

from collections.abc import Callable, Hashable
from typing import Protocol, TypeVar

T = TypeVar("T")

Value = str | int | bytes | None
Row = tuple[Value, ...]


class DatabaseError(Exception):
    """The database could not do it: the base of the errors below.

    DatabaseError
    +-- DatabaseFull        no room on its disk: nothing was changed
    +-- DatabaseReadOnly    it takes no writes
    +-- DatabaseUnavailable it cannot be reached, or stayed busy for too long
    """


class DatabaseFull(DatabaseError):
    """There is no room for what was written."""


class DatabaseReadOnly(DatabaseError):
    """The database takes no writes."""


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached, or stayed busy for too long."""


class Connection(Protocol):
    """Runs SQL in a transaction. Parameters are written `?`."""

    def all(self, sql: str, *parameters: Value) -> list[Row]:
        """Run a statement; gives its rows."""

    def one(self, sql: str, *parameters: Value) -> Row | None:
        """Run a statement; gives its first row, or None."""

    def run(self, sql: str, *parameters: Value) -> int:
        """Run a statement; gives the number of rows it changed."""


class Database(Protocol):
    """Names and all that is known about them, with transactions."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads and takes microseconds; each statement sees all that is committed.

        Raises what `work` raises, `DatabaseUnavailable`.
        """

    async def remembered(self, key: Hashable, work: Callable[[Connection], T]) -> T:
        """As `read`, but perhaps with what an earlier call for an equal `key` gave, if nothing at all was committed since.

        For answers that are costly and often asked for; the caller does not change what it gets. Raises as `read`.
        """

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own and commit it durably; if it raises, nothing is changed and the error is raised.

        `work` has no other effects: it may run again after a conflict, and on another thread. Raises `DatabaseFull`,
        `DatabaseReadOnly`, `DatabaseUnavailable`.
        """

    async def check(self) -> list[str]:
        """Look through all of the database for damage, which takes its time; gives what was found, a line for each. Raises `DatabaseUnavailable`."""

    async def close(self) -> None:
        """Finish what is under way and let go."""
