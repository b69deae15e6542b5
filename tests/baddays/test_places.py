"""Places that are not a plain local disk: another machine's files, and a root where nothing can be written."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from baddays.mounts import break_disk, fuse, read_only, small_disk
from harness.content import Content, blob, digest
from harness.http import Client, Response
from harness.repository import Repository
from harness.rules import error_body
from harness.server import Server, wait_until
from serving.processes import ENGINES, MIB, workers

DATABASE = "holdfast.db"


def side_files(directory: Path) -> list[str]:
    """The files of SQLite's WAL that lie there."""
    return sorted(path.name for path in directory.glob(f"{DATABASE}-*"))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Path]:
    """A directory on a FUSE file system, where processes cannot share memory as SQLite's WAL needs it."""
    (tmp_path / "root").mkdir()
    with fuse(tmp_path / "root", tmp_path / "elsewhere"):
        yield tmp_path


@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_file_system_has_one_worker_and_no_wal(network: Path, engine: str) -> None:
    settings = {"server.engine": engine, "server.workers": "2", "storage.delete.enabled": "true"}
    with Server(network, settings) as server:
        wait_until(lambda: "one worker" in server.log_text(), "the warning")
        assert "metadata.path" in server.log_text()
        assert "mode=exclusive" in server.log_text()
        assert len(workers(server)) == 1
        repository = Repository(Client(server), "a/b")
        image = repository.push_image("latest")
        repository.push_blob(blob("remote", MIB))
        assert side_files(server.root / "holdfast") in ([], [f"{DATABASE}-journal"])
        assert repository.get("manifests/latest").expect(200).body == image.body
        server.kill()
        server.start()  # what was acknowledged is there
        assert repository.get("manifests/latest").expect(200).body == image.body
        repository.delete("manifests/latest").expect(202)


def test_a_second_server_on_a_network_file_system_is_refused(network: Path) -> None:
    with Server(network) as first:
        (network / "second").mkdir()
        second = Server(network / "second", {"storage.filesystem.rootdirectory": str(first.root)})
        second.spawn()
        assert second.wait(20) == 1
        assert f"another server uses {first.root}" in second.log_text()


@pytest.mark.parametrize("storage", ["filesystem", "inmemory"])
def test_where_one_process_has_all_a_reload_is_refused(network: Path, storage: str) -> None:
    """A new worker could not open the database beside the old one, or would not have what is in its memory."""
    with Server(network, {"storage": storage} if storage == "inmemory" else {}) as server:
        repository = Repository(Client(server), "a/b")
        repository.push_image("latest")
        before = workers(server)
        server.signal(signal.SIGHUP)
        wait_until(lambda: "restart" in server.log_text(), "the warning", 5)
        repository.push_image("after")
        assert repository.tags() == ["after", "latest"]
        assert workers(server) == before


def test_the_database_can_be_on_a_local_disk(network: Path) -> None:
    """Then several workers serve a root on a network file system."""
    local = network / "local"
    with Server(network, {"server.workers": "2", "metadata.path": str(local)}) as server:
        wait_until(lambda: "mode=" in server.log_text(), "the announcement")
        assert "mode=shared" in server.log_text()
        assert len(workers(server)) == 2
        Repository(Client(server), "a/b").push_image("latest")
        assert (local / DATABASE).is_file()
        assert not (server.root / "holdfast" / DATABASE).exists()


def filled(directory: Path, *, clean: bool) -> tuple[Content, Content]:
    """Push an image and a blob to a server in `directory`, which then ends, well or by a power cut."""
    server = Server(directory, {"server.workers": "2"}).start()
    repository = Repository(Client(server), "a/b")
    image = repository.push_image("latest")
    content = repository.push_blob(blob("read-only", MIB))
    if clean:
        server.stop()
    else:
        server.kill()
    return image, content


@pytest.mark.parametrize(("clean", "engine"), [(True, "granian"), (False, "granian"), (False, "uvicorn")])
def test_a_read_only_root_serves_pulls(tmp_path: Path, clean: bool, engine: str) -> None:
    """Also where the last server left a WAL behind that cannot be worked into the database now."""
    image, content = filled(tmp_path, clean=clean)
    root = tmp_path / "root"
    if not clean:
        assert f"{DATABASE}-wal" in side_files(root / "holdfast")
    server = Server(tmp_path, {"server.engine": engine, "server.workers": "2", "storage.delete.enabled": "true"})
    with read_only(root), server:
        client = Client(server)
        repository = Repository(client, "a/b")
        assert repository.get("manifests/latest").expect(200).body == image.body
        assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
        assert repository.tags() == ["latest"]
        client.get("/v2/_catalog").expect(200)
        repository.referrers(image.digest)
        report = client.get("/readyz").expect(200).json()
        assert (report["read"], report["write"]) == (True, False)
        assert report["reason"]
        for method, tail, body in (
            ("POST", "blobs/uploads/", b""),
            ("POST", f"blobs/uploads/?digest={content.digest}", content.body),
            ("POST", f"blobs/uploads/?mount={content.digest}&from=a/b", b""),
            ("PUT", "manifests/new", image.body),
            ("DELETE", "manifests/latest", None),
            ("DELETE", f"blobs/{content.digest}", None),
        ):
            headers = {"Content-Type": image.media_type} if method == "PUT" else {}
            answer = client.request(method, repository.url(tail), headers, body).expect(405, code="UNSUPPORTED")
            assert "read-only" in answer.json()["errors"][0]["message"]
            assert answer.headers["Allow"]
        wait_until(lambda: "serving pulls only" in server.log_text(), "the warning")
        assert "Traceback" not in server.log_text()
    with server:  # writable again
        Repository(Client(server), "a/b").push_image("after")
        assert Repository(Client(server), "a/b").tags() == ["after", "latest"]


def test_a_read_only_root_without_a_registry_stops_the_start(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with read_only(root):
        server = Server(tmp_path)
        server.spawn()
        assert server.wait(20) == 1
    assert f"cannot write to {root}" in server.log_text()
    assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_disk_with_errors_is_served_read_only(tmp_path: Path, engine: str) -> None:
    """The kernel lets nobody write to a file system in which it has found an error; the server runs meanwhile."""
    (tmp_path / "root").mkdir()
    with (
        small_disk(tmp_path / "root", 128, "errors=remount-ro") as root,
        Server(tmp_path, {"server.engine": engine}) as server,
    ):
        client = Client(server)
        repository = Repository(client, "a/b")
        image = repository.push_image("latest")
        upload = repository.open_upload()
        break_disk(root)
        assert repository.get("manifests/latest").expect(200).body == image.body
        layer = image.json()["layers"][0]["digest"]
        repository.get(f"blobs/{layer}").expect(200)
        requests: list[Callable[[], Response]] = [
            lambda: client.post(repository.url("blobs/uploads/")),
            lambda: client.patch(upload, body=b"x"),
            lambda: repository.put_manifest(image, "new"),
            lambda: client.post(repository.url(f"blobs/uploads/?digest={digest(b'x')}"), body=b"x"),
        ]
        for request in requests:
            answer = request().expect(405, 503)
            error_body(answer)
        assert repository.tags() == ["latest"]
        assert client.get("/readyz").expect(200).json()["read"] is True
        assert "Traceback" not in server.log_text()


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="changing users needs root")
def test_a_root_of_another_user_serves_pulls(tmp_path: Path) -> None:
    image, _ = filled(tmp_path, clean=True)
    for path in (tmp_path / "root", *(tmp_path / "root").rglob("*")):
        os.chown(path, 65534, 65534)
    mortal = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-chown,-fowner", "--"]  # root like anybody
    server = Server(tmp_path, command=(*mortal, sys.executable, "-m", "holdfast", "serve"))
    with server:
        client = Client(server)
        assert client.get("/v2/a/b/manifests/latest").expect(200).body == image.body
        client.post("/v2/a/b/blobs/uploads/").expect(405, code="UNSUPPORTED")
        assert "Traceback" not in server.log_text()


def test_a_root_that_goes_away_is_not_made_again(tmp_path: Path) -> None:
    """A disk that is unmounted under a running server: pushes must not land on the disk below it."""
    with Server(tmp_path, {"metadata.path": str(tmp_path / "database")}) as server:
        repository = Repository(Client(server), "a/b")
        repository.push_image("latest")
        (server.root / "docker").rename(tmp_path / "away")
        content = repository.blob()
        repository.client.post(repository.url(f"blobs/uploads/?digest={content.digest}"), body=content.body).expect(500)
        wait_until(lambda: Client(server).get("/readyz").status == 503, "a look at the disk")
        assert "is its disk not mounted?" in Client(server).get("/readyz").body.decode()
        assert not (server.root / "docker").exists()
        (tmp_path / "away").rename(server.root / "docker")
        repository.push_blob(content)
        wait_until(lambda: Client(server).get("/readyz").status == 200, "another look at the disk")
