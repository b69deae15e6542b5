"""Importing when things go wrong: the database is lost, the process is killed, somebody restores a backup or sets the clock."""

import fcntl
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import apsw
import pytest
from benchmark.client import MIB
from benchmark.processes import PeakMemory
from benchmark.volumes import Volume as Generated
from benchmark.volumes import write

from durability.ledger import DATABASE, TREE, database, tree
from harness.content import image, manifest
from harness.http import Client
from harness.server import Server, wait_until
from registry2.pushing import AnyRepository
from registry2.servers import ACCEPT, collect_garbage, docker_registry, holdfast, run
from registry2.survey import Names, differences, survey
from registry2.test_both_ways import fill
from registry2.volume import Volume

TIMES = {"created_at", "touched_at", "linked_at", "pushed_at", "updated_at", "moved_at", "claimed_at"}


def rows(root: Path, *, times: bool = True) -> dict[str, list[str]]:
    """All that the database has but for the process's own notes, with or without times, by table."""
    connection = apsw.Connection(str(root / DATABASE), flags=apsw.SQLITE_OPEN_READONLY)
    found = {}
    try:
        tables = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in set(tables) - {"meta", "dirty", "sqlite_sequence"}:
            columns = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
            wanted = [column for column in columns if column not in {"id", *(set() if times else TIMES)}]
            numbers = {"repository_id": "(SELECT name FROM repositories r WHERE r.id = repository_id)"}
            listed = ", ".join(numbers.get(column, column) for column in wanted)
            found[table] = sorted(map(repr, connection.execute(f"SELECT {listed} FROM {table}")))
    finally:
        connection.close()
    return found


def forget(directory: Path) -> None:
    """Lose the database."""
    shutil.rmtree(directory / "root/holdfast")


def test_a_lost_database_is_made_again_from_the_tree(tmp_path: Path) -> None:
    names = Names()
    with docker_registry(tmp_path) as server:
        fill(server, names, 0)
    with holdfast(tmp_path) as server:
        fill(server, names, 1)
        repository = AnyRepository(Client(server), "types", names)
        own = manifest("application/x.own+json", {"mediaType": None, "config": repository.image().json()["config"]})
        repository.push_manifest(own, "own")
        before = survey(server, names)
    kept = rows(tmp_path / "root", times=False)
    forget(tmp_path)
    with holdfast(tmp_path) as server:
        assert survey(server, names) == before
        assert "the database is new or was lost" in server.log_text()
    again = rows(tmp_path / "root", times=False)
    for table in ("repositories", "manifest_references", "repository_blobs", "tags"):
        assert again[table] == kept[table]


def test_lost_links_are_written_again_from_the_database(tmp_path: Path) -> None:
    names = Names()
    with docker_registry(tmp_path) as server:
        fill(server, names, 0)
    with holdfast(tmp_path) as server:
        fill(server, names, 1)
        ours = survey(server, names)
    shutil.rmtree(tmp_path / "root" / TREE / "repositories")
    run(tmp_path, "export")
    assert tree(tmp_path / "root") == database(tmp_path / "root")
    with docker_registry(tmp_path) as server:
        assert differences(ours, survey(server, names)) == []
    with holdfast(tmp_path) as server:
        assert survey(server, names) == ours


def test_importing_again_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "root", 20, 200)
    run(tmp_path, "import")
    first = rows(tmp_path / "root")
    assert len(first["tags"]) == 200
    for _ in range(2):
        run(tmp_path, "import")
        assert rows(tmp_path / "root") == first
    with holdfast(tmp_path):
        pass
    assert rows(tmp_path / "root") == first


def check(server: Server, volume: Generated) -> None:
    """Raise `AssertionError` unless a generated volume is all there."""
    client = Client(server)
    count, last = 0, ""
    while names := client.get(f"/v2/_catalog?n=1000&last={last}").expect(200).json()["repositories"]:
        count, last = count + len(names), names[-1]
    assert count == volume.repositories
    for (name, tag), digest in random.Random(1).sample(sorted(volume.sample.items()), 10):
        answer = client.get(f"/v2/{name}/manifests/{tag}", ACCEPT).expect(200)
        assert answer.headers["Docker-Content-Digest"] == digest
        for layer in answer.json()["layers"]:
            client.head(f"/v2/{name}/blobs/{layer['digest']}").expect(200)
    assert tree(server.root) == database(server.root)


def test_a_large_volume_takes_no_more_memory_than_a_small_one(tmp_path: Path, long: bool) -> None:
    """With --long the small one has 1,000 repositories with 10,000 tags, the large one 10 times as much."""
    peaks = []
    for name, repositories in (("small", 1_000 if long else 10), ("large", 10_000 if long else 100)):
        volume = write(tmp_path / name / "root", repositories, 10 * repositories)
        variables = {**os.environ, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / name / "root")}
        process = subprocess.Popen(
            [sys.executable, "-m", "holdfast", "import"], env=variables, stdout=subprocess.DEVNULL
        )
        with PeakMemory(process.pid, interval=0.02) as memory:
            assert process.wait(1800) == 0
        peaks.append(memory.peak // MIB)
        with holdfast(tmp_path / name) as server:
            check(server, volume)
    assert peaks[1] < peaks[0] + 24, f"{peaks} MiB"


def test_an_import_that_is_killed_goes_on_at_the_next_start(tmp_path: Path, long: bool) -> None:
    """Set SEED to draw the same moments again, as far as the machine lets them come the same."""
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
    chance = random.Random(seed)
    volume = write(tmp_path / "root", 1000 if long else 100, 10_000 if long else 1_000)
    server = holdfast(tmp_path)
    wanted, cut, attempts = 100 if long else 6, 0, 0
    while cut < wanted:
        attempts += 1
        assert attempts < 10 * wanted, "hardly any import was cut off"
        server.spawn()
        wait_until(lambda: listens(server), "the port", 30)
        threading.Event().wait(chance.random() * (4 if long else 0.5))
        unfinished = Client(server).get("/readyz").status == 503
        server.kill()
        sys.stderr.write(f"SEED={seed} attempt {attempts}: {'cut off' if unfinished else 'too late'}\n")
        cut += unfinished
        if not unfinished or chance.random() < 0.2:
            forget(tmp_path)
    with server:
        check(server, volume)


def listens(server: Server) -> bool:
    """Whether it answers that it lives."""
    try:
        return Client(server).get("/healthz").status == 200
    except (OSError, AssertionError):
        return False


def test_while_names_are_read_the_port_is_open_and_says_so(tmp_path: Path) -> None:
    volume = write(tmp_path / "root", 30, 100)
    (tmp_path / "root/holdfast").mkdir()
    server = holdfast(tmp_path)
    client = Client(server)
    with (tmp_path / "root/holdfast/tree.lock").open("wb") as lock:
        # Whoever holds this lock is at work on the names: the server's own import waits for it.
        fcntl.lockf(lock, fcntl.LOCK_EX)
        server.spawn()
        try:
            wait_until(lambda: listens(server), "the port", 30)
            ready = client.get("/readyz").expect(503).json()
            assert (ready["read"], ready["write"]) == (False, False)
            assert isinstance(ready["progress"], dict)
            for path in ("/v2/", "/v2/_catalog", "/v2/team-000/app-00/manifests/v1.0000"):
                answer = client.get(path).expect(503, code="UNAVAILABLE")
                assert int(answer.headers["Retry-After"]) >= 1
                assert "/readyz" in answer.json()["errors"][0]["message"]
            client.get("/healthz").expect(200)
            fcntl.lockf(lock, fcntl.LOCK_UN)
            wait_until(lambda: client.get("/readyz").status == 200, "the names", 30)
            check(server, volume)
        finally:
            server.kill()


def test_a_volume_that_is_being_served_is_not_imported(tmp_path: Path) -> None:
    write(tmp_path / "root", 1, 1)
    with holdfast(tmp_path):
        line = [sys.executable, "-m", "holdfast", "import"]
        variables = {**os.environ, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(tmp_path / "root")}
        done = subprocess.run(line, env=variables, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 1
        assert "another server uses" in done.stderr


def test_bytes_that_the_other_garbage_collector_took_are_not_believed_to_be_there(tmp_path: Path) -> None:
    names = Names()
    with holdfast(tmp_path) as server:
        repository = AnyRepository(Client(server), "a", names)
        loose, content = repository.push_blob(repository.blob()), repository.image()
        kept = repository.push_manifest(repository.image(), "kept")
    collect_garbage(tmp_path)
    with holdfast(tmp_path) as server:
        repository = AnyRepository(Client(server), "a", names)
        repository.head(f"blobs/{loose.digest}").expect(404)
        repository.put_manifest(content, "tag").expect(400, code="MANIFEST_BLOB_UNKNOWN")
        lacking = image(loose, [loose])
        repository.put_manifest(lacking, "tag").expect(400, code="MANIFEST_BLOB_UNKNOWN")
        repository.push_blob(loose)
        repository.push_manifest(lacking, "tag")
        assert repository.get("manifests/kept", ACCEPT).expect(200).body == kept.body


def test_uploads_that_were_left_half_way_go_when_they_are_old(tmp_path: Path) -> None:
    names = Names()
    with docker_registry(tmp_path) as server:
        repository = AnyRepository(Client(server), "a", names)
        young, old = (repository.leave_upload(repository.blob().body, 100) for _ in range(2))
    places = {
        location: tmp_path / "root" / TREE / "repositories/a/_uploads" / location.partition("?")[0].rpartition("/")[2]
        for location in (young, old)
    }
    assert (places[old] / "hashstates").is_dir()
    for path in (places[old], *places[old].rglob("*")):
        os.utime(path, (978_307_200, 978_307_200))
    with holdfast(tmp_path) as server:
        wait_until(lambda: not places[old].exists(), "the old upload to be removed", 30)
        assert places[young].exists()
        # Nobody knows how far it was: a client that comes back is told to begin again.
        assert Client(server).get(young.partition("?")[0]).expect(204).headers["Range"] == "0-0"
    names.repository("a")
    with docker_registry(tmp_path) as server:
        assert differences({}, survey(server, names)) == []


def test_a_repository_that_was_put_back_from_a_backup_is_read(tmp_path: Path) -> None:
    """Moved back with `mv`: the links themselves are as old as the backup."""
    repositories = tmp_path / "root" / TREE / "repositories"
    names = Names()
    with holdfast(tmp_path) as server:
        one, other = (AnyRepository(Client(server), name, names) for name in ("team/one", "team/other"))
        first = one.push_manifest(one.image(), "tag")
        one.push_manifest(first, "gone")
        other.push_manifest(other.image(), "tag")
    shutil.copytree(repositories / "team", tmp_path / "backup")
    with holdfast(tmp_path) as server:
        one = AnyRepository(Client(server), "team/one", names)
        one.push_manifest(one.image(), "tag")
        one.delete("manifests/gone").expect(202)
    (repositories / "team").rename(tmp_path / "old")
    (tmp_path / "backup").rename(repositories / "team")
    with docker_registry(tmp_path) as server:
        theirs = survey(server, names)
    with holdfast(tmp_path) as server:
        assert differences(survey(server, names), theirs) == []
        assert Client(server).get("/v2/team/one/manifests/tag", ACCEPT).expect(200).body == first.body


def test_what_is_older_than_the_last_start_is_read(tmp_path: Path) -> None:
    """A clock was wrong, or a program that copies volumes sets the times of files."""
    names = Names()
    with holdfast(tmp_path) as server:
        repository = AnyRepository(Client(server), "a", names)
        former, content = (repository.push_manifest(repository.image()) for _ in range(2))
        repository.push_manifest(content, "tag")
    with docker_registry(tmp_path) as server:
        AnyRepository(Client(server), "a", names).push_manifest(former, "tag")
    for path in (tmp_path / "root" / TREE / "repositories").rglob("*"):
        os.utime(path, (978_307_200, 978_307_200))
    with holdfast(tmp_path) as server:
        assert Client(server).get("/v2/a/manifests/tag", ACCEPT).expect(200).body == former.body


def test_what_cannot_be_read_is_told_and_kept(tmp_path: Path) -> None:
    """Files and directories of somebody else: what is known of them stays as it was."""
    volume = Volume(tmp_path / "root")
    content, hidden, closed = volume.image("open", "tag"), volume.image("open", "hidden"), volume.image("closed", "tag")
    locked = [volume.tag("open", "hidden", hidden.digest), volume.base / "repositories/closed/_manifests/tags"]
    for path in locked:
        path.chmod(0)
    # Root reads everything unless it is deprived of that.
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    settings = {"storage.filesystem.rootdirectory": str(tmp_path / "root"), "server.workers": "1"}
    command = [*(drop if os.geteuid() == 0 else []), sys.executable, "-m", "holdfast", "serve"]
    with Server(tmp_path, settings, command=command, ready="/readyz") as server:
        client = Client(server)
        assert client.get("/v2/open/manifests/tag", ACCEPT).expect(200).body == content.body
        client.get("/v2/open/manifests/hidden", ACCEPT).expect(404)
        assert client.get(f"/v2/closed/manifests/{closed.digest}", ACCEPT).expect(200).body == closed.body
        assert "cannot be read" in server.log_text()
    for path, mode in zip(locked, (0o644, 0o755), strict=True):
        path.chmod(mode)
    with holdfast(tmp_path) as server:
        client = Client(server)
        for tag in ("open/manifests/hidden", "closed/manifests/tag"):
            client.get(f"/v2/{tag}", ACCEPT).expect(200)
    for path in locked:
        path.chmod(0)
    with Server(tmp_path, settings, command=command, ready="/readyz") as server:
        client = Client(server)
        for tag in ("open/manifests/hidden", "closed/manifests/tag"):
            client.get(f"/v2/{tag}", ACCEPT).expect(200)
    for path in locked:
        path.chmod(0o755)


@pytest.mark.parametrize("what", ["repositories", "blobs"])
def test_a_tree_without_names_or_bytes_is_not_believed(tmp_path: Path, what: str) -> None:
    """A part of the volume is not mounted: nothing is forgotten over that."""
    with holdfast(tmp_path) as server:
        repository = AnyRepository(Client(server), "a", Names())
        repository.push_manifest(repository.image(), "tag")
    kept = rows(tmp_path / "root")
    place = tmp_path / "root" / TREE / what
    place.rename(tmp_path / what)
    place.mkdir()
    server = holdfast(tmp_path)
    server.spawn()
    assert server.wait(60) == 1
    assert "is a disk not mounted?" in server.log_text()
    assert rows(tmp_path / "root") == kept
    place.rmdir()
    (tmp_path / what).rename(place)
    with holdfast(tmp_path) as server:
        Client(server).get("/v2/a/manifests/tag", ACCEPT).expect(200)
