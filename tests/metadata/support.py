"""PostgreSQL databases for tests."""

import asyncio
import threading

import psycopg

from holdfast.metadata.postgresql import PostgreSQLDatabase

TABLES = (
    "SELECT string_agg(format('DELETE FROM %I', tablename), '; ') FROM pg_tables"
    " WHERE schemaname = 'public' AND tablename <> 'schema_version'"
)


def emptied(url: str) -> None:
    """Remove all rows of a database, which is much quicker than to make another one."""
    with psycopg.connect(url) as connection:
        row = connection.execute(TABLES).fetchone()
        assert row
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(row[0].encode())


def migrated(url: str) -> str:
    """Make the tables of a database, also where an event loop runs; gives its URL."""

    async def run() -> None:
        database = PostgreSQLDatabase(url)
        try:
            await database.migrate()
        finally:
            await database.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()
    return url
