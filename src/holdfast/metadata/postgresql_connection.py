"""Statements on a connection to PostgreSQL, through libpq as psycopg brings it.

Statements go out with their parameters apart, everything in binary form: one round trip each, and nothing is built that is not needed. On
a connection of our own those that come again are prepared, since planning one costs several times as much as running it. Behind a pooler
that hands each transaction to another session there can be no prepared statements and no settings of a session.
"""

import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
import psycopg.conninfo
from psycopg import pq

from holdfast.metadata.port import DatabaseError, DatabaseReadOnly, DatabaseUnavailable, Row, Value
from holdfast.metadata.postgresql_advice import advice
from holdfast.metadata.postgresql_errors import ConnectionLost, error_of
from holdfast.metadata.postgresql_url import SCHEMES, described

OLDEST = 13
"""The first version of PostgreSQL that will do."""

STATEMENT_SECONDS = 9
"""How long the server works on one statement at most."""

USES = 3
MOST_PREPARED = 300
MOST_PARAMETERS = 40
"""A statement is prepared when it comes for the third time; not one with so many marks that it hardly comes again."""

SETTINGS = {
    "enable_seqscan": "off",  # reading a whole table conflicts with every write to it
    "jit": "off",
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "idle_in_transaction_session_timeout": "10s",  # what a node that froze has locked comes free
}
_SESSION = "; ".join(f"SET {key} = '{value}'" for key, value in SETTINGS.items()).encode()
_BEGIN = b"BEGIN ISOLATION LEVEL SERIALIZABLE"
_LOCAL = "".join(f"; SET LOCAL {key} = '{value}'" for key, value in SETTINGS.items()).encode()
_TOGETHER = b"; LOCK TABLE turns IN ROW SHARE MODE; SET LOCAL lock_timeout = '100ms'"  # PostgreSQL sees a deadlock after 1 s only
_ALONE = b"; LOCK TABLE turns IN EXCLUSIVE MODE"

OPTIONS = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "fallback_application_name": "holdfast",
    "client_encoding": "UTF8",
}
"""What the URL does not say otherwise."""

ASKING = " Is the server running on that host and accepting TCP/IP connections?"
"""What libpq adds."""

_TEXT, _NUMBER, _BYTES, _UNKNOWN = 25, 20, 17, 0
_pack = struct.Struct(">q").pack


@dataclass(slots=True)
class _Statement:
    """A statement as PostgreSQL takes it: marks with numbers."""

    text: bytes
    formats: tuple[pq.Format, ...]


_statements: dict[str, _Statement] = {}
MOST_STATEMENTS = 2000


def translate(sql: str) -> bytes:
    """Number the marks of a statement: the n-th `?` becomes `$n`, except in quotes."""
    parts = sql.split("'")
    number = 0
    for index in range(0, len(parts), 2):
        pieces = parts[index].split("?")
        text = pieces[0]
        for piece in pieces[1:]:
            number += 1
            text += f"${number}{piece}"
        parts[index] = text
    return "'".join(parts).encode()


def _statement(sql: str, count: int) -> _Statement:
    found = _statements.get(sql)
    if found is None:
        if len(_statements) >= MOST_STATEMENTS:
            _statements.clear()
        found = _statements[sql] = _Statement(translate(sql), (pq.Format.BINARY,) * count)
    return found


def encoded(value: str) -> bytes:
    """Text as it is stored: PostgreSQL's has no character 0, so that one and 1 become two characters each, in the same order."""
    raw = value.encode()
    if b"\x00" in raw or b"\x01" in raw:
        return raw.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")
    return raw


def decoded(raw: bytes) -> str:
    """Text as it was before `encoded`."""
    if b"\x01" in raw:
        raw = raw.replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01")
    return raw.decode()


def _whole(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)


def _numeric(value: bytes) -> int:
    """A whole number of type numeric, such as a sum: digits to base 10000."""
    count, weight, sign, _ = struct.unpack_from(">hhHH", value)
    digits = struct.unpack_from(f">{count}h", value, 8)
    total = 0
    for power in range(weight + 1):
        total = total * 10000 + (digits[power] if power < count else 0)
    return -total if sign else total


_decoders: dict[int, Callable[[bytes], Value]] = {
    _TEXT: decoded,
    19: bytes.decode,  # name
    705: decoded,  # unknown: a constant
    1043: decoded,  # varchar
    _BYTES: bytes,
    16: _whole,  # boolean: 0 or 1, as with SQLite
    _NUMBER: _whole,
    21: _whole,  # smallint
    23: _whole,  # integer
    1700: _numeric,
}


class PostgreSQLConnection:
    """A connection as the port has it. Only one thread uses it; another one may `cut` it off."""

    def __init__(self, url: str) -> None:
        """Connect. Raises `DatabaseUnavailable`; `DatabaseError` where the server or the URL will not do."""
        self._inner = _connect(url)
        self._pg = self._inner.pgconn
        self._prepared: dict[tuple[bytes, tuple[int, ...]], bytes] = {}
        self._uses: dict[bytes, int] = {}
        self._direct = False
        self.called = 0.0
        """When the call that is under way began, by the monotonic clock; 0 while there is none."""
        self.silent = False
        """Whether it was cut off, since the server did not answer."""
        self.useless = False
        self.committing = False
        self.failed: DatabaseError | None = None
        """The first error that the server gave in this transaction, which has failed by that."""
        try:
            self._check_version(url)
            # A pooler makes up the number of the process that it tells its clients.
            self._direct = self.one("SELECT pg_backend_pid()") == (self._pg.backend_pid,)
            if self._direct:
                self.simple(_SESSION)
        except BaseException:
            self.close()
            raise

    def _check_version(self, url: str) -> None:
        version = self._pg.server_version
        if version < OLDEST * 10000:
            shown = f"{version // 10000}.{version % 10000 // 100 if version < 100000 else version % 10000}"
            raise DatabaseError(
                f"the server at {described(url)} is PostgreSQL {shown}: Holdfast needs {OLDEST} or newer; upgrade the server"
            )

    @property
    def broken(self) -> bool:
        """Whether it is of no use any more."""
        return self.silent or self.useless or self._pg.status != pq.ConnStatus.OK

    def close(self) -> None:
        """Let go of it."""
        self._inner.close()

    def cut(self) -> None:
        """Cut off whatever the server does not answer: the call that is under way ends with an error."""
        self.silent = True
        try:
            with socket.socket(fileno=os.dup(self._pg.socket)) as line:
                line.shutdown(socket.SHUT_RDWR)
        except (OSError, psycopg.Error):
            pass  # it has ended by itself

    def begin(self, *, alone: bool) -> None:
        """Begin a transaction, with others beside it or with none."""
        self.failed = None
        self.committing = False
        self.simple(_BEGIN + (b"" if self._direct else _LOCAL) + (_ALONE if alone else _TOGETHER))

    def commit(self) -> None:
        """End a transaction. Raises the error that it failed with, even if the work went on after it."""
        if self.failed:
            raise self.failed
        self.committing = True
        if self.simple(b"COMMIT").command_status != b"COMMIT":
            raise DatabaseError("PostgreSQL did not commit the transaction")

    def rollback(self) -> None:
        """Undo a transaction, if one is under way."""
        if self._pg.transaction_status != pq.TransactionStatus.IDLE:
            self.simple(b"ROLLBACK")

    def simple(self, text: bytes) -> pq.abc.PGresult:
        """Run statements without parameters, one after another, in one round trip."""
        return self._called(self._pg.exec_, text)

    def all(self, sql: str, *parameters: Value) -> list[Row]:
        result = self._execute(sql, parameters)
        columns = _columns(result)
        value = result.get_value
        return [
            tuple([None if (raw := value(row, column)) is None else decode(raw) for column, decode in columns])
            for row in range(result.ntuples)
        ]

    def one(self, sql: str, *parameters: Value) -> Row | None:
        result = self._execute(sql, parameters)
        if not result.ntuples:
            return None
        value = result.get_value
        return tuple(
            [None if (raw := value(0, column)) is None else decode(raw) for column, decode in _columns(result)]
        )

    def run(self, sql: str, *parameters: Value) -> int:
        return self._execute(sql, parameters).command_tuples or 0

    def _execute(self, sql: str, parameters: Sequence[Value]) -> pq.abc.PGresult:
        statement = _statement(sql, len(parameters))
        values: list[bytes | None] = []
        types: list[int] = []
        for value in parameters:
            if isinstance(value, str):
                values.append(encoded(value))
                types.append(_TEXT)
            elif isinstance(value, int):
                values.append(_pack(value))
                types.append(_NUMBER)
            else:
                values.append(value)
                types.append(_UNKNOWN if value is None else _BYTES)
        if self._direct:
            name = self._name(statement, tuple(types))
            if name:
                return self._called(self._pg.exec_prepared, name, values, statement.formats, pq.Format.BINARY)
        return self._called(self._pg.exec_params, statement.text, values, types, statement.formats, pq.Format.BINARY)

    def _name(self, statement: _Statement, types: tuple[int, ...]) -> bytes | None:
        """The name of a prepared statement; None where it has not come often enough."""
        key = statement.text, types
        name = self._prepared.get(key)
        if name is None:
            uses = self._uses[statement.text] = self._uses.get(statement.text, 0) + 1
            if len(self._uses) > MOST_STATEMENTS:
                self._uses.clear()
            if uses < USES or len(types) > MOST_PARAMETERS or len(self._prepared) >= MOST_PREPARED:
                return None
            name = b"s%d" % len(self._prepared)
            self._called(self._pg.prepare, name, statement.text, types)
            self._prepared[key] = name
        return name

    def _called(self, call: Callable[..., pq.abc.PGresult], *arguments: Any) -> pq.abc.PGresult:
        self.called = time.monotonic()
        try:
            result = call(*arguments)
        except psycopg.Error as error:
            self.failed = self.failed or self._lost(str(error))
            raise self.failed from None
        finally:
            self.called = 0.0
        if result.status in _GOOD:
            return result
        failure = self._error(result)
        self.failed = self.failed or failure
        raise failure

    def _error(self, result: pq.abc.PGresult) -> DatabaseError:
        state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode("ascii", "replace")
        message = (result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"").decode("utf-8", "replace")
        if not state or self.broken:
            return self._lost(message or result.error_message.decode("utf-8", "replace"))
        error = error_of(state, message)
        self.useless = isinstance(
            error, ConnectionLost | DatabaseReadOnly
        )  # of a new primary, perhaps, there is another one
        return error

    def _lost(self, message: str) -> DatabaseError:
        if self.silent:
            return ConnectionLost("PostgreSQL does not answer")
        return ConnectionLost(f"PostgreSQL: {' '.join(message.split()) or 'the connection was lost'}")


_GOOD = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


def _columns(result: pq.abc.PGresult) -> list[tuple[int, Callable[[bytes], Value]]]:
    try:
        return [(column, _decoders[result.ftype(column)]) for column in range(result.nfields)]
    except KeyError as error:
        raise DatabaseError(f"PostgreSQL gave a column of the unknown type {error}") from None


def check_url(url: str) -> dict[str, str]:
    """The parts of a URL. Raises `DatabaseError` where libpq does not understand it, without saying what stands in it."""
    if not url.startswith(SCHEMES):
        raise DatabaseError("metadata.url must begin with postgresql://")
    try:
        return cast(dict[str, str], psycopg.conninfo.conninfo_to_dict(url))
    except psycopg.Error:
        raise DatabaseError(
            "metadata.url is not a valid URL of PostgreSQL (postgresql://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE);"
            " percent-encode special characters in user and password, and look at the names of options"
        ) from None


def _connect(url: str) -> psycopg.Connection[Any]:
    options: dict[str, Any] = {**OPTIONS, **check_url(url)}
    try:
        return psycopg.connect(**options, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        words = " ".join(str(error).split()).removesuffix(ASKING)
        raise DatabaseUnavailable(f"PostgreSQL at {described(url)} cannot be reached: {words}{advice(words)}") from None
