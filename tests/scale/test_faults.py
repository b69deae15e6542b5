"""Faults while eight clients push and pull through a round of three nodes: what was acknowledged stays, who tries again succeeds, nothing is left."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from durability.ledger import Ledger
from harness.server import wait_until
from harness.wire import Wire
from scale.aftermath import check
from scale.callers import CALLERS, Callers, calling
from scale.measures import FINE, Book, failures, measured, now
from scale.site import Site, readiness, seed

SLOW_DOWN = (
    b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
BUSY = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
    % (len(SLOW_DOWN), SLOW_DOWN)
)


@dataclass(frozen=True)
class Scene:
    """Where a fault happens, while clients are at work. `long`: whether it may take its time."""

    site: Site
    callers: Callers
    chance: random.Random
    long: bool

    def await_failures(self, number: int) -> None:
        """Wait until so many requests that begin from now on have failed."""
        since = now()
        self.callers.await_requests(lambda requests: failures(requests, since) >= number, "requests to fail")

    def await_fine(self, number: int) -> None:
        """Wait until so many requests that begin from now on have been answered."""
        since = now()

        def enough_are() -> bool:
            return sum(request.how == FINE and request.began >= since for request in self.callers.requests) >= number

        wait_until(enough_are, "requests to be answered", 90)


@contextmanager
def gone(wires: list[Wire]) -> Iterator[None]:
    """Let wires refuse connections as a server does that has ended."""
    for wire in wires:
        wire.refuse()
    yield
    for wire in wires:
        wire.restore()


def node_killed(scene: Scene) -> Iterator[None]:
    """kill -9 of all processes of a node."""
    node = scene.chance.choice(scene.site.nodes)
    node.kill()
    scene.await_failures(3)
    scene.await_fine(3 * CALLERS)
    node.start()
    yield


def database_killed(scene: Scene) -> Iterator[None]:
    """kill -9 of PostgreSQL."""
    scene.site.place.database.kill()
    with gone([wires.database for wires in scene.site.wires]):
        scene.await_failures((5 if scene.long else 1) * CALLERS)
        scene.site.place.database.start()
    yield


def store_killed(scene: Scene) -> Iterator[None]:
    """kill -9 of all of Swift."""
    scene.site.place.store.kill()
    with gone([wires.store for wires in scene.site.wires]):
        if scene.long:
            scene.await_failures(CALLERS)
        scene.site.place.store.start()
    yield


def store_busy(scene: Scene) -> Iterator[None]:
    """The store answers everything with 503 SlowDown."""
    stores = [wires.store for wires in scene.site.wires]
    for wire in stores:
        wire.answer(BUSY)
    wait_until(lambda: all(wire.answered >= 5 for wire in stores), "requests to be turned away", 60)
    if scene.long:
        scene.await_failures(CALLERS)
    yield
    for wire in stores:
        wire.restore()


def store_stalled(scene: Scene) -> Iterator[None]:
    """The store takes connections and requests and answers nothing."""
    yield from _silenced(scene, [wires.store for wires in scene.site.wires])


def node_without_database(scene: Scene) -> Iterator[None]:
    """What a node sends to the database gets lost."""
    number = scene.chance.randrange(3)
    wire = scene.site.wires[number].database
    wire.silence()
    wait_until(lambda: readiness(scene.site.nodes[number]) == 503, "the node to notice", 60)
    scene.await_failures(1)
    yield
    wire.restore()


def node_refused_by_database(scene: Scene) -> Iterator[None]:
    """A node cannot connect to the database."""
    yield from _refused(scene, scene.chance.choice(scene.site.wires).database)


def node_without_store(scene: Scene) -> Iterator[None]:
    """What a node sends to the store gets lost."""
    yield from _silenced(scene, [scene.chance.choice(scene.site.wires).store])


def node_refused_by_store(scene: Scene) -> Iterator[None]:
    """A node cannot connect to the store."""
    yield from _refused(scene, scene.chance.choice(scene.site.wires).store)


def _silenced(scene: Scene, wires: list[Wire]) -> Iterator[None]:
    for wire in wires:
        wire.silence()
    wait_until(lambda: sum(wire.held for wire in wires) >= 2 * len(wires), "requests to wait", 60)
    if scene.long:
        scene.await_failures(2)
    yield
    for wire in wires:
        wire.restore()


def _refused(scene: Scene, wire: Wire) -> Iterator[None]:
    wire.refuse()
    scene.await_failures(2)
    yield
    wire.restore()


FAULTS: list[Callable[[Scene], Iterator[None]]] = [
    *(node_killed, database_killed, store_killed, store_busy, store_stalled),
    *(node_without_database, node_refused_by_database, node_without_store, node_refused_by_store),
]
LAST = [store_stalled, node_refused_by_store]
"""After these it is looked for what faults before them have left, too; with --long after each."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_fault(site: Site, book: Book, long: bool, fault: Callable[[Scene], Iterator[None]]) -> None:
    ledger = Ledger()
    drawn = seed()
    with calling(site, ledger, drawn) as callers:
        for _ in range(3 if long else 1):
            callers.await_rounds(now())
            injected: Callable[[Scene], AbstractContextManager[None]] = contextmanager(fault)
            began = now()
            with injected(Scene(site, callers, random.Random(drawn), long)):
                pass
            healed = now()
            well = callers.await_rounds(healed)
            book.note(measured(fault.__name__, callers.requests, began, healed, well))
    check(site, ledger, thorough=long or fault in LAST, hashing=long)
