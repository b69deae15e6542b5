"""PostgreSQL keeps the contracts, directly and through PgBouncer in transaction mode."""

import pytest

from harness.postgresql import PgBouncer, PostgreSQL
from holdfast.metadata.contract import DatabaseContract, EmptyDatabase
from holdfast.metadata.contract_collection import CollectionContract
from holdfast.metadata.contract_imports import ImportsContract
from holdfast.metadata.contract_leases import LeasesContract
from holdfast.metadata.contract_parts import PartsContract
from holdfast.metadata.contract_queries import QueriesContract
from holdfast.metadata.port import Database
from holdfast.metadata.postgresql import PostgreSQLDatabase
from metadata.support import emptied, migrated


@pytest.fixture(scope="module")
def direct(postgresql: PostgreSQL) -> str:
    """A database with its tables."""
    return migrated(postgresql.fresh())


@pytest.fixture(scope="module")
def pooled(pgbouncer: PgBouncer) -> str:
    """A database with its tables, through PgBouncer."""
    return migrated(pgbouncer.fresh())


class Direct(EmptyDatabase):
    """Connected to the server itself."""

    url: str

    @pytest.fixture(autouse=True)
    def _empty(self, direct: str) -> None:
        emptied(direct)
        self.url = direct

    def database(self, _before: Database | None = None) -> Database:
        return PostgreSQLDatabase(self.url)


class Pooled(Direct):
    """Through PgBouncer, which shares the server's sessions out by transactions."""

    @pytest.fixture(autouse=True)
    def _empty(self, pooled: str) -> None:
        emptied(pooled)
        self.url = pooled


class TestDirect(Direct, DatabaseContract):
    """Connected to the server itself."""


class TestDirectQueries(Direct, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract):
    """Connected to the server itself."""


class TestPooled(Pooled, DatabaseContract):
    """Through PgBouncer."""


class TestPooledQueries(Pooled, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract):
    """Through PgBouncer."""
