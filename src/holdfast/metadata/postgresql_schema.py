"""The tables of a PostgreSQL database: made, brought up to date, and looked through for damage."""

from importlib import resources

from holdfast.metadata.port import DatabaseError, DatabaseReadOnly
from holdfast.metadata.postgresql_connection import PostgreSQLConnection

_ONE_AT_A_TIME = 0x686F6C6466617374
"""The key of the advisory lock that migrations hold."""

_HINT = (
    "; the user of metadata.url must be able to make tables: as a superuser, in this database,"
    " run GRANT CREATE, USAGE ON SCHEMA public TO that user, or make it the database's owner"
)
_FOREIGN_KEYS = """
SELECT c.conname::text, n.nspname::text, k.relname::text, f.relname::text,
    (SELECT string_agg(format('c.%I = p.%I', a.attname, b.attname), ' AND ') FROM unnest(c.conkey, c.confkey) AS u (x, y)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = u.x JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = u.y),
    (SELECT string_agg(format('c.%I IS NOT NULL', a.attname), ' AND ') FROM unnest(c.conkey) AS u (x)
     JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = u.x)
FROM pg_constraint c JOIN pg_class k ON k.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid
    JOIN pg_namespace n ON n.oid = k.relnamespace
WHERE c.contype = 'f' AND n.nspname = current_schema() ORDER BY c.conname
"""


def _known() -> list[tuple[int, str]]:
    folder = resources.files("holdfast.metadata") / "migrations" / "postgresql"
    return sorted(
        (int(item.name[:4]), item.read_text("utf-8")) for item in folder.iterdir() if item.name.endswith(".sql")
    )


def newest() -> int:
    """The version of the tables that this program makes."""
    return _known()[-1][0]


def _version(connection: PostgreSQLConnection, newest: int) -> int:
    if connection.one("SELECT to_regclass('schema_version') IS NULL") == (1,):
        return 0
    row = connection.one("SELECT coalesce(max(version), 0) FROM schema_version")
    present = row[0] if row else 0
    assert isinstance(present, int)  # noqa: S101 - the column's type
    if present > newest:
        raise DatabaseError(f"the database has version {present}, this program knows up to {newest}: use a newer one")
    return present


def _words(connection: PostgreSQLConnection, sql: str) -> list[list[str]]:
    """Rows of text."""
    return [[str(value) for value in row] for row in connection.all(sql)]


def migrate(connection: PostgreSQLConnection) -> None:
    """Bring the tables up to date; whoever does so at the same time waits. Raises `DatabaseError`."""
    known = _known()
    newest = known[-1][0]
    if _version(connection, newest) == newest:
        return
    ((encoding,),) = _words(connection, "SELECT getdatabaseencoding()::text")
    if encoding != "UTF8":
        raise DatabaseError(f"the database's encoding is {encoding}: make one with ENCODING 'UTF8'")
    try:
        connection.simple(b"BEGIN; SET LOCAL statement_timeout = '50s'")
        connection.run("SELECT pg_advisory_xact_lock(?)", _ONE_AT_A_TIME)
        connection.simple(b"CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY)")
        present = _version(connection, newest)
        for version, text in known:
            if version > present:
                connection.simple(text.encode())
                connection.run("INSERT INTO schema_version VALUES (?)", version)
        connection.simple(b"COMMIT")
    except DatabaseError as error:
        if not connection.broken:
            connection.rollback()
        if isinstance(error, DatabaseReadOnly):
            raise DatabaseReadOnly(f"{error}; the tables could not be brought up to date") from None
        if "permission denied" in str(error):
            raise DatabaseError(f"{error}{_HINT}") from None
        raise


def damage(connection: PostgreSQLConnection) -> list[str]:
    """Read every row of every table, look at the indexes and at what rows refer to; gives what is wrong, a line for each."""
    connection.simple(b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0")
    try:
        return _damage(connection)
    finally:
        if not connection.broken:
            connection.rollback()


def _damage(connection: PostgreSQLConnection) -> list[str]:
    found = [
        f"index {name!r} is invalid: REINDEX INDEX {name}"
        for (name,) in _words(
            connection,
            "SELECT k.relname::text FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid"
            " JOIN pg_namespace n ON n.oid = k.relnamespace WHERE n.nspname = current_schema() AND NOT i.indisvalid",
        )
    ]
    tables = _words(
        connection,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
    )
    for (table,) in tables:
        found += _looked(connection, f"table {table}", f"SELECT count(t::text), 0 FROM {table} t")  # noqa: S608 - a table's name
    for name, schema, child, parent, same, given in _words(connection, _FOREIGN_KEYS):
        sql = (
            f'SELECT 0, count(*) FROM "{schema}"."{child}" c WHERE {given}'  # noqa: S608 - names of tables and columns
            f' AND NOT EXISTS (SELECT 1 FROM "{schema}"."{parent}" p WHERE {same})'
        )
        found += _looked(connection, f"table {child}, {name}", sql, f"refer to rows of {parent} that are not there")
    return found


def _looked(connection: PostgreSQLConnection, what: str, sql: str, wrong: str = "") -> list[str]:
    connection.simple(b"SAVEPOINT look")
    try:
        row = connection.one(sql)
    except DatabaseError as error:
        if connection.broken:
            raise
        connection.simple(b"ROLLBACK TO look")
        return [f"{what}: {error}"]
    return [f"{what}: {row[1]!r} rows {wrong}"] if row and row[1] else []
