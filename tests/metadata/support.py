"""PostgreSQL databases for tests."""

import asyncio
import threading

from holdfast.metadata.postgresql import PostgreSQLDatabase


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
