"""The servers that are measured: how each is started, awaited and stopped."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO

from benchmark import processes
from benchmark.bare import ANSWER_VARIABLE

HERE = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 20.0

OUR_PROGRAM = (sys.executable, "-m", "holdfast")

# Both registries read this same file. With level `error` the access log is all that is written for a request: one line.
CONFIGURATION = """\
version: 0.1
log:
  level: {level}
  accesslog:
    disabled: {quiet}
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: {root}
http:
  addr: 127.0.0.1:{port}
  secret: benchmark
"""


class ServerError(Exception):
    """A server did not start, or ended by itself; the message has the end of its log."""


def free_port() -> int:
    """A TCP port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def our_path() -> str:
    """The PYTHONPATH with which this checkout's Holdfast is found first."""
    return os.pathsep.join(filter(None, [str(HERE / "src"), os.environ.get("PYTHONPATH", "")]))


def _clean_environment() -> dict[str, str]:
    """The environment without what configures a registry by accident (docker-registry panics over AWS_CA_BUNDLE)."""
    unwanted = ("REGISTRY_", "AWS_", "OTEL_", "GRANIAN_")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


class Server(ABC):
    """A server process on a free port, with everything it writes going to `<work>/<name>.log`."""

    name: str
    first = "/v2/"
    """What is asked for to see whether it has started."""

    def __init__(self, work: Path) -> None:
        self.port = 0
        self.log = work / f"{self.name}.log"
        self._work = work
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The program and its arguments, to listen on `self.port`."""

    def variables(self) -> dict[str, str]:
        """Environment variables to add."""
        return {}

    @property
    def pid(self) -> int:
        """The main process. Raises `ServerError` when the server is not running."""
        if self._process is None or self._process.poll() is not None:
            raise ServerError(f"{self.name} is not running; its log ends:\n{self.log_end()}")
        return self._process.pid

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.pid)

    def environment(self) -> dict[str, str]:
        """All environment variables that it is started with."""
        return _clean_environment() | self.variables()

    def url(self, target: str) -> str:
        return f"http://127.0.0.1:{self.port}{target}"

    def start(self) -> float:
        """Start and wait until idle; returns the seconds from the start to the first answer 200 to `GET` of `first`."""
        self.port = free_port()
        command = self.command()
        with self.log.open("wb") as log:
            self._process = self._spawn(command, log)
        begin = time.perf_counter()
        while not self._answers():
            if time.perf_counter() - begin > START_SECONDS:
                raise ServerError(
                    f"{self.name} did not answer within {START_SECONDS:.0f} s; its log ends:\n{self.log_end()}"
                )
            _ = self.pid
            time.sleep(0.004)
        seconds = time.perf_counter() - begin
        self._settle()
        return seconds

    def stop(self) -> None:
        """Ask the server to end and wait; after 20 s it is killed with all its processes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _spawn(self, command: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=self._work,
            env=self.environment(),
            start_new_session=True,
        )

    def _answers(self) -> bool:
        request = f"GET {self.first} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n\r\n".encode()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(request)
                return connection.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def _settle(self) -> None:
        """Wait until the server uses no CPU for a moment: other workers may be starting when the first one answers."""
        end = time.perf_counter() + START_SECONDS
        before = -1.0
        while time.perf_counter() < end and (now := self.cpu_seconds()) - before > 0.01:
            before = now
            time.sleep(0.3)

    def log_end(self) -> str:
        """The last of what it wrote."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""


class Registry(Server):
    """A registry that keeps everything below `root`."""

    def __init__(self, work: Path, root: Path, *, access_log: bool) -> None:
        super().__init__(work)
        self.root = root
        self.access_log = access_log

    def _configuration(self) -> Path:
        path = self._work / f"{self.name}.yml"
        path.write_text(
            CONFIGURATION.format(root=self.root, port=self.port, level="error", quiet=str(not self.access_log).lower())
        )
        return path


class Holdfast(Registry):
    """This project, with the number of workers it chooses itself unless `workers` is given."""

    name = "holdfast"
    workers = 0
    engine = "granian"

    def command(self) -> list[str]:
        return [*OUR_PROGRAM, "serve", str(self._configuration())]

    def variables(self) -> dict[str, str]:
        return {
            "PYTHONPATH": our_path(),
            "REGISTRY_SERVER_WORKERS": str(self.workers),
            "REGISTRY_SERVER_ENGINE": self.engine,
        }


class DockerRegistry(Registry):
    """Debian's docker-registry 2.8.2, or another registry program with the same configuration."""

    name = "docker-registry"
    program = shutil.which("docker-registry") or "docker-registry"

    def command(self) -> list[str]:
        return [self.program, "serve", str(self._configuration())]

    def variables(self) -> dict[str, str]:
        return {"OTEL_TRACES_EXPORTER": "none"}


class Bare(Server):
    """The bare ASGI answer on the same Granian, with as many workers as Holdfast has."""

    name = "bare"

    def __init__(self, work: Path, answer: Path, workers: int) -> None:
        super().__init__(work)
        self._answer = answer
        self._workers = workers or len(os.sched_getaffinity(0))

    def command(self) -> list[str]:
        options = ["--interface", "asgi", "--http", "1", "--no-ws", "--loop", "uvloop", "--workers", str(self._workers)]
        options += ["--host", "127.0.0.1", "--port", str(self.port), "--workers-kill-timeout", "5"]
        return [sys.executable, "-m", "granian", *options, "benchmark.bare:application"]

    def variables(self) -> dict[str, str]:
        return {ANSWER_VARIABLE: str(self._answer), "PYTHONPATH": str(HERE)}
