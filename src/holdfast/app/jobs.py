"""What is done in the background, by whichever process holds the lease of a job: one process and fifty nodes need no different set-up."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from holdfast.metadata.port import DatabaseError
from holdfast.model.errors import Failure
from holdfast.registry.claims import attempt
from holdfast.storage.locks import Locks
from holdfast.storage.port import StorageError

log = structlog.get_logger("holdfast")

PATIENCE = 3.0
"""Seconds to wait for a lease: who has it does the job."""

RETRY = 5.0
"""Seconds after which a job that failed is tried again, at the latest."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is done every `interval` seconds, by one process at a time; for the first time `after` so many seconds."""

    name: str
    work: Callable[[], Awaitable[object]]
    interval: float
    after: float = 0


class Jobs:
    """Runs jobs from `start` to `close`."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, jobs: Iterable[Job]) -> None:
        """Do jobs when their time comes."""
        self._tasks += [asyncio.create_task(self._run(job)) for job in jobs]

    async def close(self) -> None:
        """Stop where they are: whatever a job does, the next run goes on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, job: Job) -> None:
        await asyncio.sleep(job.after)
        while True:
            pause = job.interval
            try:
                async with AsyncExitStack() as stack:
                    if await attempt(self._locks, f"job {job.name}", stack, PATIENCE):
                        await job.work()
            except (StorageError, DatabaseError, Failure) as error:
                log.error("a background job failed and is tried again", job=job.name, error=str(error))
                pause = min(RETRY, job.interval)
            except Exception:
                log.exception("a defect of the program: a background job failed and is tried again", job=job.name)
            await asyncio.sleep(pause)
