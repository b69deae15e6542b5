"""The main process: starts workers, replaces those that die, reloads and stops them. It opens neither database nor store."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import structlog

from holdfast.app import orphans
from holdfast.app.current import Current
from holdfast.app.inherited import InheritedFile
from holdfast.app.listeners import Listeners
from holdfast.app.worker import ACCEPT_NO_MORE, ACCEPTING, Plan, run

log = structlog.get_logger("holdfast")

DRAIN = 7.0
"""Seconds that requests have at a stop unless configured; Docker kills after 10."""
RETIREMENT = 3600.0
"""Seconds that requests of a replaced worker have to finish."""
READY_WITHIN = 600.0
"""Seconds that a new worker may take to begin."""
TICK = 1.0
ASIDE = 1.0
"""Seconds between the moment when a replaced worker accepts no more connections and the moment when it is told to finish: in between it reads
the requests of those that it has accepted, which the HTTP servers would otherwise close unread."""
QUICK = 5.0
"""A worker that lives for less than this many seconds is replaced more and more slowly."""
SLOWEST = 10.0
MOST_STARTS = 5
"""How often in a row workers may end without a word before the start is given up."""


@dataclass(eq=False)
class Worker:
    """A worker process and what is known of it."""

    index: int
    process: BaseProcess
    news: Connection
    plan: Plan
    born: float = field(default_factory=time.monotonic)
    accepting: bool = False
    ready: bool = False
    explained: bool = False
    end_by: float | None = None
    tell_at: float | None = None


class Supervisor:
    """Keeps a worker serving on each of `listeners` until told to stop."""

    def __init__(
        self,
        current: Current,
        listeners: Listeners,
        locks: list[InheritedFile],
        drain: float,
    ) -> None:
        self._current = current
        self._count = listeners.count
        self._listeners = listeners
        self._locks = locks
        self._drain = drain or DRAIN
        self._workers: list[Worker] = []
        self._serving: dict[int, Worker] = {}
        self._again: dict[int, float] = {}
        self._failures = 0
        self._stop = False
        self._reload = False
        self._began = False
        self._hopeless = False
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self, began: Callable[[], None]) -> int:
        """Run until a signal stops it; `began` is called once every worker answers. Gives the exit status."""
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        for index in range(self._count):
            self._spawn(index)
        while not self._stop and not self._hopeless:
            self._watch(TICK)
            if not self._began and len(self._serving) == self._count:
                self._began = True
                began()
            self._keep_up()
            orphans.bury({worker.process.pid for worker in self._workers} | {_tracker()})
        status = self._end() if self._stop else self._give_up()
        _end_tracker()
        return status

    def _on_stop(self, *_: object) -> None:
        self._stop = True

    def _on_reload(self, *_: object) -> None:
        self._reload = True

    def _spawn(self, index: int) -> None:
        context = multiprocessing.get_context("spawn")
        news, ready = context.Pipe(duplex=False)
        plan = self._current.plan
        process = context.Process(
            target=run, args=(plan, index, self._listeners.of(index), self._locks, ready), name=f"worker-{index + 1}"
        )
        process.start()
        ready.close()
        self._workers.append(Worker(index, process, news, plan))

    def _watch(self, seconds: float) -> None:
        """Wait for news of any kind and take it in."""
        by_news = {worker.news: worker for worker in self._workers if not worker.ready}
        by_end = {worker.process.sentinel: worker for worker in self._workers}
        for what in wait([*by_news, *by_end, self._wake_in], timeout=seconds):
            if what == self._wake_in:
                os.read(self._wake_in, 4096)
            elif isinstance(what, Connection):
                self._hear(by_news[what])
            elif isinstance(what, int):
                self._bury(by_end[what])

    def _hear(self, worker: Worker) -> None:
        try:
            problem = worker.news.recv()
        except (EOFError, OSError):
            return
        if problem == ACCEPTING:
            worker.accepting = True
            return
        if problem:
            if not self._hopeless:
                log.error("a worker cannot start", reason=problem)
            self._hopeless |= not self._began
            worker.explained = True
            self._current.fall_back()
            return
        worker.ready = True
        self._failures = 0
        self._current.prove(worker.plan)
        old = self._serving.get(worker.index)
        self._serving[worker.index] = worker
        if old:
            self._set_aside(old)

    def _set_aside(self, worker: Worker) -> None:
        """Let a worker whose successor answers accept nothing more, and finish."""
        worker.end_by = time.monotonic() + RETIREMENT
        worker.tell_at = time.monotonic() + ASIDE
        if worker.process.is_alive() and worker.process.pid:
            os.kill(worker.process.pid, ACCEPT_NO_MORE)

    def _retire(self, worker: Worker, seconds: float) -> None:
        if worker.process.is_alive():
            worker.process.terminate()
        end_by = time.monotonic() + seconds
        worker.end_by = min(worker.end_by or end_by, end_by)

    def _bury(self, worker: Worker) -> None:
        if not worker.ready and worker.news.poll():
            self._hear(worker)
        worker.process.join()
        worker.news.close()
        self._workers.remove(worker)
        expected = worker.end_by is not None
        if not expected and not worker.explained and not self._stop:
            log.error("a worker ended", pid=worker.process.pid, status=worker.process.exitcode)
        if self._serving.get(worker.index) is worker:
            del self._serving[worker.index]
        if not expected and worker.index not in self._serving:
            lived = time.monotonic() - worker.born
            self._failures = self._failures + 1 if lived < QUICK else 0
            self._hopeless |= not self._began and self._failures >= MOST_STARTS
            self._again[worker.index] = time.monotonic() + (min(2.0**self._failures, SLOWEST) if self._failures else 0)

    def _keep_up(self) -> None:
        """Do what is due: replacements, reloads, deadlines."""
        now = time.monotonic()
        for index in [index for index, due in self._again.items() if due <= now]:
            del self._again[index]
            self._spawn(index)
        if self._reload and self._began:
            self._reload = False
            if self._can_replace() and self._current.reread():
                self._replace_all()
        elif self._current.certificate_changed() and self._can_replace():
            self._replace_all()
        for worker in self._workers:
            if worker.tell_at is not None and worker.tell_at <= now:
                worker.tell_at = None
                self._retire(worker, RETIREMENT)
            late = worker.end_by is not None and worker.end_by <= now
            if late or (not worker.accepting and now - worker.born > READY_WITHIN):
                log.warning("a worker did not end in time; it is killed", pid=worker.process.pid)
                worker.process.kill()

    def _can_replace(self) -> bool:
        """Whether a second process can open the storage while the first one still answers requests."""
        alone = self._current.plan.place.single
        if alone:
            log.warning("one process alone can use this storage: no reload; restart the server for what has changed")
        return not alone

    def _replace_all(self) -> None:
        """Start a new worker for each; an old one is told to finish only when its successor answers."""
        log.info("reloading: starting new workers")
        for worker in self._workers:
            if not worker.ready:
                self._retire(worker, 0)
        self._again.clear()
        for index in range(self._count):
            self._spawn(index)

    def _give_up(self) -> int:
        for worker in list(self._workers):
            self._retire(worker, 0)
            worker.process.kill()
            self._bury(worker)
        return 1

    def _end(self) -> int:
        log.info("stopping", seconds=self._drain)
        self._listeners.close()
        deadline = time.monotonic() + self._drain
        for worker in self._workers:
            self._retire(worker, self._drain)
        while self._workers and time.monotonic() < deadline:
            self._watch(max(deadline - time.monotonic(), 0.01))
        for worker in list(self._workers):
            log.warning("requests were cut off at the stop", pid=worker.process.pid)
            worker.process.kill()
            self._bury(worker)
        log.info("stopped")
        return 0


def _tracker() -> int | None:
    """The process with which multiprocessing watches over things that this program does not use."""
    return getattr(resource_tracker._resource_tracker, "_pid", None)


def _end_tracker() -> None:
    """End that process, and wait for it."""
    stop = getattr(resource_tracker._resource_tracker, "_stop", None)
    if stop:
        stop()
