"""SQLite in each of its modes keeps the contracts."""

from holdfast.metadata.contract import DatabaseContract, EmptyDatabase
from holdfast.metadata.contract_collection import CollectionContract
from holdfast.metadata.contract_imports import ImportsContract
from holdfast.metadata.contract_leases import LeasesContract
from holdfast.metadata.contract_parts import PartsContract
from holdfast.metadata.contract_queries import QueriesContract
from holdfast.metadata.port import Database
from holdfast.metadata.sqlite import SQLiteDatabase


class Shared(EmptyDatabase):
    """Several processes on one directory: a second database object stands for another process, its locks exclude all the same."""

    def database(self, _before: Database | None = None) -> Database:
        return SQLiteDatabase(self.directory)


class Exclusive(EmptyDatabase):
    """One process has the directory to itself."""

    def database(self, before: Database | None = None) -> Database:
        return before or SQLiteDatabase(self.directory, "exclusive")


class InMemory(EmptyDatabase):
    """Nothing on disk."""

    def database(self, before: Database | None = None) -> Database:
        return before or SQLiteDatabase(None)


class TestShared(Shared, DatabaseContract):
    """The usual mode."""


class TestSharedQueries(Shared, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract):
    """The usual mode."""


class TestExclusive(Exclusive, DatabaseContract):
    """For network file systems."""


class TestExclusiveQueries(
    Exclusive, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract
):
    """For network file systems."""


class TestInMemory(InMemory, DatabaseContract):
    """For tests and throw-away registries."""


class TestInMemoryQueries(
    InMemory, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract
):
    """For tests and throw-away registries."""
