"""The gate: closed from the opening of the port until the names in the tree are known."""

import asyncio
import json
import time
from contextlib import suppress

from holdfast.metadata.port import Database, DatabaseError
from holdfast.metadata.queries import meta
from holdfast.model.errors import UNAVAILABLE, Failure
from holdfast.registry.import_batch import UNDER_WAY

RETRY_SECONDS = 5
PATIENCE = 2.0
"""Seconds after the opening of the port during which requests wait: an ordinary start is over by then."""


class Gate:
    """Says whether requests for names can be answered yet."""

    def __init__(self, database: Database, start: str) -> None:
        """`start` tells one start of the server from another."""
        self._database = database
        self._start = start
        self._opened = asyncio.Event()
        self._shut = ""
        self._patient_until = time.monotonic() + PATIENCE
        self.waits_for = ""
        """Why the start waits, in words; empty where it does not."""

    @property
    def is_open(self) -> bool:
        """Whether names are known."""
        return self._opened.is_set()

    def waits(self, why: str) -> None:
        """The start waits for something that cannot be reached."""
        self.waits_for = why

    def open(self) -> None:
        """Names are known."""
        self._opened.set()

    def shut(self, why: str) -> None:
        """Answer nothing any more, and say why."""
        self._shut = why
        self._opened.clear()

    async def wait(self) -> None:
        """Wait a little while it is closed. Raises `Failure(UNAVAILABLE)`."""
        if self._shut:
            raise Failure(UNAVAILABLE, self._shut, headers=[("Retry-After", str(RETRY_SECONDS))])
        seconds = self._patient_until - time.monotonic()
        with suppress(DatabaseError):  # a server's may not have any tables yet
            if await self._database.read(lambda c: meta.get(c, "start")) == self._start:
                seconds = PATIENCE  # another worker has done it, and this one is about to see that
        try:
            await asyncio.wait_for(self._opened.wait(), max(0.0, seconds))
        except TimeoutError:
            raise Failure(
                UNAVAILABLE,
                "the registry is starting: it reads the names of what is stored; /readyz tells how far it is",
                headers=[("Retry-After", str(RETRY_SECONDS))],
            ) from None

    async def progress(self) -> dict[str, object]:
        """How far it is: numbers of what has been read, as in the report of an import; or why it was shut."""
        if self._shut:
            return {"shut": self._shut}
        text = await self._database.read(lambda c: meta.get(c, UNDER_WAY))
        return dict(json.loads(text)["numbers"]) if text else {}
