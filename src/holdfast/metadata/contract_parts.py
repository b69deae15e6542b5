"""What the queries about bytes in parts must answer on every database; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

from holdfast.metadata.contract import EmptyDatabase
from holdfast.metadata.contract_queries import NOW, add_blob, digest, on_connection
from holdfast.metadata.port import Connection
from holdfast.metadata.queries import blobs, collection, parts, uploads
from holdfast.metadata.queries.blobs import Blob


def add_parted(connection: Connection, name: str, where: str, due: int = 0) -> None:
    """Claim, link and settle a blob whose bytes lie in parts."""
    blobs.claim(connection, name, digest(name), 10, NOW)
    blobs.link(connection, "a", digest(name), NOW)
    blobs.settle(connection, name, digest(name), where, due)


class PartsContract(EmptyDatabase):
    """Parts of blobs and of uploads, and what is left over."""

    @on_connection
    def test_a_blob_tells_where_its_bytes_lie(self, c: Connection) -> None:
        add_parted(c, "x", "part one")
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 10, "part one")
        assert blobs.parts(c, digest("x")) == "part one"
        assert blobs.parts(c, digest("unknown")) == ""

    @on_connection
    def test_blobs_in_parts_are_found_and_joined_once(self, c: Connection) -> None:
        add_blob(c, "a", "whole")
        for name in ("x", "y"):
            add_parted(c, name, f"part of {name}")
        found = parts.parted(c, "", 10)
        assert {blob.parts for blob in found} == {"part of x", "part of y"}
        assert parts.parted(c, found[0].digest, 10) == found[1:]
        assert parts.parted(c, "", 1) == found[:1]
        assert parts.joined(c, found[0], NOW + 5)
        assert not parts.joined(c, found[0], NOW + 5)
        assert parts.parted(c, "", 10) == found[1:]
        assert blobs.parts(c, found[0].digest) == ""
        assert parts.left_over(c, NOW + 4, 10) == []
        assert parts.left_over(c, NOW + 5, 10) == [(found[0].digest, found[0].parts)]
        parts.dropped(c, found[0].digest, found[0].parts)
        assert parts.left_over(c, NOW + 5, 10) == []

    @on_connection
    def test_a_blob_is_claimed_as_long_as_it_has_these_parts(self, c: Connection) -> None:
        add_parted(c, "x", "part")
        blob = Blob(digest("x"), 10, "part")
        assert not parts.claim(c, "joining", Blob(digest("x"), 10, "other"), NOW)
        assert parts.claim(c, "joining", blob, NOW + 5)
        assert collection.start_deletion(c, digest("x"), NOW + 9) is None
        blobs.release(c, "joining")
        assert blobs.untouched(c, digest("x"), NOW), "it was not used"
        parts.moved(c, digest("x"), "elsewhere")
        assert blobs.parts(c, digest("x")) == "elsewhere"
        assert collection.start_deletion(c, digest("x"), NOW)
        assert not parts.claim(c, "joining", Blob(digest("x"), 10, "elsewhere"), NOW)

    @on_connection
    def test_parts_of_an_earlier_push_are_left_over(self, c: Connection) -> None:
        add_parted(c, "x", "first")
        add_parted(c, "x", "second", NOW + 7)
        assert blobs.parts(c, digest("x")) == "second"
        assert parts.left_over(c, NOW + 7, 10) == [(digest("x"), "first")]
        add_parted(c, "x", "", NOW + 8)
        assert blobs.parts(c, digest("x")) == ""
        assert parts.left_over(c, NOW + 8, 10) == [(digest("x"), "first"), (digest("x"), "second")]

    @on_connection
    def test_the_same_parts_settled_again_are_not_left_over(self, c: Connection) -> None:
        for _ in range(2):
            add_parted(c, "x", "same")
        assert parts.left_over(c, NOW, 10) == []

    @on_connection
    def test_two_requests_on_one_upload_settle_each_its_own_blob(self, c: Connection) -> None:
        add_parted(c, "victim", "of the victim")
        for name in ("victim", "other"):
            blobs.claim(c, "upload", digest(name), 10, NOW)
        blobs.settle(c, "upload", digest("other"), "of the other")
        assert blobs.parts(c, digest("other")) == "of the other"
        assert blobs.parts(c, digest("victim")) == "of the victim"
        assert parts.left_over(c, NOW, 10) == []
        assert blobs.claimed(c, "upload") == Blob(digest("victim"), 10, "of the victim")

    @on_connection
    def test_a_deletion_tells_where_the_bytes_lie(self, c: Connection) -> None:
        add_parted(c, "x", "part")
        assert collection.start_deletion(c, digest("x"), NOW) == Blob(digest("x"), 10, "part")
        assert collection.deleting(c, 10) == [Blob(digest("x"), 10, "part")]
        assert parts.parted(c, "", 10) == []

    @on_connection
    def test_whether_a_name_stands_in_parts_that_are_known(self, c: Connection) -> None:
        add_parted(c, "x", '[["s/one", 5], ["s/two", 5]]')
        uploads.start(c, "u", "a", NOW)
        row = uploads.find(c, "u")
        assert row
        uploads.record(c, row, 3, digest("abc"), b"", NOW, '[["s/three", 3]]')
        parts.leave(c, digest("y"), '[["s/four", 4]]', NOW)
        names = ["s/one", "s/two", "s/three", "s/four", "s/five"]
        assert parts.known(c, names) == set(names) - {"s/five"}
        assert parts.known(c, []) == set()

    @on_connection
    def test_claims_of_processes_that_ended_without_a_word(self, c: Connection) -> None:
        uploads.start(c, "under way", "a", NOW)
        for holder, time in (("old", NOW), ("under way", NOW), ("protected a", NOW), ("young", NOW + 1)):
            blobs.claim(c, holder, digest("x"), 10, time)
        blobs.release_old(c, NOW + 1)
        assert [blobs.claimed(c, holder) is None for holder in ("old", "under way", "protected a", "young")] == [
            True,
            False,
            False,
            False,
        ]

    @on_connection
    def test_uploads_that_nothing_was_added_to(self, c: Connection) -> None:
        for name in ("old", "active", "closed"):
            uploads.start(c, name, "a", NOW)
        active = uploads.find(c, "active")
        assert active
        uploads.record(c, active, 3, digest("abc"), b"", NOW + 1)
        uploads.close(c, "closed", digest("x"), NOW)
        assert uploads.untouched(c, NOW, 10) == []
        assert uploads.untouched(c, NOW + 1, 10) == [("old", "a")]
        assert len(uploads.untouched(c, NOW + 2, 10)) == 2
        assert len(uploads.untouched(c, NOW + 2, 1)) == 1
