"""A Docker daemon of the tests' own: its images, socket and containerd lie in one directory that goes away with it."""

import json
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from clients.tools import Tool, environment, program
from harness.server import wait_until

START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOG_TAIL = 4000
# Written by the daemon outside of the directories that it is told to use.
TRUST_KEY = Path("/etc/docker/key.json")


class Dockerd:
    """The daemon as a child process. Containers get no network: there is neither a bridge nor a packet filter to set up.

    `parallel`: how many layers it pushes, and pulls, at the same time.
    """

    def __init__(self, *, parallel: int) -> None:
        # Sockets lie below: the path must be short.
        self._directory = Path(tempfile.mkdtemp(prefix="holdfast-dockerd-"))
        self.socket = f"unix://{self._directory}/docker.sock"
        self.log = self._directory / "dockerd.log"
        self._had_key = TRUST_KEY.exists()
        settings = {
            "hosts": [self.socket],
            "data-root": str(self._directory / "data"),
            "exec-root": str(self._directory / "exec"),
            "pidfile": str(self._directory / "dockerd.pid"),
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
            "ip-forward": False,
            "ip-masq": False,
            "max-concurrent-downloads": parallel,
            "max-concurrent-uploads": parallel,
        }
        configuration = self._directory / "daemon.json"
        configuration.write_text(json.dumps(settings))
        home = self._directory / "home"
        home.mkdir()
        variables = environment(home) | {"DOCKER_HOST": self.socket}
        with self.log.open("wb") as log:
            # The daemon ends with the tests, however they end; containerd ends with the daemon.
            self._process = subprocess.Popen(
                [program("setpriv"), "--pdeathsig", "TERM", program("dockerd"), "--config-file", str(configuration)],
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        docker = Tool("docker", variables)
        try:
            wait_until(lambda: self._process.poll() is not None or _answers(docker), "the Docker daemon", START_SECONDS)
            assert self._process.poll() is None, "the Docker daemon ended"
        except (AssertionError, TimeoutError) as error:
            tail = self.log_tail()
            self.stop()
            raise AssertionError(f"{error}\n{tail}") from error

    def stop(self) -> None:
        """End it and remove all that it made. Raises `subprocess.TimeoutExpired` when it does not end."""
        try:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self._directory, ignore_errors=True)
            if not self._had_key:
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
