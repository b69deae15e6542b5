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

START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOG_TAIL = 4000
# What belongs to the copied machine's disks and network would only be waited for.
EMPTY = ("etc/fstab", "etc/crypttab")
MASKED = ("NetworkManager-wait-online.service", "systemd-networkd-wait-online.service")
CHECKOUT = Path("/srv/holdfast")


class Booted:
    """The copy. `checkout`: a directory of which it has a copy at `CHECKOUT`.

    First `before_boot` runs commands in it, with this machine's network; after `boot` there is `run`, with an empty one.
    `close` ends and removes it.
    """

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self._directory = Path(tempfile.mkdtemp(prefix="holdfast-machine-"))
        self._mounts: list[Path] = []
        self._boot: subprocess.Popen[bytes] | None = None
        self.root = self._directory / "root"
        self.log = self._directory / "boot.log"
        try:
            self._copy()
        except BaseException:
            self.close()
            raise

    def _copy(self) -> None:
        layers = self._directory / "layers"
        self._mount(layers, "-t", "tmpfs", "tmpfs")
        self._overlay(Path("/"), layers / "root", self.root)
        self._overlay(self._checkout, layers / "checkout", self.root / CHECKOUT.relative_to("/"))
        units = self.root / "etc/systemd/system"
        units.mkdir(parents=True, exist_ok=True)
        for name in MASKED:
            (units / name).unlink(missing_ok=True)
            (units / name).symlink_to("/dev/null")
        for name in EMPTY:
            (self.root / name).write_text("")

    def _overlay(self, lower: Path, layer: Path, point: Path) -> None:
        (layer / "upper").mkdir(parents=True)
        (layer / "work").mkdir()
        options = f"lowerdir={lower},upperdir={layer / 'upper'},workdir={layer / 'work'}"
        self._mount(point, "-t", "overlay", "overlay", "-o", options)

    def _mount(self, point: Path, *arguments: str) -> None:
        point.mkdir(parents=True, exist_ok=True)
        subprocess.run([program("mount"), *arguments, str(point)], check=True)
        self._mounts.append(point)

    def _nspawn(self, *options: str) -> list[str]:
        command = [program("systemd-nspawn"), "--quiet", f"--directory={self.root}", "--register=no", "--keep-unit"]
        return [*command, "--link-journal=no", *options]

    def before_boot(self, script: str, seconds: float = 300) -> str:
        """Run a shell script in the checkout's directory, as root: what it wrote. Raises `AssertionError` when it fails."""
        settings = [f"--setenv={name}={value}" for name, value in os.environ.items() if name.startswith("PIP_")]
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
        command = [program("nsenter"), "--target", self._first_process(), "--all", f"--wd={self.root}"]
        return _output([*command, "sh", "-euc", script], seconds)

    def log_tail(self) -> str:
        """The end of what it wrote while booting."""
        return f"--- {self.log}\n{self.log.read_text(errors='replace')[-LOG_TAIL:]}"

    def close(self) -> None:
        """Power off and remove all that was made."""
        if self._boot is not None:
            self._boot.send_signal(signal.SIGTERM)
            try:
                self._boot.wait(STOP_SECONDS)
            finally:
                self._boot.kill()
                self._boot.wait()
        for point in reversed(self._mounts):
            subprocess.run([program("umount"), "--lazy", str(point)], check=True)
        shutil.rmtree(self._directory)


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
