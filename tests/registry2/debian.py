"""Debian's docker-registry 2.8.2 on a directory that Holdfast uses too."""

import subprocess
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
