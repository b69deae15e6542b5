"""A real S3 engine: OpenStack Swift with s3api, all on loopback, as child processes, on a directory and free ports of its own.

Its programs are in a virtual environment of their own, because their dependencies are not those of Holdfast: `.venv-swift`, which ./test makes, or
the one whose directory the environment variable HOLDFAST_SWIFT_VENV names.
"""

import itertools
import os
import pwd
import signal
import socket
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from harness.server import free_port, wait_until
from holdfast.storage.s3_requests import S3Address, request

START_SECONDS = 180.0
STOP_SECONDS = 20.0

_numbers = itertools.count(1)

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_prefix = tests
swift_hash_path_suffix = tests
[storage-policy:0]
name = gold
default = yes
"""

NODE_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {directory}/etc
devices = {directory}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
recon_cache_path = {directory}/cache
log_level = WARNING
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY_CONF = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {directory}/etc
log_level = WARNING
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck bulk s3api tempauth slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
allow_multipart_uploads = true
min_segment_size = 5242880
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
"""

RINGS = """\
import sys
from swift.common.ring import RingBuilder
for word in sys.argv[1:]:
    name, port = word.split(":")
    builder = RingBuilder(4, 1, 0)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(name + ".ring.gz")
"""
"""What swift-ring-builder does, in one process instead of nine."""


def swift_programs() -> Path:
    """The directory of Swift's programs. Raises `FileNotFoundError`, saying what to do."""
    named = os.environ.get("HOLDFAST_SWIFT_VENV")
    venv = Path(named) if named else Path(__file__).parents[2] / ".venv-swift"
    if not (venv / "bin" / "swift-proxy-server").exists():
        raise FileNotFoundError(
            f"OpenStack Swift is not in {venv}: ./test installs it; HOLDFAST_SWIFT_VENV can name another environment"
        )
    return venv / "bin"


class Swift:
    """An engine that a test starts, stops, kills and starts again on the same bytes and ports.

    `directory`: an existing directory for its bytes, configuration and logs.
    """

    access_key = "test:tester"
    secret_key = "testing"
    region = "us-east-1"

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._programs = swift_programs()
        self._ports = {name: free_port() for name in ("account", "container", "object", "proxy")}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._configure()

    @property
    def endpoint(self) -> str:
        """Scheme, host and port of the S3 interface."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self._ports["proxy"]

    def bucket_address(self, bucket: str) -> S3Address:
        """A bucket and the credentials for it."""
        return S3Address(self.endpoint, bucket, self.region, self.access_key, self.secret_key)

    def new_bucket(self) -> str:
        """Make a bucket that nobody else uses; gives its name."""
        name = f"bucket-{os.getpid()}-{next(_numbers)}"
        request(self.bucket_address(name), "PUT")
        return name

    def _configure(self) -> None:
        for part in ("etc", "devices/d1", "log", "cache"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        etc = self.directory / "etc"
        (etc / "swift.conf").write_text(SWIFT_CONF)
        user = pwd.getpwuid(os.getuid()).pw_name
        for name, port in self._ports.items():
            text = PROXY_CONF if name == "proxy" else NODE_CONF
            (etc / f"{name}-server.conf").write_text(
                text.format(port=port, user=user, directory=self.directory, name=name)
            )
        rings = [f"{name}:{port}" for name, port in self._ports.items() if name != "proxy"]
        subprocess.run([self._programs / "python", "-c", RINGS, *rings], cwd=etc, check=True, stdin=subprocess.DEVNULL)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        for name in self._ports:
            program = self._programs / f"swift-{name}-server"
            with (self.directory / "log" / f"{name}.log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [program, self.directory / "etc" / f"{name}-server.conf"],
                        stdout=log,
                        stderr=log,
                        stdin=subprocess.DEVNULL,
                    )
                )
        wait_until(self._answers, f"Swift in {self.directory}", START_SECONDS)
        return self

    def _answers(self) -> bool:
        connection = HTTPConnection(*self.address, timeout=5)
        try:
            for process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(f"a server of Swift ended at its start: see {self.directory / 'log'}")
            connection.request("GET", "/healthcheck")
            if connection.getresponse().status != 200:
                return False
            for port in self._ports.values():
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop it in order; its bytes stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all its processes at once; its bytes stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        for process in self._processes:
            process.send_signal(number)
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """One engine for all tests that do not stop it. Each takes buckets of its own."""
    with Swift(tmp_path_factory.mktemp("swift")) as engine:
        yield engine
