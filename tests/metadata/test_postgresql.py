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
from metadata.support import migrated


class Direct(EmptyDatabase):
    """Each test has a database of its own."""

    url: str

    @pytest.fixture(autouse=True)
    def _fresh(self, postgresql: PostgreSQL) -> None:
        self.url = postgresql.fresh()

    def database(self, before: Database | None = None) -> Database:
        if before is None:
            migrated(self.url)
        return PostgreSQLDatabase(self.url)


class Pooled(Direct):
    """As `Direct`, with the server's sessions shared out by transactions."""

    @pytest.fixture(autouse=True)
    def _fresh(self, pgbouncer: PgBouncer) -> None:
        self.url = pgbouncer.fresh()


class TestDirect(Direct, DatabaseContract):
    """Connected to the server itself."""


class TestDirectQueries(Direct, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract):
    """Connected to the server itself."""


class TestPooled(Pooled, DatabaseContract):
    """Through PgBouncer."""


class TestPooledQueries(Pooled, QueriesContract, CollectionContract, ImportsContract, LeasesContract, PartsContract):
    """Through PgBouncer."""
