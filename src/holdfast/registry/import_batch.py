"""The transactions of an import: many small operations in each, with how far the import is."""

import json
from collections.abc import Callable

from holdfast.metadata.port import Connection, Database
from holdfast.metadata.queries import dirty, imports, meta
from holdfast.metadata.queries.dirty import DirtyRow
from holdfast.registry.report import Report
from holdfast.registry.tree import TreeWriter
from holdfast.storage.links import UNREADABLE

DONE = "imported"
"""Key that says that the tree was imported to its end once."""

UNDER_WAY = "import"
"""Key of how far an import is that has not finished, as JSON: the `numbers` of its report."""

PARTLY = "imported-partly"
"""Key that says that parts of the tree could not be read, so what the database does not know is not garbage."""

MOST_ROWS = 4000
MOST_BYTES = 8 * 1024 * 1024

Operation = Callable[[Connection], None]


class Batch:
    """Gathers operations and commits them together. What they change in the database is not written to the tree it was read from."""

    def __init__(self, database: Database, tree: TreeWriter, report: Report) -> None:
        self.database = database
        self.report = report
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
        """Commit what was gathered, if anything. Raises `DatabaseError`."""
        operations, self._operations = self._operations, []
        rows, self._rewrite = self._rewrite, []
        self._rows = self._bytes = 0
        if operations:
            await self.database.write(lambda c: self._commit(c, operations))
        if rows:
            await self._tree.write(rows)

    def _commit(self, connection: Connection, operations: list[Operation]) -> None:
        begin = dirty.mark_position(connection)
        for operation in operations:
            operation(connection)
        imports.forget_dirty(connection, begin)
        meta.put(connection, UNDER_WAY, json.dumps({"numbers": self.report.numbers}))

    async def finish(self) -> None:
        """Commit the rest: from here on tree and database say the same. An import that changes nothing writes nothing. Raises `DatabaseError`."""
        await self.flush()
        partly = UNREADABLE in self.report.skipped
        states = await self.database.read(lambda c: [meta.get(c, key) is not None for key in (DONE, UNDER_WAY, PARTLY)])
        if states != [True, False, partly]:
            await self.database.write(lambda c: _finished(c, partly=partly))


def _finished(connection: Connection, *, partly: bool) -> None:
    meta.put(connection, DONE, "yes")
    meta.remove(connection, UNDER_WAY)
    if partly:
        meta.put(connection, PARTLY, "yes")
    else:
        meta.remove(connection, PARTLY)
