"""`holdfast export`: the tree is written again from the database."""

from collections.abc import Callable
from pathlib import Path

import pytest

from verify.spoilt import Stopped, remove, stopped

DAMAGES: dict[str, Callable[[Stopped], object]] = {
    "all repositories": lambda it: remove(it.tree / "repositories"),
    "a tag": lambda it: remove(it.tag_link().parent.parent),
    "an empty tag link": lambda it: it.tag_link().write_text(""),
    "a manifest's link": lambda it: remove(it.revision(it.image)),
    "a media type": lambda it: remove(it.revision(it.artifact)),
    "a layer's link": lambda it: remove(it.layer_link()),
    "a manifest's bytes": lambda it: remove(it.blob_file(it.image)),
}


def files(root: Path) -> dict[str, bytes]:
    """What registry:2 reads, by path."""
    tree = root / "docker/registry/v2"
    found = [*(tree / "repositories").rglob("*"), *(tree / "blobs").rglob("*")]
    return {str(path.relative_to(tree)): path.read_bytes() for path in found if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_what_was_lost_is_written_again(tmp_path: Path, damage: Callable[[Stopped], object]) -> None:
    it = stopped(tmp_path)
    before = files(it.server.root)
    damage(it)
    assert files(it.server.root) != before
    it.report("export")
    assert files(it.server.root) == before
    assert it.report("export")["numbers"] == {"repositories": 1}
    it.pull_all()


def test_a_tag_that_registry2_moved_stays_there_unless_told_otherwise(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    before = files(it.server.root)
    it.tag_link().write_text(it.artifact.digest)
    report = it.report("export")
    assert report["skipped"]["a tag that the tree has elsewhere"]["examples"] == ["a/b: v1"]
    assert it.tag_link().read_text() == it.artifact.digest
    it.report("export", "--overwrite")
    assert files(it.server.root) == before


def test_a_tree_that_the_database_does_not_know_is_not_written(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    before = files(it.server.root)
    remove(it.server.root / "holdfast")
    for arguments in ([], ["--prune"]):
        refused = it.command("export", *arguments)
        assert refused.returncode == 1
        assert "let `holdfast import` read it first" in refused.stderr
    assert files(it.server.root) == before
    it.report("import")
    it.report("export", "--prune")
    assert files(it.server.root) == before


def test_links_that_the_database_does_not_know_stay_unless_pruned(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    before = files(it.server.root)
    extra = it.tag_link("v2")
    extra.parent.mkdir(parents=True)
    extra.write_text(it.image.digest)
    report = it.report("export")
    assert report["skipped"]["a link that the database does not know"]["examples"] == ["a/b: tag v2"]
    assert extra.exists()
    assert it.report("export", "--prune")["numbers"]["links removed"] == 1
    assert files(it.server.root) == before


def test_a_running_server_is_left_alone(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    with it.server as server:
        for command in ("export", "import", "verify --repair"):
            result = it.command(*command.split())
            assert result.returncode == 1
            assert f"another server uses {server.root}: process {server.pid}" in result.stderr
