"""A second real S3 engine: Ceph's radosgw with one monitor and one memory-backed OSD, on loopback, as child processes.

Debian has it: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common. It is large, so it is not installed for every run:
tests that use it stand in files that only run when they are named. Instead of being installed, the packages can lie unpacked in a directory that the
environment variable HOLDFAST_CEPH names.
"""

import itertools
import os
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from harness.server import free_port, wait_until
from holdfast.storage.s3_requests import S3Address, request

SECONDS = 120.0

_numbers = itertools.count(1)

CONFIGURATION = """\
[global]
fsid = 6a1c5d2e-0000-4000-8000-000000000000
mon host = v1:127.0.0.1:{monitor}
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = {directory}/run
admin socket = {directory}/run/$name.asok
pid file = {directory}/run/$name.pid
log file = {directory}/log/$name.log
log to stderr = false
chdir = ""
keyring = /dev/null
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 1000
mon data avail crit = 0
erasure code dir = {libraries}/ceph/erasure-code
plugin dir = {libraries}/ceph
osd class dir = {libraries}/rados-classes
osd class load list = *
osd class default list = *
osd objectstore = memstore
memstore device bytes = 8589934592
osd check max object name len on startup = false
[mon.a]
mon data = {directory}/mon
host = localhost
[osd.0]
osd data = {directory}/osd
[client.rgw]
rgw data = {directory}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw rados pool pg num min = 1
rgw thread pool size = 32
rgw run sync thread = false
rgw enable usage log = false
rgw dns name = localhost
"""

KEYRING = '[mon.]\n\tkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n\tcaps mon = "allow *"\n'
OSD = "6a1c5d2e-0000-4000-8000-000000000001"


class Ceph:
    """An engine that a test starts and stops; its bytes are in memory. `directory`: an existing directory for its state and logs."""

    access_key = "tests"
    secret_key = "testing"
    region = "us-east-1"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._root = Path(os.environ.get("HOLDFAST_CEPH", "/"))
        self._libraries = next(self._root.glob("usr/lib/*-linux-gnu"))
        self._ports = {"monitor": free_port(), "port": free_port()}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self._ports["port"]

    def bucket_address(self, bucket: str) -> S3Address:
        """A bucket and the credentials for it."""
        host, port = self.address
        return S3Address(f"http://{host}:{port}", bucket, self.region, self.access_key, self.secret_key)

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses; gives its name."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        request(self.bucket_address(name), "PUT")
        return name

    @property
    def _environment(self) -> dict[str, str]:
        libraries = f"{self._libraries}:{self._libraries}/ceph:{self._root}/lib/{self._libraries.name}"
        return {
            **os.environ,
            "LD_LIBRARY_PATH": libraries if self._root != Path("/") else "",
            "PYTHONPATH": str(self._root / "usr/lib/python3/dist-packages"),
            "CEPH_CONF": str(self.directory / "ceph.conf"),
        }

    def _command(self, program: str, *arguments: str) -> list[str]:
        path = str(self._root / "usr/bin" / program)
        python = ["/usr/bin/python3"] if program == "ceph" else []
        return [
            *python,
            path,
            *(["-c", str(self.directory / "ceph.conf")] if program != "monmaptool" else []),
            *arguments,
        ]

    def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / "log" / "commands").open("ab") as log:
            subprocess.run(
                self._command(program, *arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=SECONDS,
                check=True,
            )

    def _start(self, program: str, *arguments: str) -> None:
        with (self.directory / "log" / program).open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    self._command(program, *arguments, "-f"),
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )

    def start(self) -> Self:
        """Start it, make its user, and wait until it answers."""
        for part in ("log", "run", "mon", "osd", "rgw"):
            (self.directory / part).mkdir(exist_ok=True)
        text = CONFIGURATION.format(directory=self.directory, libraries=self._libraries, **self._ports)
        (self.directory / "ceph.conf").write_text(text)
        (self.directory / "keyring").write_text(KEYRING)
        self._start_monitor()
        self._run("ceph", "--connect-timeout", "60", "osd", "create", OSD)
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", OSD)
        self._start("ceph-osd", "-i", "0")
        self._start("radosgw", "-n", "client.rgw")
        wait_until(self._answers, f"radosgw in {self.directory}", SECONDS)
        user = (
            "--uid=tests",
            "--display-name=tests",
            f"--access-key={self.access_key}",
            f"--secret-key={self.secret_key}",
        )
        self._run("radosgw-admin", "-n", "client.rgw", "user", "create", *user)
        return self

    def _start_monitor(self) -> None:
        names = {name: str(self.directory / name) for name in ("monmap", "keyring")}
        address = f"[v1:127.0.0.1:{self._ports['monitor']}]"
        fsid = CONFIGURATION.partition("fsid = ")[2].split()[0]
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", address, names["monmap"])
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", names["monmap"], "--keyring", names["keyring"])
        (self.directory / "mon" / "keyring").touch()
        self._start("ceph-mon", "-i", "a")

    def _answers(self) -> bool:
        connection = HTTPConnection(*self.address, timeout=5)
        try:
            if any(process.poll() is not None for process in self._processes):
                raise RuntimeError(f"a server of Ceph ended at its start: see {self.directory / 'log'}")
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Kill its processes."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes = []

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """One engine for all tests that use it."""
    with Ceph(tmp_path_factory.mktemp("ceph")) as engine:
        yield engine
