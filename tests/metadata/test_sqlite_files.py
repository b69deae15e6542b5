"""The embedded database's files: made, migrated, refused, shared among processes, killed, full, read-only."""

import asyncio
import errno
import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import apsw
import pytest

from holdfast.metadata import queries, sqlite
from holdfast.metadata.contract import put, value
from holdfast.metadata.port import (
    Connection,
    Database,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
)
from holdfast.metadata.sqlite import FILE, Mode, SQLiteDatabase

T = TypeVar("T")
MODES: list[Mode] = ["shared", "exclusive", "read-only"]

ADD = """
import asyncio, sys
from pathlib import Path
from holdfast.metadata.contract import count
from holdfast.metadata.sqlite import SQLiteDatabase

async def work():
    database = SQLiteDatabase(Path(sys.argv[1]))
    await asyncio.gather(*(database.write(count) for _ in range(20)))
    for _ in range(20):
        await database.write(count)
    await database.close()

asyncio.run(work())
"""

WRITE_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from holdfast.metadata.queries import meta
from holdfast.metadata.sqlite import SQLiteDatabase

def work(number):
    def run(connection):
        for key in "abc":
            meta.put(connection, key, str(number))
    return run

async def main():
    database = SQLiteDatabase(Path(sys.argv[1]))
    number = 0
    while True:
        number += 1
        await database.write(work(number))
        print(number, flush=True)

asyncio.run(main())
"""


def run(directory: Path, work: Callable[[Database], Awaitable[T]], mode: Mode = "shared") -> T:
    """Run `work` on the database in `directory` and close it."""

    async def whole() -> T:
        database = SQLiteDatabase(directory, mode)
        try:
            async with asyncio.timeout(60):
                return await work(database)
        finally:
            await database.close()

    return asyncio.run(whole())


def start(program: str, directory: Path) -> "subprocess.Popen[str]":
    """Run a program that uses the database in `directory`."""
    return subprocess.Popen([sys.executable, "-c", program, str(directory)], stdout=subprocess.PIPE, text=True)


def schema(directory: Path) -> list[tuple[object, ...]]:
    """All tables and indexes, as SQL."""
    connection = apsw.Connection(str(directory / FILE), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        version = connection.execute("PRAGMA user_version").fetchall()
        return [*version, *connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()]
    finally:
        connection.close()


@contextmanager
def unwritable(directory: Path) -> Iterator[None]:
    """Make a directory and its files impossible to write to, for root too (who becomes nobody for the while)."""
    modes = {path: path.stat().st_mode for path in [directory, *directory.iterdir()]}
    above = {path: path.stat().st_mode for path in directory.parents if path.stat().st_uid == os.geteuid()}
    root = os.geteuid() == 0
    for path, mode in modes.items():
        path.chmod(0o555 if path.is_dir() else mode & 0o555 | 0o444)
    if root:
        for path, mode in above.items():
            path.chmod(mode | 0o011)
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
            for path, mode in above.items():
                path.chmod(mode)
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


def test_every_query_function_is_in_the_contract() -> None:
    """A query without a test would show only on the second database."""
    suite = "".join(path.read_text("utf-8") for path in Path(queries.__file__).parents[1].glob("contract_*.py"))
    for module in Path(queries.__file__).parent.glob("[!_]*.py"):
        for function in re.findall(r"^def ([a-z]\w*)\(connection", module.read_text("utf-8"), re.MULTILINE):
            assert f"{module.stem}.{function}(" in suite


def test_an_empty_directory_becomes_a_database_and_stays_one(tmp_path: Path) -> None:
    directory = tmp_path / "not" / "there" / "yet"
    run(directory, put_one)
    first = schema(directory)
    assert first[0][0]
    run(directory, put_one)
    run(directory, put_one, "exclusive")
    assert schema(directory) == first
    run(tmp_path / "other", put_one, "exclusive")
    assert schema(tmp_path / "other") == first


async def put_one(database: Database) -> None:
    """Write something."""
    await database.write(put("a", "1"))


async def get_one(database: Database) -> str | None:
    """Read what `put_one` has written."""
    return await value(database, "a")


def test_commits_are_flushed_and_references_enforced_in_every_mode(tmp_path: Path) -> None:
    def look(connection: Connection) -> list[object]:
        return [connection.one(f"PRAGMA {name}") for name in ("synchronous", "foreign_keys", "journal_mode")]

    async def both(database: Database) -> list[list[object]]:
        return [await database.read(look), await database.write(look)]

    assert run(tmp_path, both) == [[(2,), (1,), ("wal",)]] * 2
    assert run(tmp_path, both, "exclusive") == [[(2,), (1,), ("delete",)]] * 2
    assert run(tmp_path, both) == [[(2,), (1,), ("wal",)]] * 2


@pytest.mark.parametrize("mode", MODES)
def test_a_database_from_a_newer_program_is_refused_and_not_touched(tmp_path: Path, mode: Mode) -> None:
    run(tmp_path, put_one)
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute("PRAGMA user_version = 9999")
    connection.close()
    before = schema(tmp_path)
    open_files = sorted(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(DatabaseError, match="9999"):
            SQLiteDatabase(tmp_path, mode)
    assert sorted(os.listdir("/proc/self/fd")) == open_files
    assert schema(tmp_path) == before


def test_an_older_database_that_cannot_be_brought_up_to_date_is_refused(tmp_path: Path) -> None:
    run(tmp_path, put_one)
    connection = apsw.Connection(str(tmp_path / FILE))
    connection.execute("PRAGMA user_version = 0")
    connection.close()
    with pytest.raises(DatabaseReadOnly):
        SQLiteDatabase(tmp_path, "read-only")


@pytest.mark.parametrize(
    ("mode", "content"), [("read-only", b""), *((mode, b"this is not a database " * 1000) for mode in MODES)]
)
def test_a_file_that_is_no_database_gives_an_error_of_the_port(tmp_path: Path, mode: Mode, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(DatabaseError):
        SQLiteDatabase(tmp_path, mode)
    assert (tmp_path / FILE).read_bytes() == content


def test_many_processes_open_an_empty_directory_at_once_and_write(tmp_path: Path) -> None:
    processes = [start(ADD, tmp_path / "new") for _ in range(6)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert run(tmp_path / "new", lambda database: value(database, "count")) == str(6 * 40)


def test_of_a_process_that_is_killed_every_answered_write_is_there_and_others_go_on(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        for _ in range(5):
            with start(WRITE_FOR_EVER, tmp_path) as process:
                assert process.stdout is not None
                for _ in range(20):
                    answered = int(process.stdout.readline())
                    await database.write(put("mine", "1"))
                os.kill(process.pid, signal.SIGKILL)
                answered = max([answered, *(int(line) for line in process.stdout if line.endswith("\n"))])
            found = [await value(database, key) for key in "abc"]
            assert found[0] == found[1] == found[2]
            assert int(found[0] or 0) in {answered, answered + 1}
            async with asyncio.timeout(5):
                await database.write(put("mine", "2"))

    run(tmp_path, work)


def test_nobody_shares_with_an_exclusive_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_MILLISECONDS", 50)

    async def work(_: Database) -> None:
        for mode in MODES[:2]:
            with pytest.raises(DatabaseUnavailable):
                SQLiteDatabase(tmp_path, mode)

    run(tmp_path, work, "exclusive")


def test_a_file_system_without_locks_is_told_of_and_no_hindrance_to_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    async def work(database: Database) -> None:
        await put_one(database)
        monkeypatch.setattr(fcntl, "flock", unsupported)
        with pytest.raises(DatabaseUnavailable):
            await put_one(database)

    run(tmp_path, work)
    with pytest.raises(DatabaseUnavailable):
        SQLiteDatabase(tmp_path)
    run(tmp_path, put_one, "exclusive")


@pytest.mark.parametrize("mode", MODES[:2])
def test_a_full_disk_refuses_what_does_not_fit_and_nothing_else(tmp_path: Path, mode: Mode) -> None:
    async def work(database: Database) -> None:
        await database.write(put("a", "1"))
        limit = max(path.stat().st_size for path in tmp_path.iterdir()) + 100_000
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            results = await asyncio.gather(
                *(database.write(put(f"key {n}", "x" * (1_000_000 if n == 5 else 10))) for n in range(10)),
                return_exceptions=True,
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert isinstance(results[5], DatabaseFull)
        assert results[:5] + results[6:] == [None] * 9
        assert await value(database, "key 5") is None
        assert await value(database, "key 6") == "x" * 10
        await database.write(put("key 5", "x" * 1_000_000))

    run(tmp_path, work, mode)
    assert run(tmp_path, get_one) == "1"


def test_read_only_reads_and_refuses_to_write(tmp_path: Path) -> None:
    run(tmp_path, put_one)

    async def work(database: Database) -> None:
        assert await value(database, "a") == "1"
        with pytest.raises(DatabaseReadOnly):
            await database.write(put("a", "2"))
        with pytest.raises(DatabaseReadOnly):
            await database.read(put("a", "2"))
        assert await value(database, "a") == "1"

    before = (tmp_path / FILE).read_bytes()
    with unwritable(tmp_path):
        run(tmp_path, work, "read-only")
    run(tmp_path, work, "read-only")
    assert (tmp_path / FILE).read_bytes() == before


def test_reading_by_way_of_read_is_all_that_it_allows(tmp_path: Path) -> None:
    async def work(database: Database) -> None:
        with pytest.raises(DatabaseReadOnly):
            await database.read(put("a", "2"))

    run(tmp_path, work)


def test_what_a_killed_server_left_in_its_log_is_read_where_nothing_can_be_written(tmp_path: Path) -> None:
    """Never overlooked: an older state of the tags would be served without a word."""
    killed = tmp_path / "killed"
    with start(WRITE_FOR_EVER, killed) as process:
        assert process.stdout is not None
        first = [int(process.stdout.readline()) for _ in range(20)]
        os.kill(process.pid, signal.SIGKILL)
        answered = max([*first, *(int(line) for line in process.stdout if line.endswith("\n"))])
    assert (killed / f"{FILE}-wal").stat().st_size
    with unwritable(killed):
        found = run(killed, lambda database: value(database, "c"), "read-only")
        assert int(found or 0) in {answered, answered + 1}
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (FILE, f"{FILE}-wal"):
        shutil.copy(killed / name, copy / name)
    with unwritable(copy), pytest.raises(DatabaseUnavailable, match="-wal"):
        SQLiteDatabase(copy, "read-only")
    assert run(copy, lambda database: value(database, "c")) == found


def test_a_directory_that_cannot_be_written_gives_an_error_of_the_port(tmp_path: Path) -> None:
    run(tmp_path / "database", put_one)
    with unwritable(tmp_path / "database"), pytest.raises(DatabaseError):
        SQLiteDatabase(tmp_path / "database")
    with pytest.raises(DatabaseError):
        SQLiteDatabase(tmp_path / "database" / FILE)
    with pytest.raises(DatabaseError):
        SQLiteDatabase(tmp_path / "nothing", "read-only")
    assert not (tmp_path / "nothing").exists()
