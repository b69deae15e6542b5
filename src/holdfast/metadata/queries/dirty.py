"""Names whose links in the tree are still to be written."""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from holdfast.metadata.port import Connection, Value
from holdfast.metadata.queries.repositories import number, text

MANY = 1 << 62


@dataclass(frozen=True, slots=True)
class DirtyRow:
    """A name that moved: `kind` is blob, manifest, tag or repository; `name` a digest or tag; `before` what a tag pointed to.

    `acknowledged`: a deletion that was answered although its link could not be removed.
    """

    id: int
    repository: str
    kind: str
    name: str
    before: str | None
    acknowledged: bool = False


_followed: WeakKeyDictionary[Connection, list[DirtyRow]] = WeakKeyDictionary()


def mark(connection: Connection, repository: str, kind: str, name: str, before: str | None) -> None:
    """Record, in the transaction that moves it, that a name moves."""
    row = connection.one(
        "INSERT INTO dirty (repository, kind, name, before) VALUES (?, ?, ?, ?) RETURNING id",
        repository,
        kind,
        name,
        before,
    )
    rows = _followed.get(connection)
    if row and rows is not None:
        rows.append(DirtyRow(number(row[0]), repository, kind, name, before))


def follow(connection: Connection) -> None:
    """Keep the rows that this transaction marks from now on, for `followed`."""
    _followed[connection] = []


def followed(connection: Connection) -> list[DirtyRow]:
    """What was marked since `follow`, in order. To read it from the table would be a conflict with everybody else who marks."""
    return _followed.pop(connection, [])


def mark_position(connection: Connection) -> int:
    """A number that all rows marked from now on exceed."""
    row = connection.one("SELECT coalesce(max(id), 0) FROM dirty")
    return number(row[0]) if row else 0


def since(connection: Connection, position: int) -> list[DirtyRow]:
    """The rows marked after `position`."""
    return some(connection, position, MANY)


def some(connection: Connection, position: int, most: int) -> list[DirtyRow]:
    """At most `most` of the rows marked after `position`, in order."""
    rows = connection.all(
        "SELECT id, repository, kind, name, before, acknowledged FROM dirty WHERE id > ? ORDER BY id LIMIT ?",
        position,
        most,
    )
    return [DirtyRow(number(a), text(b), text(c), text(d), _optional(e), bool(f)) for a, b, c, d, e, f in rows]


def acknowledge(connection: Connection, ids: Sequence[int]) -> None:
    """Record that deletions are answered before their links are removed."""
    for id_ in ids:
        connection.run("UPDATE dirty SET acknowledged = 1 WHERE id = ?", id_)


def is_known(connection: Connection, row: DirtyRow) -> bool:
    """Tell whether the repository has what a row names: if not, it was deleted."""
    if row.kind == "repository":
        return False
    table, column = {
        "blob": ("repository_blobs", "digest"),
        "manifest": ("manifests", "blob"),
        "tag": ("tags", "name"),
    }[row.kind]
    found = connection.one(
        f"SELECT 1 FROM {table} t JOIN repositories r ON r.id = t.repository_id WHERE r.name = ? AND t.{column} = ?",  # noqa: S608 - words from above
        row.repository,
        row.name,
    )
    return found is not None


def everything(connection: Connection, repository: str) -> list[tuple[str, str]]:
    """All that a repository has now, as `kind` and `name` of rows."""
    rows = connection.all(
        "WITH r AS (SELECT id FROM repositories WHERE name = ?)"
        " SELECT 'blob', digest FROM repository_blobs WHERE repository_id IN (SELECT id FROM r)"
        " UNION ALL SELECT 'manifest', blob FROM manifests WHERE repository_id IN (SELECT id FROM r)"
        " UNION ALL SELECT 'tag', name FROM tags WHERE repository_id IN (SELECT id FROM r)",
        repository,
    )
    return [(text(kind), text(name)) for kind, name in rows]


def clean(connection: Connection, ids: Sequence[int]) -> None:
    """Forget rows whose links have been written."""
    for id_ in ids:
        connection.run("DELETE FROM dirty WHERE id = ?", id_)


def _optional(value: Value) -> str | None:
    return None if value is None else text(value)
