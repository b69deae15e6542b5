"""What the garbage collector's queries must answer on every database; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

from holdfast.metadata.contract import EmptyDatabase
from holdfast.metadata.contract_queries import (
    NOW,
    add_blob,
    add_manifest,
    add_tag,
    digest,
    moves,
    on_connection,
    set_state,
)
from holdfast.metadata.port import Connection
from holdfast.metadata.queries import blobs, collection, dirty, manifests, repositories
from holdfast.metadata.queries.blobs import Blob
from holdfast.metadata.queries.collection import ManifestKey, RepositoryCount
from holdfast.model.digests import Digest

LATER = NOW + 1000


def free(c: Connection, *names: str) -> list[str]:
    """Those of the blobs with these names that nothing uses or claims."""
    found = {row.digest: row for row in collection.blobs_page(c, "", 1000)}
    return [name for name in names if not (found[digest(name)].used or found[digest(name)].claimed)]


def key(c: Connection, repository: str, name: str) -> ManifestKey:
    """A manifest's key."""
    return ManifestKey(repositories.make(c, repository, NOW), repository, digest(name))


def loose(c: Connection, *names: str, before: int = LATER) -> dict[str, list[Digest]]:
    """For each manifest of repository a, the sorted digests that would go with it."""
    found = {name: collection.family(c, key(c, "a", name)) for name in names}
    return {name: sorted(family.digests) if family.loose(before) else [] for name, family in found.items()}


def digests(*names: str) -> list[Digest]:
    """Sorted digests of names."""
    return sorted(map(digest, names))


class CollectionContract(EmptyDatabase):
    """Every function of `holdfast.metadata.queries.collection`."""

    @on_connection
    def test_what_uses_a_blob(self, c: Connection) -> None:
        for name in ("config", "layer", "blob", "other", "subject", "alone", "entry", "child"):
            add_blob(c, "a", name)
        blobs.alias(c, digest("other", "sha512"), digest("other"))
        add_manifest(c, "a", "m", [("config", "config"), ("layer", "layer"), ("blob", "blob")], subject="subject")
        assert free(c, "config", "layer", "blob", "m") == []
        assert free(c, "other", "subject", "alone", "entry") == ["other", "subject", "alone", "entry"]
        add_manifest(c, "b", "index", [("entry", "manifest")])
        assert free(c, "entry") == ["entry"], "a repository that does not have it as a blob"
        add_manifest(c, "a", "cache", [("entry", "manifest")])
        assert free(c, "entry") == []
        number = repositories.make(c, "a", NOW)
        c.run(
            "INSERT INTO manifest_references VALUES (?, ?, ?, 'layer')", number, digest("m"), digest("other", "sha512")
        )
        assert free(c, "other") == [], "by its other digest"
        blobs.claim(c, "push", digest("alone"), 10, NOW)
        assert free(c, "alone") == []
        blobs.release(c, "push")
        assert free(c, "alone") == ["alone"]

    @on_connection
    def test_users_and_uses(self, c: Connection) -> None:
        for name in ("x", "y"):
            add_blob(c, "a", name)
        blobs.alias(c, digest("y", "sha512"), digest("y"))
        add_manifest(c, "a", "m", [("x", "layer")])
        add_manifest(c, "b", "n", [("x", "config")])
        one, two = key(c, "a", "m"), key(c, "b", "n")
        c.run(
            "INSERT INTO manifest_references VALUES (?, ?, ?, 'layer')",
            two.repository_id,
            two.digest,
            digest("y", "sha512"),
        )
        assert collection.users(c, digest("x")) == {(one.repository_id, one.digest), (two.repository_id, two.digest)}
        assert collection.users(c, digest("y")) == {(two.repository_id, two.digest)}
        assert collection.users(c, digest("m")) == {(one.repository_id, one.digest)}
        assert collection.users(c, digest("z")) == set()
        assert collection.uses(c, one) == {digest("m"), digest("x")}
        assert collection.uses(c, two) == {digest("n"), digest("x"), digest("y")}

    @on_connection
    def test_pages_of_blobs_leave_out_those_being_deleted(self, c: Connection) -> None:
        for name in "vwxyz":
            add_blob(c, "a", name)
        set_state(c, "x", "deleting")
        set_state(c, "y", "quarantined")
        found = collection.blobs_page(c, "", 3)
        found += collection.blobs_page(c, found[-1].digest, 3)
        assert [row.digest for row in found] == digests("v", "w", "y", "z")
        assert {(row.size, row.touched, row.claimed, row.used) for row in found} == {(10, NOW, False, False)}
        assert collection.deleting(c, 5) == [Blob(digest("x"), 10)]
        assert collection.deleting(c, 0) == []

    @on_connection
    def test_deleting_a_blob(self, c: Connection) -> None:
        for repository in ("a", "b"):
            add_blob(c, repository, "x")
        blobs.alias(c, digest("x", "sha512"), digest("x"))
        add_blob(c, "b", "y")
        position = dirty.mark_position(c)
        assert collection.start_deletion(c, digest("x"), NOW - 1) is None, "too young"
        assert collection.start_deletion(c, digest("z"), NOW) is None
        assert collection.start_deletion(c, digest("x"), NOW) == Blob(digest("x"), 10)
        assert collection.start_deletion(c, digest("x"), NOW) is None, "once is enough"
        assert [(row.repository, row.kind, row.name) for row in dirty.since(c, position)] == [
            ("a", "blob", digest("x")),
            ("a", "repository", "a"),
            ("b", "blob", digest("x")),
        ]
        assert repositories.numbered(c, "a") is None
        assert blobs.find(c, "b", digest("x")) is None
        collection.end_deletion(c, digest("x"))
        collection.end_deletion(c, digest("y"))
        assert blobs.aliases(c, digest("x")) == []
        assert collection.unknown(c, [digest("x"), digest("y")]) == [digest("x")]

    @on_connection
    def test_nothing_in_use_is_deleted(self, c: Connection) -> None:
        for name in ("layer", "claimed"):
            add_blob(c, "a", name)
        add_manifest(c, "a", "m", [("layer", "layer")])
        blobs.claim(c, "push", digest("claimed"), 10, NOW)
        for name in ("layer", "claimed", "m"):
            assert collection.start_deletion(c, digest(name), LATER) is None

    @on_connection
    def test_a_use_makes_a_blob_young(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        for name in (digest("x"), digest("y")):
            assert blobs.untouched(c, name, NOW) == (name == digest("x"))
            assert not blobs.untouched(c, name, NOW - 1)
        assert not blobs.link(c, "a", digest("x"), NOW + 1)
        assert collection.start_deletion(c, digest("x"), NOW) is None
        assert blobs.touch(c, "a", digest("x"), NOW + 2)
        assert collection.start_deletion(c, digest("x"), NOW + 1) is None
        assert not blobs.touch(c, "b", digest("x"), LATER)
        assert collection.start_deletion(c, digest("x"), NOW + 2) is not None
        assert not blobs.touch(c, "a", digest("x"), LATER)
        assert collection.deleting(c, 5) == [Blob(digest("x"), 10)]

    @on_connection
    def test_a_deletion_is_taken_back(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        collection.start_deletion(c, digest("x"), NOW)
        blobs.claim(c, "push", digest("x"), 10, LATER, revive=True)
        assert blobs.claimed(c, "push") == Blob(digest("x"), 10)
        assert collection.deleting(c, 5) == []
        collection.end_deletion(c, digest("x"))
        assert collection.unknown(c, [digest("x")]) == []

    @on_connection
    def test_strays(self, c: Connection) -> None:
        names = [digest(f"x{number}") for number in range(1200)]
        assert collection.unknown(c, names) == names
        add_blob(c, "a", "x7")
        assert collection.unknown(c, names) == [*names[:7], *names[8:]]
        assert not collection.start_deletion_of_stray(c, Blob(digest("x7"), 5), NOW)
        assert collection.start_deletion_of_stray(c, Blob(digest("x8"), 5), NOW)
        assert not collection.start_deletion_of_stray(c, Blob(digest("x8"), 5), NOW)
        assert collection.deleting(c, 5) == [Blob(digest("x8"), 5)]

    @on_connection
    def test_pages_of_untagged_manifests(self, c: Connection) -> None:
        for name in "klmn":
            add_manifest(c, "a", name)
        add_manifest(c, "b", "k")
        add_tag(c, "a", "latest", digest("l"))
        found, after = [], (0, "")
        while True:
            some, follows = collection.untagged(c, after, 2)
            found += some
            if follows is None:
                break
            after = follows
        assert [(one.repository, one.digest) for one in found] == [
            *(("a", name) for name in digests("k", "m", "n")),
            ("b", digest("k")),
        ]

    @on_connection
    def test_what_no_tag_reaches(self, c: Connection) -> None:
        for name in ("one", "two", "left"):
            add_manifest(c, "a", name)
        add_manifest(c, "a", "inner", [("one", "manifest")])
        add_manifest(c, "a", "outer", [("inner", "manifest"), ("two", "manifest")])
        add_manifest(c, "a", "signature", subject="one")
        add_manifest(c, "a", "of-signature", subject="signature")
        add_manifest(c, "a", "of-nothing", subject="not-there")
        family = ("one", "two", "inner", "outer", "signature", "of-signature")
        assert loose(c, *family, "left", "of-nothing") == {
            "one": digests("one", "inner", "outer"),
            "two": digests("two", "outer"),
            "inner": digests("inner", "outer"),
            "outer": digests("outer"),
            "signature": digests("signature", "one", "inner", "outer"),
            "of-signature": digests("of-signature", "signature", "one", "inner", "outer"),
            "left": digests("left"),
            "of-nothing": digests("of-nothing"),
        }
        add_tag(c, "a", "latest", digest("outer"))
        assert not any(loose(c, *family).values())
        assert loose(c, "left") == {"left": digests("left")}
        assert loose(c, "left", before=NOW - 1) == {"left": []}

    @on_connection
    def test_a_young_index_keeps_its_entries(self, c: Connection) -> None:
        add_manifest(c, "a", "child")
        add_manifest(c, "a", "index", [("child", "manifest")])
        c.run("UPDATE manifests SET pushed_at = ? WHERE digest = ?", LATER, digest("index"))
        assert loose(c, "child", "index", before=NOW) == {"child": [], "index": []}

    @on_connection
    def test_an_entry_by_the_other_digest_of_its_bytes(self, c: Connection) -> None:
        name = add_manifest(c, "a", "child", algorithm="sha512")
        add_manifest(c, "a", "index", [("child", "manifest")])
        add_tag(c, "a", "latest", digest("index"))
        family = collection.family(c, ManifestKey(repositories.make(c, "a", NOW), "a", name))
        assert (sorted(family.digests), family.pushed, family.tagged) == (sorted([name, digest("index")]), NOW, True)
        nothing = collection.family(c, key(c, "a", "not there"))
        assert (nothing.digests, nothing.loose(LATER)) == ((), True)

    @on_connection
    def test_removing_what_no_tag_reaches(self, c: Connection) -> None:
        add_manifest(c, "a", "child")
        add_manifest(c, "a", "index", [("child", "manifest")])
        add_manifest(c, "a", "kept")
        add_tag(c, "a", "latest", digest("kept"))
        dirty.clean(c, [row.id for row in dirty.since(c, 0)])
        assert collection.remove_family(c, key(c, "a", "kept"), LATER) == []
        assert sorted(collection.remove_family(c, key(c, "a", "child"), LATER)) == digests("child", "index")
        assert manifests.find(c, "a", digest("child")) is None
        assert sorted(moves(c)) == [("manifest", name, None) for name in digests("child", "index")]
        assert collection.repositories_page(c, "", 5) == [RepositoryCount("a", 1, 1)]
        add_manifest(c, "b", "only")
        assert collection.repositories_page(c, "a", 5) == [RepositoryCount("b", 1, 0)]
        assert collection.repositories_page(c, "", 1) == [RepositoryCount("a", 1, 1)]
        assert collection.remove_family(c, key(c, "b", "only"), LATER) == [digest("only")]
        assert repositories.numbered(c, "b") is None
        assert moves(c)[-1] == ("repository", "b", None)
