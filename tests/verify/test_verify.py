"""`holdfast verify`: what it finds, what it mends, and what it leaves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.http import Client
from harness.repository import Repository
from harness.server import wait_until
from verify.spoilt import Stopped, remove, stopped


def flip(path: Path) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@dataclass(frozen=True)
class Damage:
    """A way to spoil a registry: what is found, and what is still wrong after the repair (nothing: it was mended)."""

    spoil: Callable[[Stopped], object]
    found: str
    left: str = ""


NO_LINK, LACKING = "a link is missing or wrong", "an image that lacks blobs"
DAMAGED = "a blob whose bytes do not have its digest"

DAMAGES = {
    "a tag's link is gone": Damage(lambda it: remove(it.tag_link().parent.parent), NO_LINK),
    "a tag's link is empty": Damage(lambda it: it.tag_link().write_text(""), NO_LINK),
    "a manifest's link is gone": Damage(lambda it: remove(it.revision(it.image)), NO_LINK),
    "a layer's link is gone": Damage(lambda it: remove(it.layer_link()), NO_LINK),
    "a manifest's bytes are gone": Damage(lambda it: remove(it.blob_file(it.image)), "a blob whose bytes are gone"),
    "a manifest's bytes are damaged": Damage(lambda it: flip(it.blob_file(it.image)), DAMAGED),
    "a layer's bytes are gone": Damage(
        lambda it: remove(it.blob_file(it.layer)), "a blob whose bytes are gone", LACKING
    ),
    "a layer's bytes are damaged": Damage(lambda it: flip(it.blob_file(it.layer)), DAMAGED, LACKING),
    "a tag that only the tree has": Damage(
        lambda it: it.tag_link().parent.parent.rename(it.tag_link("v2").parent.parent), NO_LINK
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damage_is_found_and_mended(tmp_path: Path, damage: Damage) -> None:
    it = stopped(tmp_path)
    assert it.report("verify")["found"]["skipped"] == {}
    damage.spoil(it)
    assert damage.found in it.report("verify", status=1)["found"]["skipped"]
    left = it.report("verify", "--repair", status=1 if damage.left else 0)["left"]["skipped"]
    assert set(left) == ({damage.left} if damage.left else set())
    if damage.left:
        with it.server as server:
            repository = Repository(Client(server), "a/b")
            repository.get(f"blobs/{it.layer.digest}").expect(404)
            repository.push_blob(it.layer)
        assert it.report("verify")["found"]["skipped"] == {}
    it.pull_all()


def test_a_tag_that_registry2_moved_is_taken_over(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    it.tag_link().write_text(it.artifact.digest)
    assert "a tag that the tree has elsewhere" in it.report("verify", "--repair")["found"]["skipped"]
    with it.server as server:
        answer = Repository(Client(server), "a/b").get("manifests/v1").expect(200)
    assert answer.body == it.artifact.body


def test_bytes_that_are_right_again_are_served_again(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    content = it.blob_file(it.layer).read_bytes()
    flip(it.blob_file(it.layer))
    it.report("verify", "--repair", status=1)
    it.blob_file(it.layer).write_bytes(content)
    assert it.report("verify", "--repair")["left"]["skipped"] == {}
    it.pull_all()


def test_a_repair_needs_the_tree(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    (it.server.root / "docker").rename(tmp_path / "away")
    refused = it.command("verify", "--repair")
    assert refused.returncode == 1
    assert "is a disk not mounted?" in refused.stderr
    remove(it.server.root / "docker")
    (tmp_path / "away").rename(it.server.root / "docker")
    it.pull_all()


def test_bytes_are_read_unless_told_otherwise(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    flip(it.blob_file(it.layer))
    assert it.report("verify", "--no-bytes")["found"]["skipped"] == {}
    it.report("verify", status=1)


def test_a_damaged_database_is_told(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    database = it.server.root / "holdfast/holdfast.db"
    content = bytearray(database.read_bytes())
    for page in range(3, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    database.write_bytes(content)
    result = it.command("verify")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "database" in result.stdout + result.stderr


def test_beside_a_running_server_that_takes_pushes(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    with it.server as server:
        wait_until(lambda: Client(server).get("/readyz").status == 200, "the server")
        repository = Repository(Client(server), "a/b")
        for number in range(5):
            repository.push_image(f"more-{number}")
        assert it.report("verify")["found"]["skipped"] == {}
        remove(it.layer_link())
        found = it.report("verify", status=1)["found"]
    assert found["skipped"][NO_LINK]["examples"] == [f"a/b: blob {it.layer.digest}"]


def test_people_read_what_is_wrong(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    flip(it.blob_file(it.layer))
    result = it.command("verify")
    assert result.returncode == 1
    assert f"{DAMAGED}: 1\n  {it.layer.digest}" in result.stdout
