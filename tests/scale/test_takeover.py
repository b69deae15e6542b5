"""What a node does in the background, and cannot finish because it is killed, another node does when the lease is over."""

from scale.measures import Book, Measured
from scale.takeover import Takeover


def test_the_work_of_a_dead_node_is_done(takeover: Takeover, book: Book) -> None:
    links, joins = takeover.after(takeover.links), takeover.after(takeover.joins)
    notes = {"links written after": round(links, 1), "blobs joined after": round(joins, 1)}
    book.note(Measured("leases of a killed node", 0.0, 0, {}, 0.0, 0.0, 0.0, max(notes.values()), notes))
