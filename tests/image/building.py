"""Builds the image as its users do, but without network: on a base made of Debian's packages, from wheels that were fetched before."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from clients.tools import program
from image.machine import Machine

ROOT = Path(__file__).parents[2]
CONTEXT = ("Dockerfile", ".dockerignore", "pyproject.toml", "constraints.txt", "LICENSE", "README.md", "src", "image")
# The release that the Dockerfile's own base is made of.
SUITE = "trixie"
BASE = "debian-python"
NAME = "holdfast"
NEWEST_GLIBC = 41
"""Of 2.x; Debian trixie's."""


def make_base(archive: Path) -> None:
    """Write the root directory of a small Debian with Python; like Python's own images it has no compiled standard library."""
    command = [program("mmdebstrap"), "--quiet", "--variant=essential", "--include=python3,python3-venv"]
    command += [
        "--customize-hook=find $1/usr/lib/python3* -name '*.pyc' -delete",
        "--customize-hook=rm -r $1/usr/share/doc",
    ]
    done = subprocess.run([*command, SUITE, str(archive)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def fetch_wheels(folder: Path, version: str) -> None:
    """Fetch wheels of everything that the image needs, for Python `version` (such as 3.13), by this machine's pip."""
    machine = platform.machine()
    kinds = [f"manylinux_2_{minor}_{machine}" for minor in range(17, NEWEST_GLIBC + 1)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest", str(folder)]
    command += ["--python-version", version, "--constraint", str(ROOT / "constraints.txt")]
    for kind in (*kinds, f"manylinux2014_{machine}"):
        command += ["--platform", kind]
    done = subprocess.run([*command, "setuptools", *_requirements()], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _requirements() -> list[str]:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.findall(r'"\.\[([a-z0-9,]+)\]"', (ROOT / "Dockerfile").read_text("utf-8"))
    wanted = [name for names in extras for name in names.split(",")]
    return [*project["dependencies"], *(one for name in wanted for one in project["optional-dependencies"][name])]


def copy_context(folder: Path) -> None:
    """Copy what `docker build .` needs; the checkout itself stays as it is."""
    folder.mkdir()
    for name in CONTEXT:
        source = ROOT / name
        copy: Callable[..., object] = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)


def build(machine: Machine, directory: Path) -> None:
    """Build the image NAME with the machine's Docker."""
    make_base(directory / "base.tar")
    machine.docker("import", str(directory / "base.tar"), BASE)
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = machine.docker("run", "--rm", "--network", "none", BASE, "python3", "-c", version)
    context = directory / "context"
    copy_context(context)
    fetch_wheels(context / "wheels", python)
    offline = ["PIP_NO_INDEX=1", "PIP_FIND_LINKS=wheels", f"BASE={BASE}"]
    options = [word for argument in offline for word in ("--build-arg", argument)]
    machine.docker("build", "--network", "none", *options, "--tag", NAME, str(context), seconds=600)
