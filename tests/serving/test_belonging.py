"""A root belongs to one server at a time, and to one database for good; a reload never takes the service away."""

import shutil
import signal
from pathlib import Path

import pytest

from harness.http import Client
from harness.repository import Repository
from harness.server import Server, wait_until
from serving.processes import answers, kill, wait_workers, workers
from serving.test_start import refused


def another(tmp_path: Path, name: str, **settings: str) -> Server:
    """A server of its own log, with these settings (`_` for `.`)."""
    (tmp_path / name).mkdir()
    return Server(tmp_path / name, {key.replace("_", "."): value for key, value in settings.items()})


def test_a_second_server_with_a_database_of_its_own_is_refused(tmp_path: Path) -> None:
    with Server(tmp_path) as first:
        root, elsewhere = str(first.root), str(tmp_path / "elsewhere")
        second = another(tmp_path, "second", storage_filesystem_rootdirectory=root, metadata_path=elsewhere)
        assert f"another server uses {root}: process {first.pid} on " in refused(second)


def filled(tmp_path: Path, name: str, tag: str) -> Server:
    """A server that was stopped after an image was pushed to it."""
    server = another(tmp_path, name)
    with server:
        Repository(Client(server), "a/b").push_image(tag)
    return server


def test_a_database_that_knows_another_tree_is_refused(tmp_path: Path) -> None:
    first, second = filled(tmp_path, "first", "one"), filled(tmp_path, "second", "two")
    (first.root / "holdfast").rename(tmp_path / "database")
    (second.root / "holdfast").rename(first.root / "holdfast")
    assert "was filled by a registry whose database is not the one" in refused(first)


@pytest.mark.parametrize("lost", ["", "repositories", "blobs"])
def test_a_tree_that_is_gone_is_not_taken_for_an_empty_one(tmp_path: Path, lost: str) -> None:
    first = filled(tmp_path, "first", "one")
    (first.root / "docker/registry/v2" / lost).rename(tmp_path / "tree")
    (first.root / "docker/registry/v2/_holdfast").mkdir(parents=True, exist_ok=True)
    assert "is a disk not mounted?" in refused(first)
    shutil.rmtree(first.root / "docker/registry/v2" / lost, ignore_errors=True)
    (tmp_path / "tree").rename(first.root / "docker/registry/v2" / lost)
    with first:
        Repository(Client(first), "a/b").get("manifests/one").expect(200)


def test_a_lost_database_is_made_again_from_the_tree(tmp_path: Path) -> None:
    first = filled(tmp_path, "first", "one")
    shutil.rmtree(first.root / "holdfast")
    with first:
        Repository(Client(first), "a/b").get("manifests/one").expect(200)
    assert "the database is new or was lost" in first.log_text()
    with first:
        Repository(Client(first), "a/b").get("manifests/one").expect(200)
    assert first.log_text().count("the database is new or was lost") == 1


def test_a_reload_to_users_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("ann:$2y$05$qOYtqLbxOiuarq9Oay8Xq.NltPTeHGuNuC2vufTTC5IhOcO550Aj.\n")
    with Server(tmp_path, {"auth": "htpasswd", "auth.htpasswd.path": str(users)}) as server:
        users.rename(tmp_path / "gone")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "new configuration not accepted" in server.log_text(), "the refusal of the reload")
        Client(server).get("/v2/").expect(401)
        (tmp_path / "gone").rename(users)
        (before,) = workers(server)
        kill(before)
        wait_workers(server, lambda now: len(now) == 1 and before not in now)
        wait_until(lambda: answers(server), "an answer of its successor", 20)
        assert "Traceback" not in server.log_text()
