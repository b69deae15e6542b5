"""A full disk: pushes are refused before nothing at all is left, the rest goes on, and it recovers by itself."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from baddays.mounts import small_disk
from baddays.watch import Watch, upload_directories
from harness.content import Content, blob, image
from harness.http import Client
from harness.repository import Repository, with_query
from harness.rules import error_body
from harness.server import Server, wait_until
from serving.processes import ENGINES, MIB

RESERVE = 16 * MIB
DISK = 96


@pytest.fixture(params=ENGINES)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server on a disk of 96 MiB that keeps 16 MiB free; the test fills it with `fill`."""
    settings = {
        "server.engine": request.param,
        "storage.filesystem.minfree": str(RESERVE),
        "storage.delete.enabled": "true",
    }
    with ExitStack() as stack:
        (tmp_path / "root").mkdir()
        stack.enter_context(small_disk(tmp_path / "root", DISK))
        server = stack.enter_context(Server(tmp_path, settings))
        Repository(Client(server), "a/b").push_image("latest")
        yield server


def free(server: Server) -> int:
    """The bytes that are free on the server's disk."""
    state = os.statvfs(server.root)
    return state.f_bavail * state.f_frsize


def fill(server: Server, leave: int) -> Path:
    """Take room away as another program would, until `leave` bytes are free: the file that takes it."""
    path = server.root / "something-else"
    with path.open("wb", buffering=0) as file:
        piece = MIB
        while (room := free(server) - leave) > 0 and piece >= 1024:
            try:
                file.write(bytes(min(piece, room)))
                os.fsync(file.fileno())
            except OSError:
                piece //= 2  # the file system needs some for itself
    return path


def refused(client: Client, method: str, target: str, body: bytes | None = b"x" * 1000, **headers: str) -> None:
    """A request must be answered with 507, told in the protocol's form."""
    answer = client.request(method, target, headers, body).expect(507, code="DENIED")
    assert "room" in answer.json()["errors"][0]["message"]
    error_body(answer)


def test_pushes_are_refused_and_the_rest_goes_on(full: Server) -> None:
    client = Client(full)
    repository = Repository(client, "a/b")
    held = repository.push_blob(blob("held", 100_000))
    pending = client.patch(repository.open_upload(), body=bytes(1000)).expect(202).headers["Location"]
    ready = image(repository.push_blob(blob("config", 100)), [held])
    eater = fill(full, RESERVE - MIB)

    with Watch(full) as watch:
        new = blob("new", 1000)
        refused(client, "POST", repository.url("blobs/uploads/"), b"")
        refused(client, "POST", repository.url(f"blobs/uploads/?digest={new.digest}"), new.body)
        refused(client, "PATCH", pending)
        refused(client, "PUT", with_query(pending, f"digest={new.digest}"), new.body)
        refused(client, "PUT", repository.url("manifests/new"), ready.body, **{"Content-Type": ready.media_type})
        assert not watch.new_uploads()
    report = client.get("/readyz").expect(200).json()
    assert report["read"] is True
    assert report["write"] is False
    assert "minfree" in report["reason"]

    repository.get("manifests/latest").expect(200)
    assert repository.get(f"blobs/{held.digest}").expect(200).body == held.body
    assert repository.tags() == ["latest"]
    client.get(pending).expect(204)
    client.delete(pending).expect(204)
    repository.delete("manifests/latest").expect(202)
    repository.delete(f"blobs/{held.digest}").expect(202)
    repository.head(f"blobs/{held.digest}").expect(404)

    eater.unlink()  # room again: nobody restarts anything
    assert client.get("/readyz").expect(200).json() == {"read": True, "write": True}
    repository.push_image("after")


def test_a_running_upload_stops_before_the_reserve_is_eaten(full: Server) -> None:
    """Without Content-Length the size is not known before."""
    client = Client(full)
    repository = Repository(client, "a/b")
    upload = repository.open_upload()
    piece = bytes(MIB)
    answer = client.patch(upload, body=(piece for _ in range(2 * DISK)))
    answer.expect(507, code="DENIED")
    assert client.get(upload).expect(204).headers["Range"] == "0-0"
    wait_until(lambda: free(full) > 2 * RESERVE, "the bytes of the refused chunk to go")
    repository.push_image("after")


def test_an_announced_length_that_does_not_fit_is_refused_at_once(full: Server) -> None:
    client = Client(full)
    upload = Repository(client, "a/b").open_upload()
    before = free(full)
    with client.connect() as connection:
        connection.send_head("PATCH", upload, {"Content-Length": str(DISK * MIB)})
        connection.receive("PATCH", upload).expect(507, code="DENIED")
    assert free(full) == before


def test_many_pushes_at_once_leave_something(full: Server) -> None:
    """Each sees room for itself; together they would take more than all."""
    client = Client(full)
    least = free(full)
    ended = threading.Event()

    def watch() -> None:
        nonlocal least
        while not ended.wait(0.005):
            least = min(least, free(full))

    statuses: list[int] = []

    def push(number: int) -> None:
        content = blob(f"together {number}", 16 * MIB)
        target = f"/v2/together/r{number}/blobs/uploads/?digest={content.digest}"
        statuses.append(Client(full, timeout=60).post(target, body=content.body).status)

    watching = threading.Thread(target=watch)
    watching.start()
    pushing = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for thread in pushing:
        thread.start()
    for thread in pushing:
        thread.join()
    ended.set()
    watching.join()
    assert 507 in statuses
    assert set(statuses) <= {201, 507}
    assert least > 0
    for number in range(8):
        content = blob(f"together {number}", 16 * MIB)
        found = client.get(f"/v2/together/r{number}/blobs/{content.digest}")
        assert found.status == 404 or found.body == content.body
    wait_until(lambda: not upload_directories(full), "the refused uploads to go")
    Repository(client, "a/b").get("manifests/latest").expect(200)
    if 201 not in statuses:  # all at once in each other's way: one alone has room
        push(8)
        assert statuses[-1] == 201


def test_a_disk_without_a_single_byte(full: Server) -> None:
    """Somebody else has eaten the reserve too: the database cannot grow, yet pulls go on and nothing is lost."""
    client = Client(full)
    repository = Repository(client, "a/b")
    manifest = repository.get("manifests/latest").expect(200).body
    eater = fill(full, 0)
    for number in range(3):
        refused(client, "POST", f"/v2/new/r{number}/blobs/uploads/", b"")
    assert repository.get("manifests/latest").expect(200).body == manifest
    assert repository.tags() == ["latest"]
    assert repository.delete("manifests/latest").status in {202, 507}
    eater.unlink()
    repository.push_image("after")
    assert "after" in repository.tags()
    assert "Traceback" not in full.log_text()


def test_a_start_on_a_full_disk_serves_pulls_and_recovers(full: Server) -> None:
    client = Client(full)
    repository = Repository(client, "a/b")
    content = repository.push_blob(Content(b"x" * 1000))
    full.stop()
    eater = fill(full, MIB)
    full.start()
    assert repository.get(f"blobs/{content.digest}").expect(200).body == content.body
    refused(client, "POST", repository.url("blobs/uploads/"), b"")
    eater.unlink()
    repository.push_image("after")
    assert "Traceback" not in full.log_text()


def test_a_start_without_a_single_byte_says_so(tmp_path: Path) -> None:
    """SQLite needs some room to begin with."""
    root = tmp_path / "root"
    root.mkdir()
    with small_disk(root, 32):
        server = Server(tmp_path, {"storage.filesystem.minfree": "0"}).start()
        server.stop()
        eater = fill(server, 0)
        server.spawn()
        assert server.wait(20) == 1
        assert "no room is left" in server.log_text()
        assert "Traceback" not in server.log_text()
        eater.unlink()
        with server:
            Repository(Client(server), "a/b").push_image("after")


def test_the_reserve_is_a_setting(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    with small_disk(root, 48), Server(tmp_path, {"storage.filesystem.minfree": "0"}) as server:
        content = blob("to the brim", free(server) - 4 * MIB)
        Repository(Client(server), "a/b").push_blob(content)
        assert free(server) < 8 * MIB


def test_a_full_disk_under_the_database_alone_refuses_pushes_and_nothing_else(tmp_path: Path) -> None:
    database = tmp_path / "database"
    database.mkdir()
    settings = {
        "metadata.path": str(database),
        "storage.filesystem.minfree": str(RESERVE),
        "storage.delete.enabled": "true",
    }
    with small_disk(database, DISK), Server(tmp_path, settings) as server:
        client = Client(server)
        repository = Repository(client, "a/b")
        image = repository.push_image("latest")
        state = os.statvfs(database)
        ballast = database / "ballast"
        ballast.write_bytes(b"\0" * (state.f_bavail * state.f_frsize - RESERVE // 2))
        wait_until(lambda: client.post(repository.url("blobs/uploads/")).status == 507, "the refusal")
        assert client.get("/readyz").expect(200).json()["write"] is False
        assert repository.get("manifests/latest").expect(200).body == image.body
        repository.delete("manifests/latest").expect(202)
        ballast.unlink()
        wait_until(lambda: client.post(repository.url("blobs/uploads/")).status == 202, "room again")
