"""What a node does in the background, and cannot finish because it is killed, another node does when the lease is over."""

from pathlib import Path

from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository, with_query
from harness.server import Server, wait_until
from harness.swift import Swift
from holdfast.app.compose import JOIN_EVERY
from holdfast.registry.leases import SECONDS
from scale.aftermath import drained
from scale.measures import Book, Measured, now
from scale.site import SETTINGS, Place, new_place, wires

NOISE = 30.0
"""Seconds that a busy machine may need for what takes one."""

LINKS = rb"^PUT \S+/repositories/"
JOINS = rb"/_holdfast/segments/"
"""What a node sends to the store to write a link, and to read what is to be joined."""


def test_the_work_of_a_dead_node_is_done(
    tmp_path: Path, postgresql: PostgreSQL, swift: Swift, book: Book, long: bool
) -> None:
    place = new_place(postgresql, swift)
    directories = [tmp_path / name for name in ("dying", "living")]
    with wires(place) as [wire]:
        for directory in directories:
            directory.mkdir()
        settings = {**SETTINGS, **place.settings}
        dying = Server(directories[0], settings | place.through(wire))
        with Server(directories[1], settings) as living:
            if long:
                _push_in_parts(Repository(Client(living), "leases/parts"))
            living.kill()
            wire.store.hold(LINKS + b"|" + JOINS)
            try:
                dying.start()
                Repository(Client(dying), "leases/links").push_image("tag")
                wait_until(lambda: wire.store.held >= (2 if long else 1), "a node to be busy", 60)
                assert _holder(place, "link tree")
                living.start()
            finally:
                dying.kill()
            killed = now()
            assert place.count("dirty")
            drained(place, SECONDS + NOISE)
            notes = {"links written after": round(now() - killed, 1)}
            if long:
                wait_until(
                    lambda: place.count("blobs WHERE parts <> ''") == 0, "the join", SECONDS + 2 * JOIN_EVERY + NOISE
                )
                notes["blobs joined after"] = round(now() - killed, 1)
    book.note(Measured("lease of a killed node", 0.0, 0, {}, 0.0, 0.0, 0.0, max(notes.values()), notes))


def _push_in_parts(repository: Repository) -> None:
    """Push a blob whose bytes come with two requests, so that they lie in two objects."""
    content = repository.blob(2000)
    location = repository.open_upload()
    repository.client.patch(location, {}, content.body[:1000]).expect(202)
    target = with_query(location, f"digest={content.digest}")
    repository.client.put(target, {}, content.body[1000:]).expect(201)


def _holder(place: Place, lease: str) -> str:
    rows = place.rows(f"SELECT holder FROM leases WHERE name = '{lease}'")
    return str(rows[0][0]) if rows else ""
