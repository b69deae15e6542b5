"""Leases: who does what alone, and until when by the database's clock. One that is not renewed lapses."""

from collections.abc import Mapping

from holdfast.metadata.port import Connection
from holdfast.metadata.queries.blobs import TOGETHER
from holdfast.metadata.queries.repositories import text

_NOW = "CAST(unixepoch('now', 'subsec') * 1000 AS BIGINT)"


def take(connection: Connection, name: str, holder: str, milliseconds: int) -> bool:
    """Take a lease that nobody else has, for so long; tells whether that could be."""
    changed = connection.run(
        f"INSERT INTO leases (name, holder, until) VALUES (?, ?, {_NOW} + ?)"  # noqa: S608 - a constant
        " ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until"
        f" WHERE leases.until < {_NOW} OR leases.holder = excluded.holder",
        name,
        holder,
        milliseconds,
    )
    return changed > 0


def is_taken(connection: Connection, name: str) -> bool:
    """Tell whether somebody has a lease."""
    return connection.one(f"SELECT 1 FROM leases WHERE name = ? AND until >= {_NOW}", name) is not None  # noqa: S608 - a constant


def renew(connection: Connection, holders: Mapping[str, str], milliseconds: int) -> set[str]:
    """Let leases last for so long from now; gives those of the holders that still have theirs. `holders`: each with the name of its lease."""
    kept: set[str] = set()
    wanted = list(holders.items())
    for start in range(0, len(wanted), TOGETHER):
        part = wanted[start : start + TOGETHER]
        marks = ", ".join("?" * len(part))
        rows = connection.all(
            f"UPDATE leases SET until = {_NOW} + ? WHERE name IN ({marks}) AND holder IN ({marks}) RETURNING holder",  # noqa: S608 - question marks
            milliseconds,
            *(name for _, name in part),
            *(holder for holder, _ in part),
        )
        kept.update(text(holder) for (holder,) in rows)
    return kept


def release(connection: Connection, name: str, holder: str) -> None:
    """Give up a lease, if it is the holder's."""
    connection.run("DELETE FROM leases WHERE name = ? AND holder = ?", name, holder)


def held(connection: Connection, prefix: str) -> list[str]:
    """The names of leases that somebody has and that begin with `prefix`, in bytewise order."""
    rows = connection.all(f"SELECT name FROM leases WHERE name >= ? AND until >= {_NOW} ORDER BY name", prefix)  # noqa: S608 - a constant
    return [text(name) for (name,) in rows if text(name).startswith(prefix)]


def counted(connection: Connection, prefix: str) -> int:
    """How many different words follow `prefix` in the names of leases that somebody has."""
    return len({name.removeprefix(prefix).partition(" ")[0] for name in held(connection, prefix)})


def forget(connection: Connection, milliseconds: int) -> None:
    """Remove what lapsed so long ago."""
    connection.run(f"DELETE FROM leases WHERE until < {_NOW} - ?", milliseconds)  # noqa: S608 - a constant
