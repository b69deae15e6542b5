"""Debian's docker-registry 2.8.2 and Holdfast on one directory."""

import os
import subprocess
import sys
from pathlib import Path

from harness.content import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX
from harness.server import Server, free_port

CONFIGURATION = """\
version: 0.1
log: {accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ROOT}
  delete: {enabled: true}
http: {addr: "127.0.0.1:0"}
"""
ACCEPT = [("Accept", kind) for kind in (OCI_IMAGE, OCI_INDEX, DOCKER_IMAGE, DOCKER_LIST, "*/*")]


def command(directory: Path, *words: str) -> list[str]:
    """A command line of docker-registry for what lies in `directory/root`; its configuration is written beside that."""
    configuration = directory / "config.yml"
    configuration.write_text(CONFIGURATION.replace("ROOT", str(directory / "root")))
    # It takes a set AWS_CA_BUNDLE for its own, though it has no use for it.
    return ["env", "-u", "AWS_CA_BUNDLE", "docker-registry", *words, str(configuration)]


def docker_registry(directory: Path, registry: str = "") -> Server:
    """A docker-registry, not started yet, on `directory/root`, with deleting allowed. `registry`: its HOST:PORT, by default a free one."""
    settings = {
        "http.addr": registry or f"127.0.0.1:{free_port()}",
        "storage.filesystem.rootdirectory": str(directory / "root"),
    }
    return Server(directory, settings, command=command(directory, "serve"), ready="/")


def collect_garbage(directory: Path, *options: str) -> str:
    """Run docker-registry's garbage collector, which wants nobody to serve the directory; gives what it prints."""
    line = command(directory, "garbage-collect")
    done = subprocess.run([*line[:-1], *options, line[-1]], check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


def holdfast(directory: Path, **settings: str) -> Server:
    """A Holdfast, not started yet, on `directory/root`, with deleting allowed; it is up when all names are known."""
    return Server(directory, {"server.workers": "2", "storage.delete.enabled": "true", **settings}, ready="/readyz")


def run(directory: Path, *words: str, status: int = 0) -> str:
    """Run a command of Holdfast's on `directory/root`; gives what it prints. Raises `AssertionError` for another exit status."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    variables["REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"] = str(directory / "root")
    line = [sys.executable, "-m", "holdfast", *words]
    done = subprocess.run(
        line, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
