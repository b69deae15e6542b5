"""Threads that each own one connection to PostgreSQL: together they are the pool.

Work goes to the thread that became idle last, whose connection is warm. A watch looks at all of them: what the server does not answer is
cut off, and while the server is away nobody waits for it: the watch alone tries to reach it, once per second.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from holdfast.metadata.port import DatabaseError, DatabaseUnavailable
from holdfast.metadata.postgresql_connection import PostgreSQLConnection

SILENCE = 10.0
"""Seconds after which a server that does not answer a statement is taken to be away."""

WAIT = 10.0
"""Seconds that work waits for a free connection at most."""

PROBE = 1.0
TICK = 0.25


@dataclass(slots=True, eq=False)
class Job:
    """Work for a thread. `patience`: seconds that the server may take for a statement."""

    run: Callable[["Worker"], Any]
    writes: bool
    patience: float
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    since: float
    result: Any = None
    error: BaseException | None = None

    def settle(self) -> None:
        """Tell the caller how it went; on its event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        elif isinstance(self.error, StopIteration):  # a future takes any error but this one
            self.future.set_exception(RuntimeError("the work raised StopIteration"))
        else:
            self.future.set_exception(self.error)

    def tell(self) -> None:
        """Let the caller be told."""
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self.loop.call_soon_threadsafe(self.settle)


class Worker:
    """A thread with its connection."""

    def __init__(self, pool: "Pool", first: Job) -> None:
        self.pool = pool
        self.inbox: SimpleQueue[Job | None] = SimpleQueue()
        self.connection: PostgreSQLConnection | None = None
        self.patience = SILENCE
        self._generation = 0
        self._guard = threading.Lock()
        self.inbox.put(first)
        self.thread = threading.Thread(target=self._work, name="database", daemon=True)
        self.thread.start()

    def connected(self) -> PostgreSQLConnection:
        """Its connection, a new one where there is none or the server was away since. Raises `DatabaseError`."""
        connection = self.connection
        if connection is not None and self._generation == self.pool.generation:
            return connection
        self.drop()
        generation = self.pool.generation
        self.pool.check_reach()
        try:
            connection = PostgreSQLConnection(self.pool.url)
        except DatabaseUnavailable as error:
            self.pool.not_reached(error)
            raise
        self.connection, self._generation = connection, generation
        return connection

    def drop(self) -> None:
        """Close its connection, if there is one."""
        with self._guard:
            connection, self.connection = self.connection, None
            if connection is not None:
                connection.close()

    def watch(self, now: float) -> None:
        """Cut off a call that takes too long; called by the watch."""
        with self._guard:
            connection = self.connection
            if connection is None or not (called := connection.called) or now - called <= self.patience:
                return
            connection.cut()
        self.pool.away(f"it did not answer within {self.patience:g} s")

    def _work(self) -> None:
        job = self.inbox.get()
        while job is not None:
            self._run(job)
            job = self.pool.next(self, job) or self.inbox.get()
        self.drop()

    def _run(self, job: Job) -> None:
        if job.future.done():  # its caller has gone
            return
        self.patience = job.patience
        try:
            self.pool.check_reach()
            job.result = job.run(self)
        except BaseException as error:  # whatever it is, the caller is told
            job.error = error
        job.tell()


class Pool:
    """At most `connections` workers. `url`: of the database; `where`: the same without a password."""

    def __init__(self, url: str, where: str, connections: int) -> None:
        self.url = url
        self.generation = 0
        self._where = where
        self._connections = connections
        self._most_writing = max(1, connections - max(1, connections // 4))
        self._writing = 0
        self._guard = threading.Lock()
        self._reads: deque[Job] = deque()
        self._writes: deque[Job] = deque()
        self._idle: list[Worker] = []
        self._workers: list[Worker] = []
        self._closing = False
        self._away: str | None = None
        self._probing = False
        self._ended = threading.Event()
        self._watch: threading.Thread | None = None

    async def run(self, work: Callable[[Worker], Any], *, writes: bool = False, patience: float = SILENCE) -> Any:
        """Run `work` on a thread. Raises what it raises; `DatabaseUnavailable`, also if no thread came free in time."""
        if self._closing:
            raise DatabaseUnavailable("the database is closed")
        self.check_reach()
        loop = asyncio.get_running_loop()
        job = Job(work, writes, patience, loop, loop.create_future(), time.monotonic())
        self._submit(job)
        return await job.future

    def _submit(self, job: Job) -> None:
        with self._guard:
            if job.writes and self._writing >= self._most_writing:
                self._writes.append(job)
            elif self._idle:
                self._writing += job.writes
                self._idle.pop().inbox.put(job)
            elif len(self._workers) < self._connections:
                self._writing += job.writes
                self._workers.append(Worker(self, job))
                if self._watch is None:
                    self._watch = threading.Thread(target=self._watch_all, name="database-watch", daemon=True)
                    self._watch.start()
            else:
                (self._writes if job.writes else self._reads).append(job)

    def next(self, worker: Worker, done: Job) -> Job | None:
        """What a worker does next; None if it has to wait at its inbox."""
        with self._guard:
            self._writing -= done.writes
            may_write = self._writes and self._writing < self._most_writing
            if self._reads and not (may_write and self._writes[0].since < self._reads[0].since):
                return self._reads.popleft()
            if may_write:
                self._writing += 1
                return self._writes.popleft()
            if self._closing:
                worker.inbox.put(None)
            else:
                self._idle.append(worker)
            return None

    def check_reach(self) -> None:
        """Raises `DatabaseUnavailable` while the server is known to be away."""
        if self._away is not None:
            raise DatabaseUnavailable(self._away)

    def not_reached(self, error: DatabaseError) -> None:
        """A connection could not be made: unless there are others, the server is away."""
        if not any(worker.connection for worker in self._workers):
            self.away(str(error))

    def away(self, why: str) -> None:
        """The server is away: whoever waits is told, and nobody uses the connections that there are."""
        with self._guard:
            self.generation += 1
            self._away = why if self._where in why else f"PostgreSQL at {self._where} cannot be reached: {why}"
            waiting = [*self._reads, *self._writes]
            self._reads.clear()
            self._writes.clear()
        self._tell(waiting, self._away)

    def _tell(self, jobs: list[Job], why: str) -> None:
        for job in jobs:
            job.error = DatabaseUnavailable(why)
            job.tell()

    def _watch_all(self) -> None:
        probed = 0.0
        while not self._ended.wait(TICK):
            now = time.monotonic()
            for worker in list(self._workers):
                worker.watch(now)
            self._tell(self._overdue(now - WAIT), f"PostgreSQL at {self._where}: no connection came free in {WAIT:g} s")
            if self._away is not None and now - probed >= PROBE and not self._probing:
                probed = now
                self._probing = True
                threading.Thread(target=self._probe, name="database-probe", daemon=True).start()

    def _overdue(self, before: float) -> list[Job]:
        with self._guard:
            found = []
            for waiting in (self._reads, self._writes):
                while waiting and waiting[0].since < before:
                    found.append(waiting.popleft())
            return found

    def _probe(self) -> None:
        """See whether the server is back."""
        try:
            PostgreSQLConnection(self.url).close()
        except DatabaseError as error:
            self._away = str(error)
        else:
            self._away = None
        finally:
            self._probing = False

    async def close(self) -> None:
        """Finish what is under way and let go; can be called twice, also at once."""
        with self._guard:
            self._closing = True
            for worker in self._idle:
                worker.inbox.put(None)
            self._idle.clear()
        await asyncio.get_running_loop().run_in_executor(None, self._join)

    def _join(self) -> None:
        for worker in self._workers:
            worker.thread.join()
        self._ended.set()
        if self._watch is not None:
            self._watch.join()
