"""Files, rights, disks and clocks that are not as they should be."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from baddays.mounts import fuse, mounted, need_root, read_only, small_disk
from clients.tools import program
from doctor.reports import ANN_LINE, report, resting
from harness.content import blob
from harness.http import Client
from harness.repository import Repository
from harness.server import Server, free_port, wait_until
from holdfast.doctor.identity import Identity, identity

NOBODY = Identity(65534, 65534)


def test_the_directory_of_another(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    found = report(resting(root), user=NOBODY)
    found.says("rights", "problem", f"may not write to {root}", f"chown -R 65534:65534 {root}")


def test_a_database_of_another(tmp_path: Path) -> None:
    """What is left when it ran as root before."""
    with Server(tmp_path) as server:
        Repository(Client(server), "a").push_image("latest")
    need_root()
    shutil.chown(server.root, NOBODY.uid)
    found = report(server, user=NOBODY)
    found.says(
        "rights", "problem", "user 65534, as which the registry runs, may not", f"chown -R 65534:65534 {server.root}"
    )


def test_secrets_that_the_server_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(ANN_LINE)
    (tmp_path / "users").chmod(0o600)
    settings = resting(tmp_path / "root", auth__htpasswd__path=str(tmp_path / "users"))
    found = report(settings, user=Identity(os.geteuid() + 1, os.getegid() + 1))
    found.says("rights", "problem", "may not read", "auth.htpasswd.path", "chown")


def test_the_user_of_the_running_server_counts(plain: Server) -> None:
    assert identity(plain.pid) == Identity.present()
    report(plain).says("servers", "ok", f"process {plain.pid} on {socket.gethostname()}")


ASK = 'for f do r=-; w=-; [ -r "$f" ] && r=r; [ -w "$f" ] && w=w; echo "$r$w"; done'


def test_rights_are_judged_as_the_kernel_does() -> None:
    """For another user, by the modes of files and of the directories above them."""
    need_root()
    who = Identity(1234, 1234, frozenset({77}))
    with tempfile.TemporaryDirectory(dir="/tmp") as top:  # pytest's directories let nobody else in
        os.chmod(top, 0o755)
        owners = ((0, 0), (1234, 0), (0, 1234), (0, 77))
        modes = itertools.product((0o755, 0o750, 0o711, 0o700), (0o600, 0o640, 0o604, 0o660, 0o646), owners)
        files = [owned(Path(top) / str(number), *case) for number, case in enumerate(modes)]
        command = ["sh", "-c", ASK, "sh", *map(str, files)]
        kernel = subprocess.run(
            command, user=who.uid, group=who.gid, extra_groups=[77], check=True, capture_output=True, text=True
        )
        ours = [f"{'r' if who.may(file, os.R_OK) else '-'}{'w' if who.may(file, os.W_OK) else '-'}" for file in files]
    assert ours == kernel.stdout.split()
    assert set(ours) == {"rw", "r-", "--"}


def owned(directory: Path, directory_mode: int, mode: int, owner: tuple[int, int]) -> Path:
    """A file with this mode and owner, in a directory with that one's mode and the same owner."""
    directory.mkdir()
    file = directory / "file"
    file.touch()
    for path, wanted in ((file, mode), (directory, directory_mode)):
        os.chmod(path, wanted)
        os.chown(path, *owner)
    return file


def test_a_read_only_disk(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        pass
    with read_only(server.root):
        report(server).says("rights", "problem", "read-only", "mount it for writing")


def test_a_full_disk(tmp_path: Path) -> None:
    """Beside the server, which says the same."""
    with small_disk(tmp_path / "disk", 40) as disk:
        settings = {"storage.filesystem.rootdirectory": str(disk / "root"), "storage.filesystem.minfree": str(20 << 20)}
        with Server(tmp_path, settings) as server:
            report(server).says("space", "advice", "are free", "minfree")
            with (disk / "filler").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, 18 << 20)
            found = report(server)
            found.says("space", "problem", "less than storage.filesystem.minfree", "507", "garbage-collect")
            found.says("readiness", "problem", "serves pulls only", "minfree")


def test_no_inodes(tmp_path: Path) -> None:
    need_root()
    with mounted(
        tmp_path / "disk", "mount", "-t", "tmpfs", "-o", "nr_inodes=20", "none", str(tmp_path / "disk")
    ) as disk:
        found = report(resting(disk / "root", storage__filesystem__minfree="0"))
        found.says("space", "problem", "inodes", "mkfs.ext4 -i")
        found.says("volume", "problem", "in memory (tmpfs)", "mount a volume")


def test_a_network_file_system(tmp_path: Path) -> None:
    with fuse(tmp_path / "mounted", tmp_path / "below") as remote:
        report(resting(remote / "root")).says("volume", "advice", "network file system", "set metadata.path")
        found = report(resting(remote / "root", metadata__path=str(tmp_path / "database")))
        found.says("volume", "ok", "the database on a local one")


def test_an_anonymous_volume(tmp_path: Path) -> None:
    """As `docker run` without -v makes one."""
    need_root()
    kept = tmp_path / "volumes" / ("0123456789abcdef" * 4) / "_data"
    kept.mkdir(parents=True)
    with mounted(tmp_path / "root", "mount", "--bind", str(kept), str(tmp_path / "root")) as root:
        report(resting(root)).says("volume", "advice", "anonymous volume", f"docker run -v registry:{root}")


def test_no_volume(tmp_path: Path) -> None:
    """In a root file system of layers, as engines make it for a container."""
    need_root()
    script = """
        mount -t tmpfs none "$1" && mkdir "$1/upper" "$1/work" "$1/all" &&
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/all" &&
        mount -t proc none "$1/all/proc" && mount --rbind /dev "$1/all/dev" &&
        exec chroot "$1/all" env REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/var/lib/registry REGISTRY_HTTP_ADDR=127.0.0.1:1 \\
            "$2" -m holdfast doctor"""
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stderr
    assert "/var/lib/registry has no volume: it lies in the container's own layer (overlay)" in done.stdout
    assert "docker run -v registry:/var/lib/registry" in done.stdout
    assert "runs as root in its container" in done.stdout
    assert "securityContext: {runAsNonRoot: true, runAsUser: 10001" in done.stdout
    assert "docker run --user 10001:10001" in done.stdout


def test_memory() -> None:
    found = report({"storage": "inmemory", "http.addr": "127.0.0.1:1"})
    found.says("volume", "advice", "everything is lost", "storage.filesystem.rootdirectory")


def test_two_servers_on_one_directory(plain: Server) -> None:
    other = plain.settings | {"http.addr": f"127.0.0.1:{free_port()}"}
    found = report(other)
    found.says(
        "servers", "problem", f"process {plain.pid}", plain.registry, "two servers cannot share", "server.workers"
    )


def test_another_registry_on_the_port(plain: Server, tmp_path: Path) -> None:
    """The configured server does not run, and registry:2 still has its port."""
    root = tmp_path / "root"
    with Server(tmp_path) as server:
        pass
    settings = {"http.addr": plain.settings["http.addr"], "storage.filesystem.rootdirectory": str(root)}
    assert server.root == root
    yml = tmp_path / "registry2.yml"
    port = free_port()
    yml.write_text("version: 0.1\nstorage: {inmemory: {}}\nhttp: {secret: x}\n")
    command = (program("docker-registry"), "serve", str(yml))
    with Server(
        tmp_path, {"http.addr": f"127.0.0.1:{port}", "storage": "inmemory"}, command=command, ready="/v2/"
    ) as two:
        found = report(settings | {"http.addr": two.settings["http.addr"]})
    found.says("answer", "problem", "another registry", "registry:2")


def test_something_else_on_the_port(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: listens(port), "the web server", 30)
            found = report(resting(tmp_path / "root", http__addr=f"127.0.0.1:{port}"))
        finally:
            process.terminate()
    found.says("answer", "problem", "does not answer as a registry: 404", "SimpleHTTP", "something else listens there")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_tls_where_there_is_none(plain: Server) -> None:
    found = report(plain, url=f"https://{plain.registry}")
    found.says(
        "answer", "problem", "plain HTTP is spoken there", "server gave HTTP response to HTTPS client", "http.tls"
    )
    found.says("answer", "problem", f'{{"insecure-registries": ["{plain.registry}"]}}')


def test_nothing_listens() -> None:
    found = report(None, url="http://127.0.0.1:1")
    found.says("answer", "problem", "nothing listens there", "host and port")


def test_a_name_that_does_not_exist() -> None:
    found = report(None, url="http://registry.invalid")
    found.says("answer", "problem", "registry.invalid", "DNS or /etc/hosts")


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["head", "body"])
def test_something_that_never_ends(start: bytes) -> None:
    """An endless answer costs a bounded time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()
        thread = threading.Thread(target=drip, args=(listener, start, ended))
        thread.start()
        try:
            found = report(None, url=f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.5)
        finally:
            ended.set()
            thread.join()
    found.says("answer", "problem", "no whole answer in time", "firewall")


def drip(listener: socket.socket, start: bytes, ended: threading.Event) -> None:
    """Answer with a line a moment, until the end."""
    listener.settimeout(0.05)
    while not ended.is_set():
        with contextlib.suppress(OSError), listener.accept()[0] as connection:
            connection.sendall(start)
            while not ended.wait(0.05):
                connection.sendall(b"X-More: of it\r\n")


def test_clocks_that_differ(plain: Server) -> None:
    hour = report(plain, now=lambda: time.time() - 3600)
    hour.says("clock", "problem", plain.url, "ahead", "time synchronisation")
    minutes = report(plain, now=lambda: time.time() + 120)
    minutes.says("clock", "advice", plain.url, "behind")


def test_files_from_the_future(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        Repository(Client(server), "a").push_blob(blob("a"))
    later = time.time() + 7200
    os.utime(server.root / "holdfast" / "holdfast.db", (later, later))
    report(server).says("clock", "problem", "last wrote", "ahead")


def test_a_health_check_that_fails(tmp_path: Path) -> None:
    (tmp_path / "maintenance").touch()
    with Server(tmp_path, {"health.file": f"[{{file: {tmp_path / 'maintenance'}, interval: 100ms}}]"}) as server:
        wait_until(lambda: Client(server).get("/readyz").status == 503, "the health check")
        found = report(server)
    found.says("answer", "skipped", "not ready", "UNAVAILABLE")
    found.says("readiness", "problem", "serves nothing", str(tmp_path / "maintenance"))


def test_read_only_on_purpose(tmp_path: Path) -> None:
    with Server(tmp_path, {"storage.maintenance.readonly.enabled": "true"}) as server:
        found = report(server)
    found.says("readiness", "ok", "pulls only, as storage.maintenance.readonly says")
    found.says("location", "skipped", "storage.maintenance.readonly")
    assert found.complaints() == []
