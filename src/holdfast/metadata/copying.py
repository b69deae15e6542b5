"""Copying an embedded database into an empty PostgreSQL database: everything in one transaction, or nothing.

The tables and their columns are those of SQLite's schema; that PostgreSQL has the same is checked. Rows go over with COPY, batch after batch,
so that neither side holds many of them. At the end the target's rows are read back inside of the transaction, and both sides compared.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, LiteralString, cast

import apsw
import psycopg
from psycopg import sql

from holdfast.metadata.port import DatabaseError, DatabaseUnavailable, Row, Value
from holdfast.metadata.postgresql import PostgreSQLDatabase, described
from holdfast.metadata.postgresql_connection import OPTIONS, check_url, decoded, encoded
from holdfast.metadata.postgresql_errors import error_of
from holdfast.metadata.sqlite import FILE, Mode, SQLiteDatabase, connect_read_only, translated

LEFT_OUT = frozenset({"leases"})
"""Tables whose rows mean nothing to another database."""

BATCH = 20_000
"""Rows that one statement writes: the server remembers each of them until its end."""

TELL_EVERY = 2_000

_TYPES = {"TEXT": "text", "INTEGER": "int8", "BLOB": "bytea"}
_SAME = {"text": "TEXT", "bigint": "INTEGER", "bytea": "BLOB"}

_FOREIGN_KEYS = (
    "SELECT k.relname::text, c.conname::text, pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_class k ON k.oid = c.conrelid"
    " JOIN pg_namespace n ON n.oid = k.relnamespace WHERE c.contype = 'f' AND n.nspname = current_schema() ORDER BY 1, 2"
)

Tell = Callable[[str, int, int], None]
"""Is told of a table how many rows have been copied, and how many there are. Where it raises, nothing is copied."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns and SQLite's types of them, in order. `last`: the highest id ever given out, where the database gives them."""

    name: str
    columns: tuple[tuple[str, str], ...]
    last: int | None = None

    @property
    def names(self) -> sql.Composed:
        """The columns, as they stand in a statement."""
        return sql.SQL(", ").join(sql.Identifier(name) for name, _ in self.columns)

    @property
    def types(self) -> list[str]:
        """PostgreSQL's types of the columns."""
        return [_TYPES[kind] for _, kind in self.columns]


@dataclass(slots=True)
class Digest:
    """A digest of rows in whatever order: databases sort differently. `rows`: how many there are."""

    rows: int = 0
    total: int = 0

    def add(self, row: Row) -> None:
        """Take a row in."""
        self.rows += 1
        short = blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        self.total = (self.total + int.from_bytes(short, "big")) % 2**128

    def __str__(self) -> str:
        return f"{self.total:032x}"


@dataclass(frozen=True, slots=True)
class Copied:
    """What both sides have of a table: so many rows, with this digest."""

    table: str
    rows: int
    digest: str


async def prepare(directory: Path, mode: Mode, url: str) -> None:
    """Bring the database in `directory` up to date, and make the tables of the one at `url`. Raises `DatabaseError`."""
    if not (directory / FILE).is_file():
        raise DatabaseUnavailable(f"there is no {FILE} in {directory}")
    await SQLiteDatabase(directory, mode).close()
    target = PostgreSQLDatabase(url)
    try:
        await target.migrate()
    finally:
        await target.close()


def copy(directory: Path, url: str, tell: Tell) -> list[Copied]:
    """Copy the database in `directory`, which nobody uses meanwhile, to the empty one at `url`; gives what is there now, by table.

    `prepare` comes first. Blocks until it is done. Raises `DatabaseError`, and what `tell` raises; then the target is as it was.
    """
    with _reading(directory / FILE) as source, _writing(url) as target:
        return _Copying(source, target, described(url), tell).run()


@contextmanager
def _reading(path: Path) -> Iterator[apsw.Connection]:
    """A connection that only reads, in one transaction."""
    with translated():
        connection = connect_read_only(path)
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()


@contextmanager
def _writing(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that is committed at the end of the block, and undone if that raises."""
    options: dict[str, Any] = {**OPTIONS, **check_url(url)}
    committing = False
    try:
        with closing(psycopg.connect(**options, prepare_threshold=None)) as connection:
            yield connection
            committing = True
            connection.commit()
    except psycopg.Error as error:
        what = f"PostgreSQL at {described(url)}: {' '.join(str(error).split()) or 'the connection was lost'}"
        if committing:
            raise DatabaseUnavailable(
                f"{what}; either everything was copied or nothing: try again, which tells"
            ) from None
        if error.sqlstate is None:
            raise DatabaseUnavailable(f"{what}; nothing was copied") from None
        raise error_of(error.sqlstate, f"{what}; nothing was copied") from None


class _Copying:
    """One copy, in a transaction on each side."""

    def __init__(self, source: apsw.Connection, target: psycopg.Connection[Any], where: str, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._where = where
        self._tell = tell

    def run(self) -> list[Copied]:
        """Copy all tables and compare them."""
        # Limits of time are for servers. The lock keeps them from writing.
        self._target.execute("SET LOCAL statement_timeout = 0")
        self._target.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        self._target.execute("LOCK TABLE turns IN EXCLUSIVE MODE")
        tables = tables_of(self._source)
        self._check(tables)
        with self._unchecked():
            return [self._copy(table) for table in tables]

    def _check(self, tables: Iterable[Table]) -> None:
        there = target_columns(self._target)
        for table in tables:
            if there.get(table.name) != dict(table.columns):
                raise DatabaseError(
                    f"table {table.name} is not the same in SQLite and PostgreSQL: this is a mistake in Holdfast"
                )
            row = self._target.execute(
                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table.name))
            ).fetchone()
            if row:
                raise DatabaseError(
                    f"{self._where} is not empty: table {table.name} has rows, so another registry is there, or a server was started on it;"
                    " name another database, or as its owner empty this one: DROP SCHEMA public CASCADE; CREATE SCHEMA public"
                )

    @contextmanager
    def _unchecked(self) -> Iterator[None]:
        """Have what rows refer to looked for at the end of the block, at once: one by one it takes most of the time."""
        keys = self._target.execute(_FOREIGN_KEYS).fetchall()
        for table, name, _ in keys:
            statement = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
            self._target.execute(statement.format(sql.Identifier(table), sql.Identifier(name)))
        yield
        for table, name, definition in keys:
            statement = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
            self._target.execute(
                statement.format(sql.Identifier(table), sql.Identifier(name), sql.SQL(cast(LiteralString, definition)))
            )

    def _copy(self, table: Table) -> Copied:
        rows = self._rows(table)
        ours = Digest()
        total = self._count(table)
        self._tell(table.name, 0, total)
        while batch := self._send(table, rows, ours, total):
            self._tell(table.name, ours.rows, total)
            if batch < BATCH:
                break
        if table.last:
            self._target.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table.name, table.last))
        self._target.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(table.name)))
        theirs = self._read_back(table)
        if ours != theirs or ours.rows != total:
            raise DatabaseError(
                f"table {table.name} did not arrive as it is: {ours.rows} rows ({ours}) of {total} became {theirs.rows} ({theirs});"
                " nothing was copied"
            )
        return Copied(table.name, theirs.rows, str(theirs))

    def _rows(self, table: Table) -> Iterator[Row]:
        return cast(Iterator[Row], iter(self._source.execute(f"SELECT {_quoted(table)} FROM {table.name}")))  # noqa: S608 - names of the schema

    def _count(self, table: Table) -> int:
        [[count]] = self._source.execute(f"SELECT count(*) FROM {table.name}").fetchall()  # noqa: S608 - a name of the schema
        assert isinstance(count, int)  # noqa: S101 - what count gives
        return count

    def _send(self, table: Table, rows: Iterator[Row], digest: Digest, total: int) -> int:
        """Copy the next rows, `BATCH` at most; gives their number."""
        before = digest.rows
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table.name), table.names)
        with self._target.cursor() as cursor, cursor.copy(statement) as target:
            target.set_types(table.types)
            for row in islice(rows, BATCH):
                digest.add(row)
                target.write_row([_encoded(value) for value in row])
                if digest.rows % TELL_EVERY == 0:
                    self._tell(table.name, digest.rows, total)
        return digest.rows - before

    def _read_back(self, table: Table) -> Digest:
        digest = Digest()
        statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT BINARY)").format(
            table.names, sql.Identifier(table.name)
        )
        with self._target.cursor() as cursor, cursor.copy(statement) as source:
            source.set_types(table.types)
            for row in source.rows():
                digest.add(tuple(map(_decoded, row)))
        return digest


def _encoded(value: Value) -> Value:
    """A value as PostgreSQL keeps it."""
    return encoded(value).decode() if isinstance(value, str) else value


def _decoded(value: Value) -> Value:
    return decoded(value.encode()) if isinstance(value, str) else value


def _quoted(table: Table) -> str:
    return ", ".join(f'"{name}"' for name, _ in table.columns)


def tables_of(source: apsw.Connection) -> list[Table]:
    """The tables of a SQLite database that are copied, each after those that its rows refer to."""
    names = {str(name) for (name,) in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()}
    own = {name for name in names if not name.startswith("sqlite_")} - LEFT_OUT
    refers = {
        name: {str(other) for (other,) in source.execute('SELECT "table" FROM pragma_foreign_key_list(?)', (name,))}
        for name in sorted(own)
    }
    given: dict[str, int] = {}
    if "sqlite_sequence" in names:
        given = {str(name): cast(int, last) for name, last in source.execute("SELECT name, seq FROM sqlite_sequence")}
    return [_table(source, name, given.get(name, 0)) for name in TopologicalSorter(refers).static_order()]


def _table(source: apsw.Connection, name: str, given: int) -> Table:
    columns = source.execute("SELECT name, type FROM pragma_table_info(?) ORDER BY cid", (name,)).fetchall()
    last = None
    if ("id", "INTEGER") in columns:
        [[highest]] = source.execute(f"SELECT coalesce(max(id), 0) FROM {name}").fetchall()  # noqa: S608 - a name of the schema
        last = max(cast(int, highest), given)
    return Table(name, tuple((str(column), str(kind)) for column, kind in columns), last)


def target_columns(target: psycopg.Connection[Any]) -> dict[str, dict[str, str]]:
    """The columns of PostgreSQL's tables, with SQLite's names of their types."""
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in target.execute(
        "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = current_schema()"
    ):
        found.setdefault(table, {})[column] = _SAME.get(kind, kind)
    return found
