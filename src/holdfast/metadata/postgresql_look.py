"""What a PostgreSQL database is like, for whoever checks a set-up. Nothing is changed."""

from dataclasses import dataclass

from holdfast.metadata.port import Connection
from holdfast.metadata.postgresql_schema import newest
from holdfast.metadata.queries import leases


@dataclass(frozen=True, slots=True)
class Facts:
    """`server`: the version of PostgreSQL. `encoding`: of the database. `standby`: whether nothing can be written there. `may_create`: whether this
    user may make tables. `connections`: the most that the server takes from users. `tables`: the version of our tables, 0 if there are none;
    `newest`: that of this program. `nodes`: how many serve at the moment.
    """

    server: str
    encoding: str
    standby: bool
    may_create: bool
    connections: int
    tables: int
    newest: int
    nodes: int


def look(connection: Connection, nodes: str) -> Facts:
    """Look at a database; the leases of nodes have names that begin with `nodes`. Raises `DatabaseError`."""
    row = connection.one(
        "SELECT current_setting('server_version'), getdatabaseencoding()::text, pg_is_in_recovery(),"
        " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),"
        " current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,"
        " to_regclass('schema_version') IS NOT NULL"
    )
    assert row  # noqa: S101 - a SELECT without a table has one row
    server, encoding, standby, may_create, connections, has_tables = row
    found = connection.one("SELECT coalesce(max(version), 0) FROM schema_version") if has_tables else None
    tables = int(found[0] or 0) if found else 0
    last = newest()
    return Facts(
        str(server),
        str(encoding),
        bool(standby),
        bool(may_create),
        int(connections or 0),
        tables,
        last,
        leases.counted(connection, nodes) if tables == last else 0,
    )
