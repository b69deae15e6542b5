"""What the queries must answer on every database; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from holdfast.metadata.contract import Contract, EmptyDatabase
from holdfast.metadata.port import Connection
from holdfast.metadata.queries import blobs, dirty, manifests, meta, repositories, tags, uploads
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.manifests import Pushed, StoredManifest
from holdfast.model.digests import Digest, digest_of
from holdfast.model.errors import UNAVAILABLE, Failure
from holdfast.model.manifests import Manifest, Reference
from holdfast.model.pagination import Page

NOW = 1_700_000_000_000
ALL = Page(1000, "")


def on_connection(test: Callable[[Contract, Connection], None]) -> Callable[[Contract], None]:
    """Make a test of a function that runs in a transaction on a fresh database, and look at its dirty rows outside of it."""

    def run(self: Contract) -> None:
        async def whole() -> None:
            database = self.database()
            try:
                await database.write(lambda connection: test(self, connection))
            finally:
                await database.close()

        asyncio.run(whole())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def digest(name: str, algorithm: str = "sha256") -> Digest:
    """A digest that depends on `name`."""
    return digest_of(name.encode(), algorithm)


def add_blob(connection: Connection, repository: str, name: str, size: int = 10) -> Digest:
    """Claim, link and release a blob."""
    blobs.claim(connection, name, digest(name), size, NOW)
    blobs.link(connection, repository, digest(name), NOW)
    blobs.release(connection, name)
    return digest(name)


def add_manifest(
    connection: Connection,
    repository: str,
    name: str,
    references: Sequence[tuple[str, str]] = (),
    subject: str | None = None,
    algorithm: str = "sha256",
    annotations: dict[str, str] | None = None,
) -> Digest:
    """Record a manifest whose bytes are `name`, with references (name, kind)."""
    found = [Reference(digest(child), kind, kind in {"config", "layer"}) for child, kind in references]
    if subject:
        found.append(Reference(digest(subject), "subject", False))
    parsed = Manifest("a/b", "c/d", digest(subject) if subject else None, tuple(found), annotations or {}, True)
    blobs.claim(connection, name, digest(name), len(name), NOW)
    pushed = Pushed(digest(name, algorithm), digest(name), name.encode(), parsed)
    manifests.put(connection, repositories.make(connection, repository, NOW), repository, pushed, NOW, "ann")
    blobs.release(connection, name)
    return pushed.digest


def found_open(connection: Connection, upload_id: str) -> bool:
    """Whether an upload is under way."""
    row = uploads.find(connection, upload_id)
    return row is not None and uploads.is_unchanged(connection, row)


def add_tag(connection: Connection, repository: str, tag: str, to: Digest) -> None:
    """Let a tag point to a manifest."""
    tags.move(connection, repositories.make(connection, repository, NOW), repository, tag, to, NOW, "ann")


def every(subject: str) -> manifests.Wanted:
    """All referrers of a subject."""
    return manifests.Wanted(digest(subject), (), Page(1000, ""), 4_000_000)


def moves(connection: Connection) -> list[tuple[str, str, str | None]]:
    """The dirty rows: kind, name, value before."""
    return [(row.kind, row.name, row.before) for row in dirty.since(connection, 0)]


def set_state(connection: Connection, name: str, state: str) -> None:
    """Put a blob into a state, as the garbage collector does."""
    connection.run("UPDATE blobs SET state = ? WHERE digest = ?", state, digest(name))


class QueriesContract(EmptyDatabase):
    """Every function of `holdfast.metadata.queries`."""

    @on_connection
    def test_meta(self, c: Connection) -> None:
        assert meta.get(c, "a") is None
        meta.put(c, "a", "1")
        meta.put(c, "a", "2")
        meta.put(c, "b", "")
        assert (meta.get(c, "a"), meta.get(c, "b")) == ("2", "")

    @on_connection
    def test_a_repository_is_made_once(self, c: Connection) -> None:
        assert repositories.numbered(c, "a/b") is None
        number = repositories.make(c, "a/b", NOW)
        assert repositories.make(c, "a/b", NOW) == repositories.numbered(c, "a/b") == number
        assert repositories.make(c, "a", NOW) != number

    @on_connection
    def test_the_catalog_is_in_bytewise_order_page_by_page(self, c: Connection) -> None:
        names = ["a", "a-b", "a.b", "a/b", "a0", "a_b", "ab", "b"]
        for name in reversed(names):
            add_manifest(c, name, "m")
        add_blob(c, "only-a-blob", "x")
        assert repositories.catalog(c, ALL) == sorted(names) == names
        assert repositories.catalog(c, Page(2, "")) == names[:3]
        assert repositories.catalog(c, Page(2, "a-b")) == names[2:5]
        assert repositories.catalog(c, Page(2, "a-a")) == names[1:4]
        assert repositories.catalog(c, Page(1, "ab")) == ["b"]
        assert repositories.catalog(c, Page(5, "b")) == []

    @on_connection
    def test_a_blob_is_found_where_it_is_linked_by_any_digest(self, c: Connection) -> None:
        blobs.claim(c, "x", digest("x"), 10, NOW)
        assert blobs.claimed(c, "x") == Blob(digest("x"), 10)
        assert blobs.find(c, "a", digest("x")) is None
        assert blobs.link(c, "a", digest("x"), NOW)
        assert not blobs.link(c, "a", digest("x"), NOW)
        blobs.release(c, "x")
        assert blobs.claimed(c, "x") is None
        other = digest("x", "sha512")
        assert blobs.find(c, "a", other) is None
        assert blobs.aliases(c, digest("x")) == []
        assert blobs.alias(c, other, digest("x"))
        assert not blobs.alias(c, other, digest("x"))
        assert blobs.aliases(c, digest("x")) == [other]
        for name in (digest("x"), other):
            assert blobs.find(c, "a", name) == Blob(digest("x"), 10)
            assert blobs.find(c, "b", name) is None

    @on_connection
    def test_states_of_a_blob(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        for state, visible in (("live", True), ("condemned", True), ("deleting", False), ("quarantined", False)):
            set_state(c, "x", state)
            assert (blobs.find(c, "a", digest("x")) is not None) == visible
            assert blobs.missing(c, "a", [digest("x")]) == ([] if visible else [digest("x")])
            assert repositories.with_blob(c, digest("x"), 10) == (["a"] if visible else [])

    @on_connection
    def test_a_claim_makes_a_blob_live_unless_it_is_being_deleted(self, c: Connection) -> None:
        add_blob(c, "a", "x", 10)
        set_state(c, "x", "condemned")
        blobs.claim(c, "second", digest("x"), 11, NOW + 1)
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 11)
        set_state(c, "x", "deleting")
        with pytest.raises(Failure) as caught:
            blobs.claim(c, "third", digest("x"), 10, NOW)
        assert caught.value.kind is UNAVAILABLE
        assert blobs.claimed(c, "third") is None
        set_state(c, "x", "condemned")
        assert not blobs.link(c, "a", digest("x"), NOW)
        assert c.one("SELECT state FROM blobs WHERE digest = ?", digest("x")) == ("live",)

    @on_connection
    def test_claims_of_several_holders(self, c: Connection) -> None:
        for holder in ("one", "two"):
            blobs.claim(c, holder, digest("x"), 10, NOW)
            blobs.claim(c, holder, digest("x"), 10, NOW)
        blobs.release(c, "one")
        assert blobs.claimed(c, "one") is None
        assert blobs.claimed(c, "two") == Blob(digest("x"), 10)
        uploads.start(c, "upload", "a", NOW)
        blobs.claim(c, "upload", digest("x"), 10, NOW)
        blobs.release_all(c)
        assert blobs.claimed(c, "two") is None
        assert blobs.claimed(c, "upload") is not None, "its bytes may be in place, and then it can still be finished"

    @on_connection
    def test_what_a_repository_lacks(self, c: Connection) -> None:
        names = [f"x{number}" for number in range(1200)]
        for name in names[::2]:
            add_blob(c, "a", name)
        add_blob(c, "b", names[1])
        blobs.alias(c, digest("x0", "sha512"), digest("x0"))
        wanted = [digest(name) for name in names]
        assert blobs.missing(c, "a", wanted) == wanted[1::2]
        assert blobs.missing(c, "a", [digest("x0", "sha512"), digest("x1", "sha512")]) == [digest("x1", "sha512")]
        assert blobs.missing(c, "nowhere", wanted[:3]) == wanted[:3]
        assert blobs.missing(c, "a", []) == []

    @on_connection
    def test_which_repositories_have_a_blob(self, c: Connection) -> None:
        for name in ("a", "b", "c"):
            add_blob(c, name, "x")
        add_blob(c, "d", "y")
        blobs.alias(c, digest("x", "sha512"), digest("x"))
        for name in (digest("x"), digest("x", "sha512")):
            assert sorted(repositories.with_blob(c, name, 10)) == ["a", "b", "c"]
            assert len(repositories.with_blob(c, name, 2)) == 2
        assert repositories.with_blob(c, digest("z"), 10) == []

    @on_connection
    def test_a_blob_is_taken_from_one_repository_alone(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        add_blob(c, "b", "x")
        assert blobs.unlink(c, "a", digest("x"))
        assert not blobs.unlink(c, "a", digest("x"))
        assert not blobs.unlink(c, "nowhere", digest("x"))
        assert blobs.find(c, "a", digest("x")) is None
        assert blobs.find(c, "b", digest("x")) is not None

    @on_connection
    def test_which_blobs_manifests_use(self, c: Connection) -> None:
        add_manifest(c, "a", "m", [("x", "config"), ("y", "layer"), ("z", "blob"), ("w", "manifest")], subject="v")
        for name in "xyz":
            assert blobs.referenced(c, "a", [digest("none"), digest(name)])
            assert not blobs.referenced(c, "b", [digest(name)])
        for name in "vw":
            assert not blobs.referenced(c, "a", [digest(name)])

    @on_connection
    def test_a_manifest_is_found_by_digest_and_tag(self, c: Connection) -> None:
        found = StoredManifest(add_manifest(c, "a", "m"), "a/b", b"m")
        add_tag(c, "a", "latest", digest("m"))
        add_manifest(c, "b", "n")
        assert manifests.find(c, "a", digest("m")) == manifests.find(c, "a", "latest") == found
        for repository, reference in (
            ("b", digest("m")),
            ("b", "latest"),
            ("a", digest("n")),
            ("a", "m"),
            ("c", "latest"),
        ):
            assert manifests.find(c, repository, reference) is None
        assert manifests.present(c, "a", [digest("n"), digest("m")]) == [digest("m")]
        assert manifests.present(c, "nowhere", [digest("m")]) == []
        assert manifests.for_tree(c, "a", digest("m")) == ("a/b", True)
        assert manifests.for_tree(c, "b", digest("m")) is None
        assert manifests.for_tree(c, "nowhere", digest("m")) is None

    @on_connection
    def test_a_manifest_under_a_sha512_digest(self, c: Connection) -> None:
        name = add_manifest(c, "a", "m", algorithm="sha512")
        assert name == digest("m", "sha512")
        assert manifests.find(c, "a", name) == StoredManifest(name, "a/b", b"m")
        assert manifests.blob_of(c, "a", name) == digest("m")
        assert manifests.for_tree(c, "a", digest("m")) == ("a/b", True)

    @on_connection
    def test_a_manifest_pushed_again_takes_the_new_media_type(self, c: Connection) -> None:
        add_manifest(c, "a", "m", [("x", "layer")])
        number = repositories.make(c, "a", NOW)
        for media_type, typed, marked in (("a/b", True, False), ("e/f", False, True)):
            position = dirty.mark_position(c)
            parsed = Manifest(media_type, "g/h", None, (Reference(digest("x"), "layer", True),), {}, typed)
            manifests.put(c, number, "a", Pushed(digest("m"), digest("m"), b"m", parsed), NOW + 1, "bob")
            assert manifests.find(c, "a", digest("m")) == StoredManifest(digest("m"), media_type, b"m")
            assert manifests.for_tree(c, "a", digest("m")) == (media_type, typed)
            assert bool(dirty.since(c, position)) == marked, "the tree holds media types that the bytes do not tell"

    @on_connection
    def test_a_manifest_that_repeats_a_reference(self, c: Connection) -> None:
        add_manifest(c, "a", "m", [("x", "layer"), ("x", "layer"), ("x", "config")])
        assert blobs.referenced(c, "a", [digest("x")])

    @on_connection
    def test_removing_a_manifest_removes_its_references(self, c: Connection) -> None:
        add_manifest(c, "a", "m", [("x", "layer")], subject="s")
        number = repositories.make(c, "a", NOW)
        assert manifests.remove(c, number, "a", digest("m"))
        assert not manifests.remove(c, number, "a", digest("m"))
        assert manifests.find(c, "a", digest("m")) is None
        assert not blobs.referenced(c, "a", [digest("x")])
        assert manifests.referrers(c, "a", every("s")) == ([], False)

    @on_connection
    def test_referrers(self, c: Connection) -> None:
        for number in range(5):
            add_manifest(c, "a", f"r{number}", subject="s", annotations={"n": str(number), "ü": "🚢"})
        add_manifest(c, "b", "elsewhere", subject="s")
        add_manifest(c, "a", "s")
        found, more = manifests.referrers(c, "a", every("s"))
        assert not more
        assert [row.digest for row in found] == sorted(digest(f"r{number}") for number in range(5))
        by_digest = {row.digest: row for row in found}
        row = by_digest[digest("r3")]
        assert (row.media_type, row.artifact_type, row.size) == ("a/b", "c/d", 2)
        assert row.annotations == '{"n":"3","ü":"🚢"}'.encode()
        nothing: tuple[list[manifests.ReferrerRow], bool] = ([], False)
        assert manifests.referrers(c, "a", every("none")) == manifests.referrers(c, "nowhere", every("s")) == nothing

    @on_connection
    def test_pages_of_referrers(self, c: Connection) -> None:
        for number in range(5):
            add_manifest(c, "a", f"r{number}", subject="s", annotations={"n": "x" * 10_000})
        digests = sorted(digest(f"r{number}") for number in range(5))
        for page, types, room, expected, more in (
            (Page(2, ""), (), 1_000_000, digests[:2], True),
            (Page(5, ""), (), 1_000_000, digests, False),
            (Page(0, ""), (), 1_000_000, [], True),
            (Page(9, digests[1]), (), 1_000_000, digests[2:], False),
            (Page(9, ""), (), 25_000, digests[:2], True),
            (Page(9, digests[0]), (), 1, digests[1:2], True),
            (Page(9, ""), ("other/type", "c/d"), 1_000_000, digests, False),
            (Page(9, ""), ("other/type",), 1_000_000, [], False),
        ):
            wanted = manifests.Wanted(digest("s"), types, page, room)
            found, follows = manifests.referrers(c, "a", wanted)
            assert ([row.digest for row in found], follows) == (expected, more)

    @on_connection
    def test_tags_move_and_leave_a_history(self, c: Connection) -> None:
        one, two = add_manifest(c, "a", "one"), add_manifest(c, "a", "two")
        position = dirty.mark_position(c)
        for to in (one, two, two, one):
            add_tag(c, "a", "latest", to)
            assert tags.find(c, "a", "latest") == to
        assert tags.remove(c, "a", "latest", NOW, "bob")
        assert not tags.remove(c, "a", "latest", NOW, "bob")
        assert not tags.remove(c, "nowhere", "latest", NOW, "bob")
        assert tags.find(c, "a", "latest") is None
        befores = [None, one, two, one]
        assert [(row.kind, row.name, row.before) for row in dirty.since(c, position)] == [
            ("tag", "latest", before) for before in befores
        ]
        history = c.all("SELECT before, after, moved_by FROM tag_history WHERE tag = 'latest' ORDER BY id")
        assert history == [(None, one, "ann"), (one, two, "ann"), (two, one, "ann"), (one, None, "bob")]

    @on_connection
    def test_tags_are_listed_in_bytewise_order_page_by_page(self, c: Connection) -> None:
        names = ["-", ".a", "0", "10", "9", "A", "B", "_", "a", "aa", "b"]
        add_manifest(c, "a", "m")
        for name in reversed(names):
            add_tag(c, "a", name, digest("m"))
        add_manifest(c, "b", "m")
        assert tags.listed(c, "a", ALL) == sorted(names) == names
        assert tags.listed(c, "a", Page(3, "")) == names[:4]
        assert tags.listed(c, "a", Page(3, "10")) == names[4:8]
        assert tags.listed(c, "a", Page(3, "b")) == []
        assert tags.listed(c, "b", ALL) == []
        assert tags.listed(c, "c", ALL) is None
        assert tags.pointing_to(c, repositories.make(c, "a", NOW), digest("m")) == names
        assert tags.pointing_to(c, repositories.make(c, "b", NOW), digest("m")) == []

    @on_connection
    def test_what_a_transaction_marks_can_be_followed(self, c: Connection) -> None:
        assert dirty.followed(c) == []
        dirty.mark(c, "a", "tag", "t", None)
        for tag in ("u", "v"):
            dirty.follow(c)
            dirty.mark(c, "a", "tag", tag, "before")
            dirty.mark(c, "a", "blob", "d", None)
            rows = dirty.followed(c)
            assert rows == dirty.since(c, 0)[-2:]
            assert rows[0].name == tag
        dirty.mark(c, "a", "tag", "t", None)
        assert dirty.followed(c) == []

    @on_connection
    def test_dirty_rows(self, c: Connection) -> None:
        start = dirty.mark_position(c)
        dirty.mark(c, "a", "tag", "t", None)
        middle = dirty.mark_position(c)
        dirty.mark(c, "a", "blob", "d", "before")
        rows = dirty.since(c, start)
        assert [(row.repository, row.kind, row.name, row.before) for row in rows] == [
            ("a", "tag", "t", None),
            ("a", "blob", "d", "before"),
        ]
        assert dirty.since(c, middle) == rows[1:]
        dirty.clean(c, [])
        dirty.clean(c, [rows[1].id, rows[1].id, 12345])
        assert dirty.since(c, start) == rows[:1]
        dirty.clean(c, [rows[0].id])
        position = dirty.mark_position(c)
        dirty.mark(c, "a", "tag", "t", None)
        (row,) = dirty.since(c, position)
        assert row.id not in {row.id for row in rows}, "a number of a row that is cleaned late must not be another's"

    @on_connection
    def test_a_manifest_and_its_removal_are_marked(self, c: Connection) -> None:
        add_manifest(c, "a", "m")
        assert moves(c) == [("manifest", digest("m"), None)]

    @on_connection
    def test_removing_a_repository(self, c: Connection) -> None:
        for name in ("a", "a/b"):
            add_blob(c, name, "x")
            add_manifest(c, name, "m", [("x", "layer")])
            add_tag(c, name, "latest", digest("m"))
            uploads.start(c, f"upload of {name}", name, NOW)
        assert uploads.of_repository(c, "a") == ["upload of a"]
        assert repositories.remove(c, "a", NOW, "bob")
        assert not repositories.remove(c, "a", NOW, "bob")
        assert repositories.numbered(c, "a") is None
        assert repositories.catalog(c, ALL) == ["a/b"]
        assert manifests.find(c, "a", digest("m")) is None
        assert blobs.find(c, "a", digest("x")) is None
        assert uploads.of_repository(c, "a") == ["upload of a"], (
            "an upload under way is ended by itself, its bytes first"
        )
        assert manifests.find(c, "a/b", "latest") is not None
        assert blobs.find(c, "a/b", digest("x")) is not None
        assert blobs.referenced(c, "a/b", [digest("x")])
        history = c.all("SELECT before, after, moved_by FROM tag_history WHERE repository = 'a' ORDER BY id")
        assert history[-1] == (digest("m"), None, "bob")

    @on_connection
    def test_a_repository_goes_when_it_is_empty_and_not_before(self, c: Connection) -> None:
        number = repositories.make(c, "a", NOW)
        add_blob(c, "a", "x")
        add_manifest(c, "a", "m")
        assert not repositories.remove_if_empty(c, number)
        assert repositories.numbered(c, "a") == number
        blobs.unlink(c, "a", digest("x"))
        repositories.remove_if_empty(c, number)
        assert repositories.numbered(c, "a") == number
        manifests.remove(c, number, "a", digest("m"))
        assert repositories.remove_if_empty(c, number)
        assert repositories.numbered(c, "a") is None

    @on_connection
    def test_uploads(self, c: Connection) -> None:
        assert uploads.find(c, "u") is None
        uploads.start(c, "u", "a", NOW)
        assert found_open(c, "u")
        first = uploads.find(c, "u")
        assert first is not None
        assert (first.id, first.repository, first.started_at, first.size, first.digest) == ("u", "a", NOW, 0, None)
        assert (first.state, first.closed, first.parts) == (b"", None, "")
        assert uploads.record(c, first, 3, digest("abc"), b"\x00s", NOW + 1, "here")
        assert not uploads.record(c, first, 4, digest("abcd"), b"", NOW + 1), "another one was quicker"
        assert not uploads.is_unchanged(c, first)
        row = uploads.find(c, "u")
        assert row is not None
        assert (row.size, row.digest, row.state, row.closed) == (3, digest("abc"), b"\x00s", None)
        assert row.parts == "here"
        uploads.close(c, "u", digest("abc", "sha512"), NOW + 2)
        assert not found_open(c, "u")
        assert not uploads.record(c, row, 4, digest("abcd"), b"", NOW)
        row = uploads.find(c, "u")
        assert row is not None
        assert (row.size, row.digest, row.closed) == (3, digest("abc"), digest("abc", "sha512"))
        assert row.parts == "", "they are the blob's now"
        assert not uploads.remove(c, row), "it was closed"
        uploads.start(c, "v", "a", NOW)
        other = uploads.find(c, "v")
        assert other is not None
        assert not uploads.remove(c, replace(other, size=1)), "somebody added to it"
        assert uploads.remove(c, other)
        assert not uploads.remove(c, other)
        assert uploads.find(c, "v") is None

    @on_connection
    def test_closed_uploads_are_remembered_for_a_while_and_open_ones_longer(self, c: Connection) -> None:
        for name in ("closed", "open"):
            uploads.start(c, name, "a", NOW)
        uploads.close(c, "closed", digest("x"), NOW)
        uploads.forget_closed(c, NOW + uploads.REMEMBERED)
        assert uploads.find(c, "closed") is not None
        uploads.forget_closed(c, NOW + uploads.REMEMBERED + 1)
        assert uploads.find(c, "closed") is None
        assert found_open(c, "open")

    @on_connection
    def test_everything_that_a_repository_has_in_the_tree(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        name = add_manifest(c, "a", "m", algorithm="sha512")
        add_tag(c, "a", "latest", name)
        add_blob(c, "b", "y")
        assert sorted(dirty.everything(c, "a")) == [
            ("blob", digest("x")),
            ("manifest", digest("m")),
            ("tag", "latest"),
        ]
        assert dirty.everything(c, "nowhere") == []

    @on_connection
    def test_single_values_and_whether_there_is_anything(self, c: Connection) -> None:
        assert meta.put_once(c, "key", "first") == "first"
        assert meta.put_once(c, "key", "second") == "first"
        assert meta.get(c, "key") == "first"
        assert repositories.are_none(c)
        repositories.make(c, "a", NOW)
        assert not repositories.are_none(c)
