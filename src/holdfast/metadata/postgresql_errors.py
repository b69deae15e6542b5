"""What PostgreSQL's errors mean to the port."""

from holdfast.metadata.port import DatabaseError, DatabaseFull, DatabaseReadOnly, DatabaseUnavailable


class Conflict(DatabaseUnavailable):
    """Another transaction came between: the same work can run again."""


class Blocked(Conflict):
    """Two transactions waited for each other, or seemed to: to run again beside others would only cost more time."""


class Violation(DatabaseError):
    """A constraint does not allow it; perhaps only because another transaction came between."""


class ConnectionLost(DatabaseUnavailable):
    """The connection is of no use any more; nothing of the transaction was kept, unless it was being committed."""


_KINDS: dict[str, type[DatabaseError]] = {
    "40001": Conflict,  # serialization_failure
    "40P01": Blocked,  # deadlock_detected
    "0A000": ConnectionLost,  # a prepared statement whose tables have changed
    "26000": ConnectionLost,  # a prepared statement that is not there: somebody else's session
    "42P05": ConnectionLost,  # a prepared statement that is there already: likewise
    "25006": DatabaseReadOnly,  # read_only_sql_transaction, as on a standby
    "25P03": ConnectionLost,  # idle_in_transaction_session_timeout
    "53100": DatabaseFull,  # disk_full
    "55P03": Blocked,  # lock_not_available
    "57014": DatabaseUnavailable,  # query_canceled: statement_timeout
    "58030": DatabaseUnavailable,  # io_error
}
_CLASSES: dict[str, type[DatabaseError]] = {
    "08": ConnectionLost,  # connection exceptions
    "23": Violation,  # integrity constraints
    "53": DatabaseUnavailable,  # insufficient resources, too many connections among them
    "57": ConnectionLost,  # operator intervention: shutting down, starting up
}


def error_of(state: str, message: str) -> DatabaseError:
    """The port's error for an SQLSTATE."""
    return (_KINDS.get(state) or _CLASSES.get(state[:2]) or DatabaseError)(f"PostgreSQL: {message}")
