"""The gate: closed from the opening of the port until the names in the tree are known."""

import json

from holdfast.metadata.port import Database
from holdfast.metadata.queries import meta
from holdfast.model.errors import UNAVAILABLE, Failure
from holdfast.registry.import_batch import UNDER_WAY

RETRY_SECONDS = 5


class Gate:
    """Says whether requests for names can be answered yet."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.is_open = False

    def check(self) -> None:
        """Raise `Failure(UNAVAILABLE)` while it is closed."""
        if not self.is_open:
            raise Failure(
                UNAVAILABLE,
                "the registry is starting: it reads the names of what is stored; /readyz tells how far it is",
                headers=[("Retry-After", str(RETRY_SECONDS))],
            )

    async def progress(self) -> dict[str, object]:
        """How far it is: numbers of what has been read, as in the report of an import."""
        text = await self._database.read(lambda c: meta.get(c, UNDER_WAY))
        position = json.loads(text) if text else {}
        return {"after": position.get("after", ""), **position.get("numbers", {})}
