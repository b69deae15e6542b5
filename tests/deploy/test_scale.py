"""docs/scale.md, run: an installation moves to PostgreSQL and an object store, and three nodes behind nginx serve it."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from clients.dockerd import Dockerd
from clients.images import build
from clients.tools import SEARCH_PATH, Tool, environment
from deploy.document import DEPLOY, ROOT, SCALE, blocks
from deploy.test_kubernetes import VERSIONS
from harness.http import Client
from harness.postgresql import PostgreSQL
from harness.repository import Repository
from harness.server import Server, free_port, wait_until
from harness.swift import Swift

PORTS = ("5000", "5001", "5002", "5003")
NODES = PORTS[1:]
SECONDS = 300
MANIFEST = DEPLOY / "scale" / "holdfast.yaml"


class Reader:
    """Somebody who does what the document says, as root in a checkout, and has put in the addresses of this machine and nothing else."""

    def __init__(self, checkout: Path, home: Path, database: PostgreSQL, store: Swift, old: Path) -> None:
        self.directory = checkout
        self.ports = {port: str(free_port()) for port in PORTS}
        self._changes = {
            **self.ports,
            "db.example.com:5432": f"127.0.0.1:{database.port}",
            "https://s3.example.com": store.endpoint,
            "bucket: registry": f"bucket: {store.new_bucket()}",
            "the-access-key": store.access_key,
            "the-secret-key": store.secret_key,
            "/var/lib/registry": str(old),
        }
        self.engine = Dockerd(parallel=3)
        clients = {name: value for name, value in environment(home).items() if not name.startswith("REGISTRY_")}
        self._variables = clients | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), SEARCH_PATH]),
            "DOCKER_HOST": self.engine.socket,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(database.port),
        }
        self.docker = Tool("docker", self._variables)

    def here(self, text: str) -> str:
        """A text of the document with this machine's addresses in it."""
        words = "|".join(re.escape(word) for word in sorted(self._changes, key=len, reverse=True))
        return re.sub(rf"(?<!\d)(?:{words})(?!\d)", lambda found: self._changes[found[0]], text)

    def do(self, block: str) -> str:
        """Run a block as a script; gives what it prints. Raises `AssertionError`."""
        done = subprocess.run(
            ["sh", "-e", "-c", self.here(block)],
            cwd=self.directory,
            env=self._variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{self.logs()}"
        return done.stdout

    def adapt(self) -> None:
        """Put the addresses into the files."""
        for name in ("config.yml", "registry.env", "nginx.conf"):
            file = self.directory / name
            file.write_text(self.here(file.read_text("utf-8")))

    def logs(self) -> str:
        """The ends of all logs."""
        return "\n".join(f"--- {log}\n{log.read_text()[-2000:]}" for log in sorted(self.directory.glob("*.log")))

    def log(self, port: str) -> str:
        """The log of the node that the document has at this port."""
        return (self.directory / self.here(f"node-{port}.log")).read_text()

    def await_starts(self, *numbers: int) -> None:
        """Wait until the nodes have said so many times each that they serve: a first worker answers a little before that."""

        def started() -> bool:
            return tuple(self.log(port).count("serving url") for port in NODES) == numbers

        wait_until(started, f"the nodes to have started {numbers} times", 60)

    def close(self) -> None:
        """End what was started."""
        for file in (*self.directory.glob("node-*.pid"), *self.directory.glob("nginx.pid")):
            with suppress(ProcessLookupError):
                os.kill(int(file.read_text()), signal.SIGTERM)
        self.engine.stop()


@pytest.fixture
def reader(root: None, open_directory: Path, postgresql: PostgreSQL, swift: Swift, tmp_path: Path) -> Iterator[Reader]:
    """In a directory that others may enter: nginx's workers are not root."""
    checkout = open_directory / "checkout"
    checkout.mkdir()
    (checkout / "deploy").symlink_to(ROOT / "deploy")
    (tmp_path / "home").mkdir()
    someone = Reader(checkout, tmp_path / "home", postgresql, swift, tmp_path / "root")
    try:
        yield someone
    finally:
        someone.close()
        postgresql.run("DROP DATABASE IF EXISTS registry WITH (FORCE)")
        postgresql.run("DROP ROLE IF EXISTS registry")
        shutil.rmtree(checkout)


def test_the_document(reader: Reader, tmp_path: Path) -> None:
    """All of its commands in the order in which somebody with an installation follows them."""
    prepare, look, start, front, push, kill, add, clean = blocks("Three nodes on one machine", "sh", SCALE)
    copy, move = blocks("Moving there", "sh", SCALE)
    build(reader.docker, tmp_path / "alpine", "alpine", layer_size=10 << 20)
    reader.do(prepare)
    reader.directory /= "scale"
    reader.adapt()
    assert "problem" not in reader.do(look).replace("0 problem", "")

    with Server(tmp_path) as old:
        Repository(Client(old), "before").push_image("v1")
        reader.do(copy)
        Repository(Client(old), "before").push_image("v2")
    reader.do(move)
    reader.do(start)
    assert '"write":true' in reader.do(front).replace(" ", "")
    public = f"http://localhost:{reader.ports['5000']}"
    assert '"tags":["v1","v2"]' in reader.do(f"curl --fail --silent {public}/v2/before/tags/list").replace(" ", "")

    reader.do(push)
    assert all("method=PATCH" in log or "method=POST" in log for log in map(reader.log, NODES)), reader.logs()
    reader.do(kill)
    reader.do(add)
    reader.await_starts(1, 2, 1)
    reader.do(clean)

    [roll] = blocks("Upgrades", "sh", SCALE)
    reader.do(roll)
    reader.await_starts(2, 3, 2)
    pulled = "docker image rm localhost:5000/alpine:again; docker pull localhost:5000/alpine:again"
    reader.do(pulled)

    dump, restore = blocks("Backups", "sh", SCALE)
    reader.do(dump)
    stop = 'for file in node-*.pid; do kill "$(cat $file)"; done; for port in 5001 5002 5003; do'
    stop += " while curl --silent --output /dev/null http://127.0.0.1:$port/healthz; do sleep 0.1; done; done"
    reader.do(stop)
    reader.do(restore)
    reader.do(pulled)
    reader.do(stop)
    [export] = blocks("registry:2, and back", "sh", SCALE)
    reader.do(export)


def resources() -> list[dict[str, Any]]:
    return [*yaml.safe_load_all(MANIFEST.read_text("utf-8"))]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("resource", resources(), ids=lambda resource: resource["kind"])
def test_resource_is_right_by_the_schema(resource: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(resource, version, strict=True)


def test_names_agree() -> None:
    settings, service, budget, deployment = resources()
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    for selector in (
        service["spec"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        deployment["spec"]["selector"]["matchLabels"],
        pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert set(volumes) == {mount["name"] for mount in container["volumeMounts"]}
    assert volumes["configuration"]["configMap"]["name"] == settings["metadata"]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"] == "http"
    [create, _] = blocks("Three nodes on one machine", "text", SCALE)[-1].splitlines()
    assert container["envFrom"][0]["secretRef"]["name"] in create


def test_the_cluster_has_the_configuration_of_the_example() -> None:
    theirs = yaml.safe_load(resources()[0]["data"]["config.yml"])
    assert theirs == yaml.safe_load((DEPLOY / "scale" / "config.yml").read_text("utf-8"))


def test_every_block_is_run() -> None:
    """Each block of commands in the document is one of those above."""
    text = SCALE.read_text("utf-8")
    sections = ("Three nodes on one machine", "Moving there", "Upgrades", "Backups", "registry:2, and back")
    run = [*itertools.chain.from_iterable(blocks(section, "sh", SCALE) for section in sections)]
    assert len(re.findall(r"^```sh$", text, re.MULTILINE)) == len(run) == 14
