"""Single values that belong to the whole installation."""

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.repositories import text


def get(connection: Connection, key: str) -> str | None:
    """The value of `key`, or None."""
    row = connection.one("SELECT value FROM meta WHERE key = ?", key)
    return text(row[0]) if row else None


def put_once(connection: Connection, key: str, value: str) -> str:
    """Set the value of `key` unless it has one; gives the value that it has."""
    connection.run("INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING", key, value)
    return get(connection, key) or value


def put(connection: Connection, key: str, value: str) -> None:
    """Set the value of `key`."""
    connection.run(
        "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", key, value
    )


def remove(connection: Connection, key: str) -> None:
    """Forget the value of `key`."""
    connection.run("DELETE FROM meta WHERE key = ?", key)
