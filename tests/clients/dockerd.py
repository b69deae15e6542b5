"""A Docker daemon of the tests' own: its images, socket and containerd lie in one directory that goes away with it."""

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clients.tools import Tool, environment, program
from harness.server import wait_until

START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOG_TAIL = 4000
# Written by the daemon outside of the directories that it is told to use.
TRUST_KEY = Path("/etc/docker/key.json")
NO_NETWORK = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    "ip-masq": False,
}


class Dockerd:
    """The daemon as a child process.

    `parallel`: how many layers it pushes, and pulls, at the same time.
    `within`: the beginning of a command line that runs a program in namespaces that are not those of the tests. There containers have a
    bridge, and their ports can be published; otherwise they get no network, so that there is neither a bridge nor a packet filter to set up.
    """

    def __init__(self, *, parallel: int, within: Sequence[str] = ()) -> None:
        # Sockets lie below: the path must be short.
        self._directory = Path(tempfile.mkdtemp(prefix="holdfast-dockerd-"))
        self.socket = f"unix://{self._directory}/docker.sock"
        self.log = self._directory / "dockerd.log"
        self._had_key = TRUST_KEY.exists()
        self._within = tuple(within)
        settings = {
            "hosts": [self.socket],
            "data-root": str(self._directory / "data"),
            "exec-root": str(self._directory / "exec"),
            "pidfile": str(self._directory / "dockerd.pid"),
            "max-concurrent-downloads": parallel,
            "max-concurrent-uploads": parallel,
            **({} if within else NO_NETWORK),
        }
        self._configuration = self._directory / "daemon.json"
        self._configuration.write_text(json.dumps(settings))
        home = self._directory / "home"
        home.mkdir()
        self._variables = environment(home) | {"DOCKER_HOST": self.socket}
        try:
            self._start()
        except AssertionError:
            self.stop()
            raise

    def _start(self, *options: str) -> None:
        # The daemon ends with the tests, however they end; containerd ends with the daemon.
        dockerd = [program("dockerd"), "--config-file", str(self._configuration), *options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [program("setpriv"), "--pdeathsig", "TERM", *self._within, *dockerd],
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        docker = Tool("docker", self._variables)
        try:
            wait_until(lambda: self._process.poll() is not None or _answers(docker), "the Docker daemon", START_SECONDS)
            assert self._process.poll() is None, "the Docker daemon ended"
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from error

    def _end(self) -> None:
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def restart(self, *options: str) -> None:
        """Stop it and start it again, as a reboot does, with these options on its command line. Raises as `stop` does."""
        self._end()
        self._start(*options)

    def stop(self) -> None:
        """End it and remove all that it made. Raises `subprocess.TimeoutExpired` when it does not end."""
        try:
            self._end()
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
            if not self._had_key and not self._within:
                TRUST_KEY.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The end of its log."""
        return f"--- {self.log}\n{self.log.read_text(errors='replace')[-LOG_TAIL:]}"


def _answers(docker: Tool) -> bool:
    try:
        docker("version")
    except AssertionError:
        return False
    return True
