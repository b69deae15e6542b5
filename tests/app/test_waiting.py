"""What /readyz says while a start waits for something that cannot be reached."""

import asyncio

from holdfast.api.gate import Gate
from holdfast.api.health import Health
from holdfast.metadata.sqlite import SQLiteDatabase
from holdfast.observability.checks import Checks
from holdfast.storage.memory import MemoryBlobStore


def test_why_a_start_waits_is_said_until_it_is_over() -> None:
    async def work() -> list[object]:
        database, store = SQLiteDatabase(None), MemoryBlobStore()
        gate = Gate(database, "start")
        health = Health(database, store, gate, Checks([], reports=False), "")
        said = [(await health.report())["reason"]]
        gate.waits("the bucket cannot be reached")
        said.append((await health.report())["reason"])
        gate.open()
        said.append((await health.report()).get("reason"))
        await database.close()
        await store.close()
        return said

    reading = "the names of what is stored are being read"
    waiting = "waiting for what this server needs: the bucket cannot be reached"
    assert asyncio.run(work()) == [reading, waiting, None]
