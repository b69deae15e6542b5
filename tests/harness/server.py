"""The real server as a child process, on a free loopback port and a directory of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPSConnection
from pathlib import Path
from ssl import _create_unverified_context
from types import TracebackType
from typing import Self

from harness.http import Client

START_SECONDS = 30.0
STOP_SECONDS = 15.0
LOG_TAIL = 3000
OTHER_STORES = ("storage.s3.", "storage.gcs.", "storage.azure.")


def free_port() -> int:
    """A loopback port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 10.0) -> None:
    """Return as soon as `condition()` holds. Raises `TimeoutError`, naming `what`, after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.01)


def waits(ready: bytes) -> bool:
    """Whether a server that gives this at /readyz has not come to the end of its start: names are read, or a database has no tables yet."""
    return any(sign in ready for sign in (b'"progress"', b"waiting for what this server needs", b'"reason":"database:'))


class Server:
    """A registry server that a test starts, stops, kills and starts again.

    `directory`: an existing directory for its data (in `root`) and its log (`log`).
    `settings`: dotted keys of the configuration file and their values, `{"storage.delete.enabled": "true"}`; they
    become REGISTRY_* variables. The address, the root directory and one worker are set unless they are among them;
    `storage: inmemory` selects memory, and keys of an object store that store; both need no root directory.
    `arguments`: further arguments, such as a configuration file. `environment`: further variables.
    `command`, `ready`: another registry's command line, and a path that answers 200 once it is up.

    In a `with` statement it is started and stopped, and the end of its log is printed when the block raises.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str] | None = None,
        *,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "holdfast", "serve"),
        ready: str = "/healthz",
    ) -> None:
        self.root = directory / "root"
        self.log = directory / "server.log"
        self.settings = {"http.addr": f"127.0.0.1:{free_port()}", "server.workers": "1", **(settings or {})}
        if not any(key == "storage" or key.startswith(OTHER_STORES) for key in self.settings):
            self.settings.setdefault("storage.filesystem.rootdirectory", str(self.root))
        host, _, port = self.settings["http.addr"].rpartition(":")
        self.address = (host or "127.0.0.1", int(port))
        self._arguments = (*command, *arguments)
        self._environment = dict(environment or {})
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None
        self._group = 0

    @property
    def url(self) -> str:
        """Scheme, host and port, without a final slash."""
        scheme = "https" if "http.tls.certificate" in self.settings else "http"
        return f"{scheme}://{self.registry}"

    @property
    def registry(self) -> str:
        """HOST:PORT, as it stands in front of an image's name."""
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def direct(self) -> "Server":
        """What answers without a proxy in between, for requests that a proxy does not pass on as they are."""
        return self

    @property
    def pid(self) -> int:
        """The main process."""
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the main process lives."""
        return self._process is not None and self._process.poll() is None

    def children(self) -> list[int]:
        """The processes below the main process (workers among them), oldest first."""
        found = []
        queue = [self.pid]
        while queue:
            parent = queue.pop(0)
            below = _children(parent)
            found += below
            queue += below
        return found

    def spawn(self) -> None:
        """Start the process and return at once, whether or not it comes up."""
        variables = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        variables |= {"REGISTRY_" + key.upper().replace(".", "_"): value for key, value in self.settings.items()}
        variables |= self._environment
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._group = self._process.pid

    def start(self, seconds: float = START_SECONDS) -> Self:
        """Start it and wait until it answers. Raises `AssertionError` with its log when it ends or takes longer."""
        self.spawn()
        try:
            wait_until(lambda: not self.running or self._answers(), "the server's first answer", seconds)
            assert self.running, f"the server ended with {self.wait()}"
        except (AssertionError, TimeoutError) as error:
            self.kill()
            raise AssertionError(f"{error}\n{self.log_tail()}") from error
        return self

    def _answers(self) -> bool:
        """Whether it serves, and knows the names of what is stored."""
        try:
            if "http.tls.certificate" in self.settings:
                return not waits(self._encrypted("/readyz"))
            if Client(self, timeout=5).get(self._ready).status != 200:
                return False
            return not waits(Client(self, timeout=5).get("/readyz").body)
        except (OSError, AssertionError):
            return False

    def _encrypted(self, path: str) -> bytes:
        connection = HTTPSConnection(*self.address, timeout=5, context=_create_unverified_context())
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait for the main process to end by itself: its exit status, negative for a signal."""
        assert self._process is not None, "not started"
        return self._process.wait(seconds)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process alone."""
        os.kill(self.pid, number)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """Ask it to end: its exit status. Raises `AssertionError` when it, or one of its children, does not in time."""
        try:
            if self.running:
                self.signal(signal.SIGTERM)
            status = self.wait(seconds)
            wait_until(lambda: not self._group_lives(), "the end of all processes of the server", 5)
        except (subprocess.TimeoutExpired, TimeoutError) as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from error
        finally:
            self.kill()
        return status

    def kill(self) -> None:
        """End all its processes at once, as a power cut would. Does nothing when they have ended."""
        if not self._group:
            return
        if self._group_lives():
            os.killpg(self._group, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(STOP_SECONDS)
            wait_until(lambda: not self._group_lives(), "the end of the killed processes")
        self._group = 0

    def _group_lives(self) -> bool:
        try:
            os.killpg(self._group, 0)
        except ProcessLookupError:
            return False
        return True

    def restart(self) -> Self:
        """Stop it and start it again, on the same port and directory."""
        self.stop()
        return self.start()

    def log_text(self) -> str:
        """All that it has written to its standard output and error."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        """The end of its log."""
        return f"--- {self.log}\n{self.log_text()[-LOG_TAIL:]}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stderr.write(self.log_tail())
        if self.running and error is None:
            self.stop()
        else:
            self.kill()


def _children(parent: int) -> list[int]:
    """The processes that a process started and that live; none where it has ended meanwhile."""
    found = []
    try:
        for task in os.listdir(f"/proc/{parent}/task"):
            found += [int(child) for child in Path(f"/proc/{parent}/task/{task}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found
