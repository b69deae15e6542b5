"""What the queries of an import must answer on every database; implementations subclass this in their tests."""
# ruff: noqa: S101 - a suite of tests

from holdfast.metadata.contract import EmptyDatabase
from holdfast.metadata.contract_queries import (
    NOW,
    add_blob,
    add_manifest,
    add_tag,
    digest,
    found_open,
    on_connection,
    set_state,
)
from holdfast.metadata.port import Connection
from holdfast.metadata.queries import blobs, dirty, imports, manifests, meta, repositories, uploads
from holdfast.metadata.queries.blobs import Blob


class ImportsContract(EmptyDatabase):
    """Every function of `holdfast.metadata.queries.imports`."""

    @on_connection
    def test_all_that_is_known_of_a_repository(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        name = add_manifest(c, "a", "m", algorithm="sha512")
        add_manifest(c, "a", "m")
        add_tag(c, "a", "latest", name)
        add_blob(c, "a/b", "y")
        blobs.alias(c, digest("x", "sha512"), digest("x"))
        blobs.alias(c, digest("y", "sha512"), digest("y"))
        uploads.start(c, "upload", "a", NOW)
        uploads.start(c, "another", "b", NOW)
        found = imports.known(c, "a")
        assert found.blobs == {digest("x")}
        assert found.names == {digest("x"), digest("x", "sha512")}
        assert found.uploads == {"upload"}
        assert found.manifests == {digest("m"): [digest("m"), name]}
        assert found.tags == {"latest": name}
        assert imports.known(c, "nowhere") == imports.Known()

    @on_connection
    def test_names_page_by_page_whatever_is_in_them(self, c: Connection) -> None:
        assert imports.names(c, "", 2) == []
        for name in ("b", "a/b", "a", "a-b"):
            repositories.make(c, name, NOW)
        assert imports.names(c, "", 3) == ["a", "a-b", "a/b"]
        assert imports.names(c, "a/b", 3) == ["b"]

    @on_connection
    def test_blobs_by_the_begin_of_their_digests(self, c: Connection) -> None:
        for name, state in (("x", "live"), ("y", "condemned"), ("z", "deleting"), ("w", "quarantined")):
            imports.store(c, digest(name), 7, NOW)
            set_state(c, name, state)
        assert imports.stored(c, "sha256:") == {digest("x"): 7, digest("y"): 7}
        assert imports.stored(c, digest("x")[:9]) == {digest("x"): 7}
        assert imports.present(c, [digest(name) for name in "xyzwv"]) == {digest("x"): 7, digest("y"): 7}
        assert imports.present(c, []) == {}

    @on_connection
    def test_a_blob_is_stored_with_its_size_unless_it_is_being_deleted_or_is_damaged(self, c: Connection) -> None:
        imports.store(c, digest("x"), 7, NOW)
        imports.store(c, digest("x"), 8, NOW + 1)
        assert imports.stored(c, "sha256:") == {digest("x"): 8}
        set_state(c, "x", "deleting")
        imports.store(c, digest("x"), 9, NOW)
        set_state(c, "x", "live")
        assert imports.stored(c, "sha256:") == {digest("x"): 8}

    @on_connection
    def test_a_link_to_a_blob_that_is_there(self, c: Connection) -> None:
        imports.store(c, digest("x"), 7, NOW)
        number = repositories.make(c, "a", NOW)
        imports.link(c, number, digest("x"), NOW)
        imports.link(c, number, digest("x"), NOW + 1)
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 7)

    @on_connection
    def test_a_blob_that_is_gone_is_gone_everywhere(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        add_blob(c, "b", "x")
        blobs.alias(c, digest("x", "sha512"), digest("x"))
        assert imports.lose(c, digest("x"))
        assert not imports.lose(c, digest("x"))
        assert imports.stored(c, "sha256:") == {}
        assert imports.known(c, "a").blobs == set()
        assert blobs.aliases(c, digest("x")) == []

    @on_connection
    def test_bytes_of_a_manifest_that_are_gone_can_be_had_from_the_database(self, c: Connection) -> None:
        add_manifest(c, "a", "m")
        assert not imports.lose(c, digest("m"))
        assert imports.payload(c, digest("m")) == b"m"
        manifests.remove(c, repositories.make(c, "a", NOW), "a", digest("m"))
        assert imports.payload(c, digest("m")) is None
        assert imports.lose(c, digest("m"))

    @on_connection
    def test_a_claimed_blob_stays(self, c: Connection) -> None:
        blobs.claim(c, "holder", digest("x"), 7, NOW)
        assert not imports.lose(c, digest("x"))
        blobs.release(c, "holder")
        assert imports.lose(c, digest("x"))

    @on_connection
    def test_what_was_read_need_not_be_written(self, c: Connection) -> None:
        assert imports.is_clean(c)
        dirty.mark(c, "a", "tag", "old", None)
        begin = dirty.mark_position(c)
        dirty.mark(c, "a", "tag", "new", None)
        imports.forget_dirty(c, begin)
        assert [row.name for row in dirty.since(c, 0)] == ["old"]
        assert not imports.is_clean(c)

    @on_connection
    def test_a_single_value_is_forgotten(self, c: Connection) -> None:
        meta.put(c, "key", "value")
        meta.remove(c, "key")
        meta.remove(c, "key")
        assert meta.get(c, "key") is None

    @on_connection
    def test_a_damaged_blob_is_not_served_until_it_is_pushed_again(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        imports.quarantine(c, digest("x"))
        assert imports.has_blob(c, digest("x"))
        assert not imports.has_blob(c, digest("y"))
        assert blobs.find(c, "a", digest("x")) is None
        assert blobs.missing(c, "a", [digest("x")]) == [digest("x")]
        assert imports.is_quarantined(c, digest("x"))
        blobs.claim(c, "push", digest("x"), 10, NOW)
        assert blobs.find(c, "a", digest("x")) is None, "its bytes are not in place yet"
        blobs.settle(c, "push", digest("x"))
        assert blobs.claimed(c, "push") is None
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 10)
        assert not imports.is_quarantined(c, digest("x"))
        imports.release(c, digest("x"))
        imports.quarantine(c, digest("x"))
        imports.release(c, digest("x"))
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 10)

    @on_connection
    def test_a_blob_whose_deletion_was_not_finished_is_taken_back(self, c: Connection) -> None:
        for name in "xyz":
            add_blob(c, "a", name)
            set_state(c, name, "deleting" if name in "xy" else "quarantined")
        assert imports.deleting(c, "sha256:") == {digest("x"), digest("y")}
        assert imports.revive(c, [digest(name) for name in "xz"]) == 1
        assert imports.deleting(c, "sha256:") == {digest("y")}
        assert blobs.find(c, "a", digest("x")) == Blob(digest("x"), 10)

    @on_connection
    def test_whether_anything_has_bytes(self, c: Connection) -> None:
        imports.store(c, digest("x"), 7, NOW)
        assert not imports.has_blobs(c)
        imports.link(c, repositories.make(c, "a", NOW), digest("x"), NOW)
        assert imports.has_blobs(c)

    @on_connection
    def test_a_link_that_was_written_later_makes_its_blob_younger(self, c: Connection) -> None:
        imports.store(c, digest("x"), 7, NOW)
        number = repositories.make(c, "a", NOW)
        imports.link(c, number, digest("x"), NOW + 5)
        imports.link(c, number, digest("x"), NOW + 2)
        assert blobs.untouched(c, digest("x"), NOW + 5)
        assert not blobs.untouched(c, digest("x"), NOW + 4)

    @on_connection
    def test_what_a_dirty_row_tells_of_is_known_or_was_deleted(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        add_tag(c, "a", "latest", add_manifest(c, "a", "m", algorithm="sha512"))
        rows = [
            ("blob", digest("x")),
            ("manifest", digest("m")),
            ("tag", "latest"),
            ("repository", "a"),
            ("tag", "old"),
        ]
        found = [dirty.is_known(c, dirty.DirtyRow(0, "a", kind, name, None)) for kind, name in rows]
        assert found == [True, True, True, False, False]

    @on_connection
    def test_manifests_that_lack_blobs(self, c: Connection) -> None:
        add_blob(c, "a", "config")
        blobs.alias(c, digest("config", "sha512"), digest("config"))
        add_blob(c, "b", "layer")
        whole = add_manifest(c, "a", "whole", [("config", "config"), ("child", "manifest")], subject="subject")
        other = add_manifest(c, "a", "other", [("layer", "layer")])
        assert imports.lacking(c, "a") == [other]
        assert imports.lacking(c, "nowhere") == []
        set_state(c, "config", "quarantined")
        assert sorted(imports.lacking(c, "a")) == sorted([whole, other])

    @on_connection
    def test_what_is_protected_is_claimed_until_it_is_not(self, c: Connection) -> None:
        add_blob(c, "a", "x")
        imports.protect(c, "a@digest", [digest("x"), digest("not there")], NOW)
        imports.protect(c, "a@digest", [digest("x")], NOW)
        blobs.release_all(c)
        assert blobs.claimed(c, f"{imports.PROTECTED}a@digest") == Blob(digest("x"), 10)
        assert imports.is_protected(c)
        imports.unprotect(c)
        assert not imports.is_protected(c)
        assert blobs.claimed(c, f"{imports.PROTECTED}a@digest") is None

    @on_connection
    def test_an_upload_of_another_registry_is_recorded_once_and_grows_old(self, c: Connection) -> None:
        assert imports.take_upload(c, "upload", "a", NOW)
        assert not imports.take_upload(c, "upload", "b", NOW + 1)
        assert found_open(c, "upload")
        assert uploads.untouched(c, NOW + 1, 10) == [("upload", "a")]

    @on_connection
    def test_a_deletion_is_answered_before_its_link_is_removed(self, c: Connection) -> None:
        for name in ("one", "two"):
            dirty.mark(c, "a", "tag", name, None)
        dirty.acknowledge(c, [row.id for row in dirty.since(c, 0) if row.name == "two"])
        rows = dirty.since(c, 0)
        assert [row.acknowledged for row in rows] == [False, True]
        assert dirty.some(c, 0, 1) == rows[:1]
        assert dirty.some(c, rows[0].id, 5) == rows[1:]
