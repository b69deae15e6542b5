"""A node that is killed in the middle of what it does in the background, and another one that is there."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository, with_query
from harness.server import Server, wait_until
from harness.swift import Swift
from holdfast.app.compose import JOIN_EVERY
from holdfast.registry.leases import SECONDS
from scale.measures import now
from scale.site import SETTINGS, Place, new_place, wires

NOISE = 60.0
"""Seconds that a busy machine may need for what takes one."""

LINKS = rb"^PUT \S+/repositories/"
JOINS = rb"/_holdfast/segments/"
"""What a node sends to the store to write a link, and to read what is to be joined."""


class Takeover:
    """Looks when the work of a node that was killed just now has been done by another one."""

    def __init__(self, place: Place) -> None:
        self._killed = now()
        self.links = Watch(lambda: place.count("dirty") == 0, "the links to be written", SECONDS + NOISE)
        joined = SECONDS + 2 * JOIN_EVERY + NOISE
        self.joins = Watch(lambda: place.count("blobs WHERE parts <> ''") == 0, "the blob to be joined", joined)

    def after(self, watch: "Watch") -> float:
        """Seconds from the kill to the end of a watch. Raises `TimeoutError`."""
        return watch.ended() - self._killed


class Watch(threading.Thread):
    """Waits for a condition beside whatever else goes on."""

    def __init__(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        super().__init__(name=what, daemon=True)
        self._condition, self._what, self._seconds = condition, what, seconds
        self._result: float | TimeoutError = 0.0
        self.start()

    def run(self) -> None:
        try:
            wait_until(self._condition, self._what, self._seconds)
            self._result = now()
        except TimeoutError as error:
            self._result = error

    def ended(self) -> float:
        """When the condition was met. Raises `TimeoutError`."""
        self.join()
        if isinstance(self._result, TimeoutError):
            raise self._result
        return self._result


@contextmanager
def dead_node(directory: Path, database: PostgreSQL, store: Swift) -> Iterator[Takeover]:
    """A node that was killed while it wrote links and joined a blob, and one that lives."""
    place = new_place(database, store)
    directories = [directory / name for name in ("dying", "living")]
    for each in directories:
        each.mkdir()
    with wires(place) as [wire]:
        settings = {**SETTINGS, **place.settings}
        dying = Server(directories[0], settings | place.through(wire))
        living = Server(directories[1], settings).start()
        try:
            _push_in_parts(Repository(Client(living), "takeover/parts"))
            living.kill()
            wire.store.hold(LINKS + b"|" + JOINS)
            dying.start()
            Repository(Client(dying), "takeover/links").push_image("tag")
            wait_until(lambda: wire.store.held >= 2 and _has(place, "link tree", "job joining"), "a busy node", 60)
            living.start()
            dying.kill()
            takeover = Takeover(place)
            assert place.count("dirty")
            yield takeover
            for watch in (takeover.links, takeover.joins):
                watch.join()
        finally:
            dying.kill()
            living.kill()


def _push_in_parts(repository: Repository) -> None:
    """Push a blob whose bytes come with two requests, so that they lie in two objects."""
    content = repository.blob(2000)
    location = repository.open_upload()
    repository.client.patch(location, {}, content.body[:1000]).expect(202)
    target = with_query(location, f"digest={content.digest}")
    repository.client.put(target, {}, content.body[1000:]).expect(201)


def _has(place: Place, *names: str) -> bool:
    return {name for (name,) in place.rows("SELECT name FROM leases")} >= set(names)
