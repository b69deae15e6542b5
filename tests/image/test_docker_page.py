"""docs/docker.md: every command on the page runs, and does what the page says."""

import re

import pytest

from clients.images import build
from image.building import ROOT
from image.machine import Machine

PAGE = (ROOT / "docs" / "docker.md").read_text("utf-8")
BLOCKS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if not block.startswith("docker build")]
RUN, RECOMMENDED, WITH_FILE, WITH_TLS, EXEC, CHANGE_OVER = BLOCKS
READY = "http://localhost:5000/readyz"
APP = "localhost:5000/app"


def pushed(machine: Machine, name: str = APP) -> None:
    """Push an image under a name."""
    build(machine.docker, machine.home / "app", name)
    machine.sh(f"docker push {name}")


@pytest.mark.parametrize("line", [RUN, RECOMMENDED], ids=["short", "recommended"])
def test_run_line(machine: Machine, image: str, line: str) -> None:
    machine.sh(line)
    machine.answers(READY)
    pushed(machine)
    assert "volume without a name" not in machine.sh("docker logs registry")

    for command in EXEC.splitlines():
        machine.sh(command)


def test_configuration_file(machine: Machine, image: str) -> None:
    (machine.home / "config.yml").write_text(
        "version: 0.1\nhttp:\n  addr: :5000\nstorage:\n  delete:\n    enabled: true\n"
    )
    machine.sh(WITH_FILE)
    machine.answers(READY)
    assert "storage.delete.enabled: true  # file" in machine.sh("docker exec registry holdfast config")


def test_tls_and_passwords(machine: Machine, image: str) -> None:
    machine.knows("registry.example.com", "172.17.0.1")  # Docker itself; it checks no certificates of 127.0.0.1
    machine.sh(WITH_TLS.replace("\n", " && ").replace("\\ && ", "").removesuffix(" && "))
    machine.answers("https://registry.example.com/readyz", "--cacert", f"{machine.home}/registry/certs/registry.crt")
    assert machine.sh("docker exec registry holdfast health") == "healthy"

    name = "registry.example.com:443/app"
    assert "x509" in machine.fails(f"docker pull {name}")
    machine.sh("mkdir -p /etc/docker/certs.d/registry.example.com:443")
    machine.sh("cp registry/certs/registry.crt /etc/docker/certs.d/registry.example.com:443/ca.crt")
    machine.sh("docker login --username ann --password-stdin registry.example.com:443", stdin="her password")
    pushed(machine, name)
    machine.sh("docker logout registry.example.com:443; rm -r /etc/docker/certs.d")


def test_changing_over_keeps_the_images(machine: Machine, image: str) -> None:
    machine.sh(RUN)
    machine.answers(READY)
    pushed(machine)

    machine.sh(CHANGE_OVER.replace("\n", " && ").removesuffix(" && "))
    machine.answers(READY)

    machine.sh(f"docker rmi {APP}")
    machine.sh(f"docker pull {APP}")


@pytest.mark.parametrize("scheme", ["http", "unix"])
def test_ports_below_1024_and_sockets(machine: Machine, image: str, scheme: str) -> None:
    options = "-e REGISTRY_HTTP_ADDR=:443"
    if scheme == "unix":
        options = "-e REGISTRY_HTTP_NET=unix -e REGISTRY_HTTP_ADDR=/var/lib/registry/registry.sock"
    options += " --user 1000 --cap-drop ALL --read-only --health-interval 200ms"
    machine.sh(f"docker run -d --name registry {options} -v images:/var/lib/registry {image}")
    machine.healthy("registry")
