"""A root belongs to one server at a time, and to one database for good; a reload never takes the service away."""

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


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("the database", "was filled by a registry whose database is not the one"),
        ("the tree", "is a disk not mounted?"),
        ("the tree's mark", "holds repositories that the database"),
    ],
)
def test_a_database_and_a_tree_that_do_not_belong_together_are_not_served(
    tmp_path: Path, lost: str, words: str
) -> None:
    with Server(tmp_path) as first:
        Repository(Client(first), "a/b").push_image("latest")
    tree = first.root / "docker/registry/v2"
    if lost != "the tree":
        (first.root / "holdfast").rename(tmp_path / "database")
    if lost == "the tree's mark":
        (tree / "_holdfast/instance").unlink()
    if lost == "the tree":
        tree.rename(tmp_path / "tree")
    second = another(tmp_path, "second", storage_filesystem_rootdirectory=str(first.root))
    assert words in refused(second)


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
