"""What a reader of a walk-through does at the client: names, certificates, images."""

from pathlib import Path

from image.building import BASE
from image.machine import Machine

NAME = "registry.example.com"
# Docker takes every name that leads to 127.0.0.1 for insecure, so the machine gets another address.
ADDRESS = "192.0.2.10"


def named(machine: Machine) -> None:
    """Give the machine an address, and that the registry's name."""
    machine.sh(f"ip address replace {ADDRESS}/32 dev lo")
    machine.knows(NAME, ADDRESS)


def make_certificate(machine: Machine, certificate: Path, key: Path) -> None:
    """A certificate of the reader's own making, as the documents leave to them."""
    machine.sh(
        f"openssl req -newkey rsa:2048 -nodes -sha256 -keyout {key} -x509 -days 365 -out {certificate}"
        f" -subj /CN={NAME} -addext subjectAltName=DNS:{NAME}"
    )


def trust(machine: Machine, certificate: Path, registry: str) -> None:
    """Make the machine's Docker trust a registry's certificate."""
    machine.sh(f"mkdir -p /etc/docker/certs.d/{registry}")
    machine.sh(f"cp {certificate} /etc/docker/certs.d/{registry}/ca.crt")


def push_and_pull(machine: Machine, name: str, registry: str, size: int) -> None:
    """Commit an image with a layer of `size` random bytes, push it, forget it, pull it, and run it."""
    script = f"import os; os.mkdir('/my_application'); open('/my_application/layer', 'wb').write(os.urandom({size}))"
    machine.docker("tag", BASE, "ubuntu")
    machine.sh(f'docker run ubuntu python3 -c "{script}"')
    machine.sh(f"docker commit $(docker ps -lq) {name}")
    words = machine.sh(f"docker run --rm {name} sha256sum /my_application/layer")
    machine.sh(f"docker tag {name} {registry}/{name}")
    machine.sh(f"docker push {registry}/{name}")
    machine.sh("docker rm $(docker ps -lq)")
    machine.sh(f"docker rmi {name} {registry}/{name}")
    machine.sh(f"docker pull {registry}/{name}")
    assert machine.sh(f"docker run --rm {registry}/{name} sha256sum /my_application/layer") == words
