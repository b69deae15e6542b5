"""A machine of its own, as far as a document's reader can tell: own network, own /etc/hosts and /etc/docker, own Docker daemon."""

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from clients.dockerd import Dockerd
from clients.tools import SEARCH_PATH, Tool, ToolFailed, environment, program
from harness.server import wait_until

COMMAND_SECONDS = 180.0
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
# The private parts, then a process that holds them open. `$0` is the file that is seen as /etc/hosts.
SET_UP = """
set -eu
ip link set lo up
mount --bind "$0" /etc/hosts
mkdir -p /etc/docker
mount -t tmpfs tmpfs /etc/docker
echo ready
exec sleep infinity
"""


class Machine:
    """Network, files and Docker of a machine that shares nothing with the one that the tests run on but its programs and directories.

    Its ports are its own: whatever the documents publish is free. `sh` runs a command line as somebody at its terminal would, with
    `home` as the working directory; `docker` is the client as a `Tool`.
    """

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="holdfast-machine-"))
        self.home = self._directory / "home"
        self.home.mkdir()
        self._hosts = self._directory / "hosts"
        self._hosts.write_text(HOSTS)
        namespaces = [program("unshare"), "--net", "--mount", "--propagation", "private", "--"]
        self._holder = subprocess.Popen(
            [program("setpriv"), "--pdeathsig", "KILL", *namespaces, "/bin/sh", "-c", SET_UP, str(self._hosts)],
            env={"PATH": SEARCH_PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._inside = (program("nsenter"), f"--target={self._holder.pid}", "--net", "--mount", "--")
        self._variables = environment(self._directory / "client")
        try:
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == "ready\n", "the machine's namespaces could not be made"
            self.daemon = Dockerd(parallel=5, within=self._inside)
        except BaseException:
            self._remove()
            raise
        self._variables["DOCKER_HOST"] = self.daemon.socket
        self.docker = Tool("docker", self._variables, within=self._inside)

    def sh(self, line: str, *, stdin: str = "", seconds: float = COMMAND_SECONDS) -> str:
        """What a command line prints, on both outputs. Raises `ToolFailed` with all of it when it fails."""
        done = self._run(line, stdin, seconds)
        if done.returncode != 0:
            raise ToolFailed(f"{line}\nended with {done.returncode}\n{done.stdout}")
        return done.stdout.strip()

    def fails(self, line: str, *, stdin: str = "", seconds: float = COMMAND_SECONDS) -> str:
        """What a command line prints that has to fail. Raises `ToolFailed` when it does not."""
        done = self._run(line, stdin, seconds)
        if done.returncode == 0:
            raise ToolFailed(f"{line}\ndid not fail\n{done.stdout}")
        return done.stdout.strip()

    def _run(self, line: str, stdin: str, seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*self._inside, "/bin/sh", "-c", f"cd {self.home} && {line}"],
                env=self._variables,
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolFailed(f"{line}\ntook longer than {seconds} s\n{error.output!r}") from error

    def answers(self, url: str, *options: str, seconds: float = 60.0) -> None:
        """Wait until GET of `url` succeeds, for curl with `options`. Raises `TimeoutError`."""
        curl = Tool(
            "curl", self._variables, ("--silent", "--fail", "--output", "/dev/null", *options), within=self._inside
        )

        def answered() -> bool:
            with contextlib.suppress(ToolFailed):
                curl(url)
                return True
            return False

        wait_until(answered, url, seconds)

    def says(self, container: str, words: str, seconds: float = 60.0) -> None:
        """Wait until the log of a container has `words`: Docker takes it in a little later. Raises `TimeoutError`."""
        wait_until(
            lambda: words in self.sh(f"docker logs {container}"), f"{words!r} in the log of {container}", seconds
        )

    def healthy(self, container: str, seconds: float = 60.0) -> None:
        """Wait until Docker's own check holds a container for healthy. Raises `TimeoutError`."""
        status = ("inspect", "--format", "{{.State.Health.Status}}", container)
        wait_until(lambda: self.docker(*status) == "healthy", f"{container} to be healthy", seconds)

    def knows(self, name: str, address: str) -> None:
        """Add a line to its hosts file, and wait until Docker has read it: Go programs look there every five seconds only."""
        with self._hosts.open("a") as hosts:
            hosts.write(f"{address} {name}\n")
        wait_until(lambda: "lookup" not in self.fails(f"docker pull {name}:1/nothing"), f"Docker to find {name}", 60)

    def wire(self, other: "Machine", own: str, others: str) -> None:
        """Lay a cable to another machine; each end gets an address with a prefix, `192.0.2.1/24`."""
        near, far = f"hf{self._holder.pid}", f"hf{other._holder.pid}"
        ends = ["name", near, "type", "veth", "peer", "name", far, "netns", str(other._holder.pid)]
        subprocess.run([*self._inside, program("ip"), "link", "add", *ends], check=True)
        for machine, name, address in ((self, near, own), (other, far, others)):
            for words in (["address", "add", address, "dev", name], ["link", "set", name, "up"]):
                subprocess.run([*machine._inside, program("ip"), *words], check=True)

    def containers(self) -> str:
        """What runs there, and the end of each container's log."""
        try:
            text = [self.sh("docker ps --all")]
            text += [self.sh(f"docker logs --tail 30 {name}") for name in self.docker("ps", "--all", "--quiet").split()]
        except AssertionError as error:
            return f"{error}\n{self.daemon.log_tail()}"
        return "\n---\n".join(text)

    def clear(self) -> None:
        """Remove all containers with their volumes, all volumes and networks, and what is in `home`."""
        containers = self.docker("ps", "--all", "--quiet").split()
        if containers:
            self.docker("rm", "--force", "--volumes", *containers)
        for name in self.docker("volume", "ls", "--quiet").split():
            self.docker("volume", "rm", name)
        self.docker("network", "prune", "--force")
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self._hosts.write_text(HOSTS)

    def stop(self) -> None:
        """End everything on it and remove it."""
        try:
            for container in self.docker("ps", "--quiet").split():
                self.docker("kill", container)
        finally:
            try:
                self.daemon.stop()
            finally:
                self._remove()

    def _remove(self) -> None:
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        shutil.rmtree(self._directory, ignore_errors=True)
