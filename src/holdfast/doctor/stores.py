"""Checks of an object store and of a database server: what the nodes need, tried from here with the settings and credentials of the server."""

import asyncio
import ipaddress
import os
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

from holdfast.app.presence import SERVING
from holdfast.config.settings import Settings
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem
from holdfast.metadata.port import DatabaseError
from holdfast.metadata.postgresql_url import described as described_server
from holdfast.storage import paths
from holdfast.storage.object_settings import described, open_blobs
from holdfast.storage.port import StorageError

TRIAL = b"holdfast doctor\n"


def _store(case: Case) -> Iterator[Finding]:
    if case.settings is None or not (place := described(case.settings.storage)):
        return
    writes = case.push and not case.read_only
    try:
        address = asyncio.run(_tried(case.settings, writes=writes))
    except StorageError as error:
        yield problem(str(error), "correct the section storage, or the store; the server does not serve before")
        return
    yield ok(f"{place} can be read" + (", written, listed, and deleted from" if writes else "; nothing was written"))
    if address and not case.settings.storage.redirect.disable and _is_here(address):
        yield advice(
            f"pulls of blobs are sent to {urlsplit(address).netloc}, which other machines cannot reach",
            "set storage.s3.redirectendpoint to the store's address as clients reach it, or storage.redirect.disable: true",
        )


async def _tried(settings: Settings, *, writes: bool) -> str | None:
    """Use the store as the server does; gives the address at which a client would read. What a kill leaves of it is swept like other uploads."""
    store, bucket = open_blobs(settings.storage)
    path = paths.segment(str(uuid4()))
    try:
        await store.read_file(paths.INSTANCE)
        if not writes:
            async for _ in bucket.list(paths.SEGMENTS):
                break
            return await bucket.sign(path)
        await bucket.write(path, TRIAL)
        try:
            names = {found.path async for page in bucket.list(paths.SEGMENTS) for found in page}
            if await store.read_file(path) != TRIAL or path not in names:
                raise StorageError(
                    f"{described(settings.storage)} did not give back what was just written: it must show each write at once to everybody"
                )
            return await bucket.sign(path)
        finally:
            await bucket.remove([path])
    finally:
        await store.close()


def _is_here(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _database(case: Case) -> Iterator[Finding]:
    if case.settings is None or not case.settings.metadata.url:
        return
    settings = case.settings
    where = described_server(settings.metadata.url)
    try:
        from holdfast.metadata.postgresql import PostgreSQLDatabase  # noqa: PLC0415 - an extra
        from holdfast.metadata.postgresql_look import Facts, look  # noqa: PLC0415

        async def ask() -> Facts:
            database = PostgreSQLDatabase(settings.metadata.url, 1)
            try:
                return await database.read(lambda c: look(c, SERVING))
            finally:
                await database.close()

        facts = asyncio.run(ask())
    except ImportError:
        yield problem("metadata.url needs psycopg, which is not installed", "install Holdfast with it: '.[postgres]'")
        return
    except DatabaseError as error:
        words, _, remedy = str(error).partition("; ")
        yield problem(words, remedy or "correct metadata.url, or the server; the registry does not serve before")
        return
    needed = (settings.server.workers or len(os.sched_getaffinity(0))) * settings.metadata.connections
    if facts.standby:
        yield problem(f"{where} is a standby: nothing can be written there", "name the primary in metadata.url")
    elif facts.encoding != "UTF8":
        yield problem(f"{where} has the encoding {facts.encoding}", "make a database with ENCODING 'UTF8'")
    elif facts.tables > facts.newest:
        yield problem(
            f"{where} has tables of version {facts.tables}, this program knows up to {facts.newest}", "use a newer one"
        )
    elif not facts.may_create:
        yield problem(
            f"the user of {where} may not make tables",
            "as a superuser, in this database: GRANT CREATE, USAGE ON SCHEMA public TO that user, or make it the database's owner",
        )
    elif needed > facts.connections:
        yield problem(
            f"a node may use {needed} connections (workers x metadata.connections), {where} has {facts.connections}",
            "raise max_connections there, lower metadata.connections or server.workers, or put PgBouncer between",
        )
    else:
        tables = "has no tables yet: the first start makes them" if not facts.tables else f"{facts.nodes} nodes serve"
        yield ok(
            f"{where} can be used: PostgreSQL {facts.server}; {tables}; a node may use {needed} of its {facts.connections} connections"
        )


CHECKS = (
    Check(
        "store",
        "The bucket of an object store, with the credentials of the server: a few bytes are written, read, listed and deleted.",
        (
            "wrong keys, region or address, a bucket that is not there, TLS or plain HTTP where the other is spoken",
            "a key that may not read, write, list or delete",
            "redirects to an address that other machines cannot reach",
        ),
        _store,
    ),
    Check(
        "database",
        "The PostgreSQL database of metadata.url.",
        (
            "a server that cannot be reached, a wrong password, a database that is not there",
            "a standby, another encoding, a user who may not make tables, a database of a newer version",
            "fewer connections than one node may use",
        ),
        _database,
    ),
)
