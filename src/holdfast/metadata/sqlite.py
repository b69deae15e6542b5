"""The embedded database: SQLite through apsw, which brings a current version.

Each process reads on its event loop (a point read takes microseconds) and writes through one thread, which takes all
work that waits and commits it together, so that one fsync serves many requests. A lock file keeps the writers of
several processes in line: waiting on it wakes at once, where SQLite's own busy handler polls.
"""

import asyncio
import errno
import fcntl
import os
import queue
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import apsw

from holdfast.metadata.port import (
    Connection,
    DatabaseError,
    DatabaseFull,
    DatabaseReadOnly,
    DatabaseUnavailable,
    Row,
    Value,
)

FILE = "holdfast.db"
WRITE_LOCK = "holdfast.db.write"
BUSY_MILLISECONDS = 5000
MOST_TOGETHER = 200
MOST_REMEMBERED = 64

_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}

T = TypeVar("T")
Mode = Literal["shared", "exclusive", "read-only"]


@contextmanager
def translated() -> Iterator[None]:
    """Turn apsw's errors into those of the port."""
    try:
        yield
    except apsw.FullError as error:
        raise DatabaseFull(str(error)) from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise DatabaseReadOnly(str(error)) from error
    except (apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.IOError) as error:
        kind = DatabaseFull if getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE else DatabaseUnavailable
        raise kind(str(error)) from error
    except apsw.Error as error:
        raise DatabaseError(str(error)) from error


@contextmanager
def _files_translated() -> Iterator[None]:
    """Turn the system's errors into those of the port."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DatabaseFull(str(error)) from error
        if error.errno in _READ_ONLY:
            raise DatabaseReadOnly(str(error)) from error
        raise DatabaseUnavailable(str(error)) from error


class SQLiteConnection:
    """Statements on an apsw connection."""

    def __init__(self, inner: apsw.Connection) -> None:
        self.inner = inner
        self._execute = inner.execute

    def all(self, sql: str, *parameters: Value) -> list[Row]:
        return cast(list[Row], self._execute(sql, parameters).fetchall())

    def one(self, sql: str, *parameters: Value) -> Row | None:
        return cast(Row | None, self._execute(sql, parameters).fetchone())

    def run(self, sql: str, *parameters: Value) -> int:
        self._execute(sql, parameters)
        return self.inner.changes()


@dataclass(slots=True)
class _Job:
    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None


class SQLiteDatabase:
    """A database in one directory.

    `mode`: `shared` by several processes (WAL); `exclusive` to this one (for network file systems, where processes cannot share memory);
    `read-only`. Open it after a fork, never before.
    """

    def __init__(self, directory: Path | None, mode: Mode = "shared") -> None:
        """Open the database in `directory` (None: in memory, for this process alone), making and migrating it as needed."""
        self._mode = mode
        self._directory = directory
        self._write_lock = -1
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._answers: dict[Hashable, tuple[Row | None, Any]] = {}
        self._connections: list[SQLiteConnection] = []
        try:
            with translated(), _files_translated():
                self._open(directory)
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._write_all, name="database-write", daemon=True)
        self._thread.start()

    def _open(self, directory: Path | None) -> None:
        if directory is None:
            self._writer = self._reader = self._connected(_connect(":memory:", "exclusive"))
            _migrate(self._writer)
        elif self._mode == "read-only":
            self._writer = self._reader = self._connected(connect_read_only(directory / FILE))
            _check_version(self._reader)
        else:
            _make_durably(directory)
            if self._mode == "shared":
                self._write_lock = os.open(directory / WRITE_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with self._locked():
                self._writer = self._reader = self._connected(_connect(str(directory / FILE), self._mode))
                _migrate(self._writer)
                with suppress(OSError):  # not every file system has this; SQLite sees to its own files
                    _fsync_directory(directory)
            if self._mode == "shared":
                self._reader = self._connected(_connect(str(directory / FILE), self._mode))
                self._reader.inner.execute("PRAGMA query_only = ON")

    def _connected(self, inner: apsw.Connection) -> SQLiteConnection:
        self._connections.append(SQLiteConnection(inner))
        return self._connections[-1]

    def _let_go(self) -> None:
        while self._connections:
            self._connections.pop().inner.close()
        if self._write_lock >= 0:
            os.close(self._write_lock)
            self._write_lock = -1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self._write_lock >= 0:
            with _files_translated():
                fcntl.flock(self._write_lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if self._write_lock >= 0:
                fcntl.flock(self._write_lock, fcntl.LOCK_UN)

    async def read(self, work: Callable[[Connection], T]) -> T:
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        if self._reader is self._writer and self._mode != "read-only":
            return await self.write(work)
        with translated():
            return work(self._reader)

    async def remembered(self, key: Hashable, work: Callable[[Connection], T]) -> T:
        if self._closed or self._reader is self._writer:
            return await self.read(work)
        with translated():
            version = self._reader.one("PRAGMA data_version")
        known = self._answers.get(key)
        if known and known[0] == version:
            return cast(T, known[1])
        answer = await self.read(work)
        if len(self._answers) >= MOST_REMEMBERED:
            del self._answers[next(iter(self._answers))]
        self._answers[key] = version, answer
        return answer

    async def write(self, work: Callable[[Connection], T]) -> T:
        if self._mode == "read-only":
            raise DatabaseReadOnly("the database is opened read-only")
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        self._jobs.put(job)
        with translated():
            return cast(T, await asyncio.shield(job.future))

    async def check(self) -> list[str]:
        try:
            if self._mode == "shared" and self._directory:
                return await asyncio.to_thread(_check_apart, self._directory / FILE)
            return await self.write(_check)
        except DatabaseError as error:
            return [str(error)]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._jobs.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._let_go()

    def _write_all(self) -> None:
        while True:
            jobs = [self._jobs.get()]
            with suppress(queue.Empty):
                while len(jobs) < MOST_TOGETHER and jobs[-1] is not None:
                    jobs.append(self._jobs.get_nowait())
            batch = [job for job in jobs if job]
            if batch:
                self._write_batch(batch)
                _answer(batch)
            if jobs[-1] is None:
                return

    def _write_batch(self, batch: list[_Job]) -> None:
        try:
            with self._locked():
                self._writer.inner.execute("BEGIN IMMEDIATE")
                try:
                    for job in batch:
                        self._write_one(job)
                    self._writer.inner.execute("COMMIT")
                finally:
                    if self._writer.inner.in_transaction:
                        self._writer.inner.execute("ROLLBACK")
        except BaseException as error:  # whatever it is, each caller is told
            if isinstance(error, apsw.FullError | apsw.IOError) and len(batch) > 1:
                for job in batch:  # there may be room for all but one of them
                    job.error = None
                    self._write_batch([job])
            else:
                reason = self._reason(error)
                for job in batch:
                    job.error = job.error or reason

    def _reason(self, error: BaseException) -> BaseException:
        """What kept SQLite from writing, in the system's words where it has some: a full disk and one with errors look alike to it."""
        number = self._writer.inner.system_errno
        if isinstance(error, apsw.IOError) and number in _READ_ONLY:
            return DatabaseReadOnly(os.strerror(number))
        return error

    def _write_one(self, job: _Job) -> None:
        self._writer.inner.execute("SAVEPOINT work")
        try:
            job.result = job.work(self._writer)
        except (apsw.FullError, apsw.IOError):
            raise
        except BaseException as error:  # whatever it is, the caller is told
            job.error = error
            self._writer.inner.execute("ROLLBACK TO work")
        self._writer.inner.execute("RELEASE work")


def _answer(batch: list[_Job]) -> None:
    def settle() -> None:
        for job in batch:
            if not job.future.done():
                if isinstance(job.error, StopIteration):  # a future takes any error but this one
                    job.future.set_exception(RuntimeError("the work raised StopIteration"))
                elif job.error:
                    job.future.set_exception(job.error)
                else:
                    job.future.set_result(job.result)

    with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
        batch[0].loop.call_soon_threadsafe(settle)


def _connect(path: str, mode: Mode) -> apsw.Connection:
    connection = _stable(apsw.Connection(path))
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    if mode == "exclusive":
        # SQLite learns only by reading that a database was shared before, and has to be told afterwards to stop that.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE; SELECT count(*) FROM sqlite_schema").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -8000")
    return connection


def _stable(connection: apsw.Connection) -> apsw.Connection:
    """Keep the plans of statements: otherwise SQLite plans a statement again whenever it is given other parameters, and a point read
    costs four times as much.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    return connection


def _check_apart(path: Path) -> list[str]:
    """Check a database that others go on writing to."""
    with translated():
        connection = _connected_to(f"{path.absolute().as_uri()}?mode=ro")
        try:
            return _check(SQLiteConnection(connection))
        finally:
            connection.close()


def _check(connection: Connection) -> list[str]:
    found = [str(line) for (line,) in connection.all("PRAGMA integrity_check(100)") if line != "ok"]
    broken = connection.all("PRAGMA foreign_key_check")
    return found + [
        f"{table!r}: row {row!r} refers to a row of {other!r} that is not there" for table, row, other, _ in broken
    ]


def connect_read_only(path: Path) -> apsw.Connection:
    """Open a database that cannot be written to, and perhaps not even locked: as it is, or else as a file that nobody changes.

    In the second way SQLite overlooks what stands in the log of a server that was killed, so that is refused. Raises apsw's errors,
    `DatabaseUnavailable`.
    """
    place = path.absolute().as_uri()
    try:
        return _connected_to(f"{place}?mode=ro")
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.IOError):
        log = path.with_name(f"{path.name}-wal")
        if log.is_file() and log.stat().st_size:
            raise DatabaseUnavailable(
                f"{log} holds changes that cannot be read from here: let a server that may write there start and stop once"
            ) from None
        return _connected_to(f"{place}?mode=ro&immutable=1")


def _connected_to(uri: str) -> apsw.Connection:
    connection = _stable(apsw.Connection(uri, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI))
    try:
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _known() -> list[tuple[int, str]]:
    folder = resources.files("holdfast.metadata") / "migrations" / "sqlite"
    return sorted(
        (int(item.name[:4]), item.read_text("utf-8")) for item in folder.iterdir() if item.name.endswith(".sql")
    )


def _version(connection: SQLiteConnection, newest: int) -> int:
    row = connection.one("PRAGMA user_version")
    present = row[0] if row else 0
    assert isinstance(present, int)  # noqa: S101 - what this pragma gives
    if present > newest:
        raise DatabaseError(f"the database has version {present}, this program knows up to {newest}: use a newer one")
    return present


def _check_version(connection: SQLiteConnection) -> None:
    newest = _known()[-1][0]
    if _version(connection, newest) < newest:
        raise DatabaseReadOnly(
            "the database is from an older program and cannot be brought up to date: it takes no writes"
        )


def _migrate(connection: SQLiteConnection) -> None:
    known = _known()
    with connection.inner:
        present = _version(connection, known[-1][0])
        for version, text in known:
            if version > present:
                connection.inner.execute(text)
                connection.inner.execute(f"PRAGMA user_version = {version:d}")


def _make_durably(directory: Path) -> None:
    """Make a directory, and see to it that no name above it is lost, whoever has just made it."""
    directory.mkdir(parents=True, exist_ok=True)
    for level in directory.parents:
        with suppress(OSError):  # those that were there before need not be ours to open
            _fsync_directory(level)


def _fsync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
