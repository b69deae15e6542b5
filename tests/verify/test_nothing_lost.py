"""What could be taken for deleted at a start, and is not. Each test leaves a directory as a crash, registry:2 or a disk would."""

import os
import shutil
from pathlib import Path

import apsw
import pytest

from harness.http import Client
from harness.repository import Repository
from holdfast.model.digests import Digest
from holdfast.storage import paths
from verify.spoilt import Stopped, remove, stopped


def execute(it: Stopped, sql: str, *values: str) -> None:
    """Change the database of a stopped server."""
    connection = apsw.Connection(str(it.server.root / "holdfast/holdfast.db"))
    try:
        connection.execute(sql, values)
        assert connection.changes() == 1
    finally:
        connection.close()


def test_a_layer_whose_deletion_was_cut_off_and_that_registry2_took_again(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    execute(it, "UPDATE blobs SET state = 'deleting' WHERE digest = ?", it.layer.digest)
    execute(it, "DELETE FROM repository_blobs WHERE digest = ?", it.layer.digest)
    it.pull_all()
    assert it.command("garbage-collect", "--grace", "0s").returncode == 0
    it.pull_all()


@pytest.mark.parametrize("kind", ["repository", "manifest", "blob", "tag"])
def test_what_registry2_pushed_again_after_a_deletion_whose_links_stayed(tmp_path: Path, kind: str) -> None:
    """The server was killed between the deletion and the removal of its link, before it answered."""
    it = stopped(tmp_path)
    names = {"repository": "a/b", "manifest": it.image.digest, "blob": it.layer.digest, "tag": "v1"}
    with it.server as server:
        Repository(Client(server), "a/b").push_image("other")
    saved = tmp_path / "saved"
    shutil.copytree(it.tree / "repositories", saved)
    with it.server as server:
        repository = Repository(Client(server), "a/b")
        if kind == "repository":
            repository.client.delete("/v2/a/b/_holdfast/repository").expect(202)
        elif kind == "tag":
            repository.delete("manifests/v1").expect(202)
        else:
            repository.delete(f"manifests/{it.image.digest}").expect(202)
        if kind == "blob":
            repository.delete(f"blobs/{it.layer.digest}").expect(202)
    remove(it.tree / "repositories")
    saved.rename(it.tree / "repositories")
    execute(it, "INSERT INTO dirty (repository, kind, name) VALUES ('a/b', ?, ?)", kind, names[kind])
    it.pull_all()


def test_a_deletion_that_was_answered_leaves_no_doubt(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    with it.server as server:
        Repository(Client(server), "a/b").delete("manifests/v1").expect(202)
        server.kill()
    connection = apsw.Connection(str(it.server.root / "holdfast/holdfast.db"))
    assert list(connection.execute("SELECT * FROM dirty")) == []
    assert not it.tag_link().exists()


def test_a_disk_that_a_symbolic_link_leads_to_is_not_mounted(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    (it.tree / "repositories/a").rename(tmp_path / "disk")
    (it.tree / "repositories/a").symlink_to(tmp_path / "disk")
    it.pull_all()
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    with it.server as server:
        Repository(Client(server), "a/b").get("manifests/v1").expect(200)
    assert "cannot be read, so nobody can tell" in it.command("garbage-collect", "--grace", "0s").stderr
    (tmp_path / "unmounted").rename(tmp_path / "disk")
    it.pull_all()


def test_a_damaged_tag_stays_where_the_database_has_it(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    it.tag_link().write_text("")
    shutil.rmtree(it.tag_link().parent.parent / "index")
    it.pull_all()
    assert it.tag_link().read_text() == it.image.digest


def test_a_manifest_that_cannot_be_read_keeps_its_tag_and_its_layers(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    link = it.revision(it.image) / "link"
    link.unlink()
    link.mkdir()
    with it.server as server:
        assert Repository(Client(server), "a/b").tags() == ["v1"]
    link.rmdir()
    link.write_text(it.image.digest)
    it.pull_all()


def test_a_part_of_the_blobs_that_was_removed_is_missed(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    remove(it.blob_file(it.image).parent.parent)
    remove(it.blob_file(it.layer).parent.parent)
    with it.server as server:
        repository = Repository(Client(server), "a/b")
        assert repository.get("manifests/v1").expect(200).body == it.image.body
        repository.head(f"blobs/{it.layer.digest}").expect(404)
        repository.push_blob(it.layer)
    assert it.blob_file(it.image).read_bytes() == it.image.body
    it.pull_all()


def test_a_pipe_among_the_blobs_does_not_hold_up_the_start(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    digest = Digest(f"sha256:{'0' * 64}")
    pipe = it.tree / paths.blob(digest)
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    link = it.tree / paths.revision("a/b", digest) / "link"
    link.parent.mkdir(parents=True)
    link.write_text(digest)
    it.pull_all()


def test_a_push_that_was_killed_before_anything_was_in_place(tmp_path: Path) -> None:
    """A claim, and no directory for blobs yet."""
    it = stopped(tmp_path)
    for table in ("tags", "manifest_references", "manifests", "repository_blobs", "repositories"):
        connection = apsw.Connection(str(it.server.root / "holdfast/holdfast.db"))
        connection.execute(f"DELETE FROM {table}")
        connection.close()
    remove(it.tree / "blobs")
    remove(it.tree / "repositories")
    with it.server as server:
        Repository(Client(server), "a/b").push_image("first")


def test_a_database_on_the_tree_of_another_registry_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    it, other = stopped(tmp_path), stopped(tmp_path / "other")
    (other.tree / "repositories/a").rename(other.tree / "repositories/z")
    (other.tree / "_holdfast/instance").unlink()
    remove(it.server.root / "docker")
    shutil.copytree(other.server.root / "docker", it.server.root / "docker")
    refused = it.command("import")
    assert refused.returncode == 1
    assert "has none of the repositories that the database" in refused.stderr
