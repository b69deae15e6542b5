"""The transactions of an import: many small operations in each, with how far the import is."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import dirty, imports, meta
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.registry.report import Report
from holdfast.registry.tree import TreeWriter

TREE_MARK = "tree-mark"
"""Key of a time, on the tree's clock, at which tree and database said the same."""

UNDER_WAY = "import"
"""Key of how far an import is that has not finished, as JSON."""

MOST_ROWS = 4000
MOST_BYTES = 8 * 1024 * 1024

Operation = Callable[[Connection], None]


@dataclass(slots=True)
class Position:
    """How far an import is. `began`: the tree's time at its begin; `since`: what is older is known already; `after`: the last repository
    done; `numbers`: those of the report.
    """

    began: int
    since: int
    after: str = ""
    numbers: dict[str, int] = field(default_factory=dict)

    @classmethod
    def decode(cls, text: str) -> "Position":
        """From what stands in the database."""
        return cls(**json.loads(text))

    def encode(self) -> str:
        """As it stands in the database."""
        return json.dumps(asdict(self))


class Batch:
    """Gathers operations and commits them together. What they change in the database is not written to the tree it was read from."""

    def __init__(self, database: Database, tree: TreeWriter, position: Position, report: Report) -> None:
        self.database = database
        self.report = report
        self.position = position
        self._tree = tree
        self._operations: list[Operation] = []
        self._rows = 0
        self._bytes = 0
        self._rewrite: list[DirtyRow] = []

    async def do(self, operation: Operation, *, rows: int = 1, size: int = 0) -> None:
        """Let an operation, of some rows and bytes, be part of the next transaction. Raises `DatabaseError`."""
        self._operations.append(operation)
        self._rows += rows
        self._bytes += size
        if self._rows >= MOST_ROWS or self._bytes >= MOST_BYTES:
            await self.flush()

    def rewrite(self, repository: str, kind: str, name: str) -> None:
        """Let a link be written again, once what it says is committed."""
        self.report.count("links mended")
        self._rewrite.append(DirtyRow(0, repository, kind, name, None))

    async def flush(self) -> None:
        """Commit what was gathered. Raises `DatabaseError`."""
        operations, self._operations = self._operations, []
        self._rows = self._bytes = 0
        progress = self.position.encode()

        def work(connection: Connection) -> None:
            begin = dirty.mark_position(connection)
            for operation in operations:
                operation(connection)
            imports.forget_dirty(connection, begin)
            meta.put(connection, UNDER_WAY, progress)

        await self.database.write(work)
        if self._rewrite:
            rows, self._rewrite = self._rewrite, []
            await self._tree.write(rows)

    async def finish(self) -> None:
        """Commit the rest: from here on tree and database say the same. Raises `DatabaseError`."""
        await self.flush()

        def work(connection: Connection) -> None:
            meta.put(connection, TREE_MARK, str(self.position.began))
            meta.remove(connection, UNDER_WAY)

        await self.database.write(work)
