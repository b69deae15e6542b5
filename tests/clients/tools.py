"""Command-line clients as callables, in a home directory of their own."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Distribution packages first: a client and its daemon then come from the same place.
SEARCH_PATH = os.pathsep.join(["/usr/bin", "/usr/sbin", os.environ.get("PATH", ""), "/bin", "/sbin"])

STORAGE_CONF = """
[storage]
driver = "vfs"
graphroot = "{home}/storage"
runroot = "{home}/storage-run"
"""
# Podman asks for higher limits than some machines allow at all.
CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{home}/libpod"
"""
POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'


class ToolFailed(AssertionError):
    """A client ended with a status that the test did not want."""


def program(name: str) -> str:
    """The path of an installed program. Raises `AssertionError` when there is none."""
    path = shutil.which(name, path=SEARCH_PATH)
    assert path is not None, f"{name} is not installed; ./test installs it or says how to"
    return path


def environment(home: Path) -> dict[str, str]:
    """Variables that keep every client inside of `home`: credentials, images, policy and locks."""
    containers = home / ".config" / "containers"
    containers.mkdir(parents=True)
    (containers / "policy.json").write_text(POLICY)
    (containers / "storage.conf").write_text(STORAGE_CONF.format(home=home))
    (containers / "containers.conf").write_text(CONTAINERS_CONF.format(home=home))
    (containers / "registries.conf").write_text("")
    (home / "auth.json").write_text("{}")
    (home / "run").mkdir(mode=0o700)
    return {
        "PATH": SEARCH_PATH,
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "DOCKER_CONFIG": str(home / ".docker"),
        "REGISTRY_AUTH_FILE": str(home / "auth.json"),
        "CONTAINERS_CONF": str(containers / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(containers / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(containers / "registries.conf"),
        # Neither needs more rights than a build in a container has.
        "BUILDAH_ISOLATION": "chroot",
        "DOCKER_BUILDKIT": "0",
    }


class Tool:
    """A client program with fixed variables and leading arguments; `within` runs a program in other namespaces."""

    def __init__(
        self, name: str, variables: Mapping[str, str], options: Sequence[str] = (), *, within: Sequence[str] = ()
    ) -> None:
        self.name = name
        self._command = (*within, program(name), *options)
        self.variables = dict(variables)

    def _run(self, arguments: Sequence[str], stdin: str, seconds: float) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *arguments]
        try:
            return subprocess.run(
                command,
                env=self.variables,
                input=stdin,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ToolFailed(f"{command} took longer than {seconds} s\n{error.output!r}\n{error.stderr!r}") from error

    def __call__(self, *arguments: str, stdin: str = "", seconds: float = 120) -> str:
        """Run it: what it wrote to its standard output. Raises `ToolFailed` when it fails."""
        done = self._run(arguments, stdin, seconds)
        if done.returncode != 0:
            raise ToolFailed(f"{done.args} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout.strip()

    def fails(self, *arguments: str, stdin: str = "", seconds: float = 120) -> str:
        """Run it, expecting failure: all that it wrote. Raises `ToolFailed` when it succeeds."""
        done = self._run(arguments, stdin, seconds)
        if done.returncode == 0:
            raise ToolFailed(f"{done.args} did not fail\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr

    def at_once(self, commands: Sequence[Sequence[str]]) -> list[str]:
        """Run it several times at once: what each wrote to its standard output. Raises `ToolFailed` when any fails."""
        with ThreadPoolExecutor(len(commands)) as threads:
            return list(threads.map(lambda command: self(*command), commands))
