"""A second machine: a copy of this one's files that is thrown away, with systemd as its first process and a network of its own."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from clients.tools import program
from harness.server import wait_until

START_SECONDS = 120.0
STOP_SECONDS = 60.0
LOG_TAIL = 4000
DIES_WITH_US = (program("setpriv"), "--pdeathsig", "KILL", "--")
CHECKOUT = Path("/srv/holdfast")
# The mounts, then a process that holds them open; they go with it. `$1` is a directory for them, `$2` the checkout.
# What belongs to the copied machine's own disks and network would only be waited for.
SET_UP = f"""
set -eu
layer() {{ mkdir -p "$1/upper" "$1/work"; mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$3"; }}
mkdir "$1/layers" "$1/root"
mount -t tmpfs tmpfs "$1/layers"
layer "$1/layers/root" / "$1/root"
mkdir -p "$1/root{CHECKOUT}" "$1/root/etc/systemd/system"
layer "$1/layers/checkout" "$2" "$1/root{CHECKOUT}"
for name in NetworkManager-wait-online systemd-networkd-wait-online; do
    ln -sf /dev/null "$1/root/etc/systemd/system/$name.service"
done
for name in fstab crypttab; do
    : >"$1/root/etc/$name"
done
echo ready
exec sleep infinity
"""


class Booted:
    """The copy. `checkout`: a directory of which it has a copy at `CHECKOUT`.

    First `before_boot` runs commands in it, with this machine's network; after `boot` there is `run`, with an empty one. `root` leads to
    its files. `close` ends and removes it.
    """

    def __init__(self, checkout: Path) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="holdfast-booted-"))
        self._boot: subprocess.Popen[bytes] | None = None
        self.log = self._directory / "boot.log"
        unshare = [program("unshare"), "--mount", "--propagation", "private", "--"]
        self._holder = subprocess.Popen(
            [*DIES_WITH_US, *unshare, "/bin/sh", "-c", SET_UP, "sh", str(self._directory), str(checkout)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.root = Path(f"/proc/{self._holder.pid}/root{self._directory}/root")
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self.close()
            raise AssertionError("the copy's file systems could not be mounted")

    def _nspawn(self, *options: str) -> list[str]:
        inside = [*DIES_WITH_US, program("nsenter"), f"--target={self._holder.pid}", "--mount", "--"]
        command = [program("systemd-nspawn"), "--quiet", f"--directory={self._directory}/root", "--register=no"]
        return [*inside, *command, "--keep-unit", "--link-journal=no", *options]

    def before_boot(self, script: str, seconds: float = 300) -> str:
        """Run a shell script in the checkout's directory, as root: what it wrote. Raises `AssertionError` when it fails."""
        settings = [f"--setenv={name}={value}" for name, value in os.environ.items() if _is_for_pip(name)]
        command = self._nspawn("--pipe", f"--chdir={CHECKOUT}", *settings, "sh", "-euxc", script)
        return _output(command, seconds)

    def boot(self) -> None:
        """Start systemd and wait until it starts units. Raises `AssertionError` with its messages when it does not."""
        with self.log.open("wb") as log:
            self._boot = subprocess.Popen(
                self._nspawn("--private-network", "--boot", "--", "--unit=basic.target"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._booted, "systemd", START_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.log_tail()}") from error

    def _booted(self) -> bool:
        assert self._boot is not None
        assert self._boot.poll() is None, f"systemd ended\n{self.log_tail()}"
        if not self._first_process():
            return False
        try:
            return self.run("systemctl is-active basic.target || true", 20).strip() == "active"
        except AssertionError:
            return False

    def _first_process(self) -> str:
        assert self._boot is not None
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children").read_text().split()
        return children[0] if children else ""

    def run(self, script: str, seconds: float = 120) -> str:
        """Run a shell script on the booted machine, as root: what it wrote. Raises `AssertionError` when it fails."""
        command = [program("nsenter"), f"--target={self._first_process()}", "--all", "--"]
        return _output([*command, "sh", "-euc", script], seconds)

    def log_tail(self) -> str:
        """The end of what it wrote while booting."""
        return f"--- {self.log}\n{self.log.read_text(errors='replace')[-LOG_TAIL:]}"

    def close(self) -> None:
        """End it, as a power cut would, and remove all that was made."""
        if self._boot is not None:
            if self._boot.poll() is None and (first := self._first_process()):
                os.kill(int(first), signal.SIGKILL)
                self._boot.wait(STOP_SECONDS)
            self._boot.kill()
            self._boot.wait()
        self._holder.kill()
        self._holder.wait()
        if self._holder.stdout is not None:
            self._holder.stdout.close()
        shutil.rmtree(self._directory)


def _is_for_pip(name: str) -> bool:
    return name.startswith("PIP_") or name.lower() in {"http_proxy", "https_proxy", "no_proxy"}


def _output(command: Sequence[str], seconds: float) -> str:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]}\nended with {done.returncode}\n{done.stdout}"
    return done.stdout
