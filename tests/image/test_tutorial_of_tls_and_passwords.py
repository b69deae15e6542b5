"""The tutorial "Private Docker Registry": a volume, a self-signed certificate for jb.com, then passwords; a second machine is its client.

Its client is a container that has Docker inside; here it is a machine with Docker, which to the registry is the same. The tutorial
keeps its files in /registry, these tests in `registry` in the home directory.
"""

from collections.abc import Iterator

import pytest

from clients.images import build
from harness.server import wait_until
from image.machine import Machine

CERTIFICATE = "openssl req -newkey rsa:4096 -nodes -sha256 -keyout certs/jb.key -x509 -days 365 -out certs/jb.crt"
# What the command asks: country, state, city, organisation, unit, common name, mail.
ANSWERS = "\n\n\n\n\njb.com\n\n"
WITH_VOLUME = """docker run -d -p 5000:5000 \\
              --restart=always \\
              --name my-registry \\
              -v $PWD/registry:/var/lib/registry \\
              holdfast"""
WITH_TLS = """docker run -d -p 443:443 \\
              --restart=always \\
              --name my-registry \\
              -v $PWD/registry:/var/lib/registry \\
              -e REGISTRY_HTTP_ADDR=0.0.0.0:443 \\
              -e REGISTRY_HTTP_TLS_CERTIFICATE=/var/lib/registry/certs/jb.crt \\
              -e REGISTRY_HTTP_TLS_KEY=/var/lib/registry/certs/jb.key \\
              holdfast"""
WITH_PASSWORDS = """docker run -d -p 443:443 \\
              --restart=always \\
              --name my-registry \\
              -v $PWD/registry:/var/lib/registry \\
              -e "REGISTRY_AUTH=htpasswd" \\
              -e "REGISTRY_AUTH_HTPASSWD_REALM=Registry Realm" \\
              -e REGISTRY_AUTH_HTPASSWD_PATH=/var/lib/registry/auth/htpasswd \\
              -e REGISTRY_HTTP_ADDR=0.0.0.0:443 \\
              -e REGISTRY_HTTP_TLS_CERTIFICATE=/var/lib/registry/certs/jb.crt \\
              -e REGISTRY_HTTP_TLS_KEY=/var/lib/registry/certs/jb.key \\
              holdfast"""
LISTENS = "https://127.0.0.1/v2/"


@pytest.fixture(scope="module")
def client_machine(docker_host: Machine) -> Iterator[Machine]:
    """A second machine with Docker and a few images, that knows the first one by the name jb.com."""
    machine = Machine()
    try:
        docker_host.wire(machine, "192.168.99.123/24", "192.168.99.100/24")
        machine.knows("jb.com", "192.168.99.123")
        for name in ("redis:latest", "ubuntu:14.04"):
            build(machine.docker, machine.home / name, name)
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def client(client_machine: Machine) -> Iterator[Machine]:
    """The second machine, that trusts nobody and is signed in nowhere."""
    yield client_machine
    client_machine.sh(
        "rm -rf /etc/docker/certs.d; docker logout jb.com:443; docker rmi jb.com:443/redis jb.com:443/ubuntu:14.04 || true"
    )


def trust(client: Machine, server: Machine) -> None:
    """What the client's Dockerfile does."""
    client.sh("mkdir -p /etc/docker/certs.d/jb.com:443/")
    client.sh(f"cp {server.home}/registry/certs/jb.crt /etc/docker/certs.d/jb.com:443/")


def test_private_images_in_a_local_directory(machine: Machine) -> None:
    machine.sh(WITH_VOLUME)
    machine.answers("http://localhost:5000/v2/")
    build(machine.docker, machine.home / "redis", "localhost:5000/redis")
    machine.sh("docker push localhost:5000/redis")

    assert machine.sh("ls registry/docker/registry/v2/repositories") == "redis"


def test_certificate_of_the_tutorial_is_refused_by_clients_of_today_and_the_log_says_what_to_do(
    machine: Machine, client: Machine
) -> None:
    machine.sh("mkdir -p registry/certs")
    machine.sh(f"cd registry && {CERTIFICATE}", stdin=ANSWERS)
    machine.sh(WITH_TLS)
    machine.answers(LISTENS, "--insecure")
    trust(client, machine)
    client.sh("docker tag redis:latest jb.com:443/redis")

    # Docker has ignored common names since 20.10 (built with Go 1.15 and later).
    assert "legacy Common Name" in client.fails("docker push jb.com:443/redis")

    advice = "no subject alternative names: Docker and other clients will refuse it; make a new one"
    machine.says("my-registry", advice)
    # The same command with the one option that is missing; nothing but the file changes, and the registry runs on.
    machine.sh(f"cd registry && {CERTIFICATE} -addext subjectAltName=DNS:jb.com", stdin=ANSWERS)
    trust(client, machine)
    wait_until(
        lambda: "digest: sha256:" in client.sh("docker push jb.com:443/redis || true"), "the new certificate", 60
    )


def test_push_and_pull_with_tls_then_with_passwords(machine: Machine, client: Machine) -> None:
    machine.sh("mkdir -p registry/certs")
    advice = machine.sh(
        "docker run --rm -v $PWD/registry/certs:/certs holdfast certificate jb.com --port 443 --directory /certs"
    )
    assert "/etc/docker/certs.d/jb.com" in advice
    machine.sh("cd registry/certs && mv registry.crt jb.crt && mv registry.key jb.key")
    machine.sh(WITH_TLS)
    machine.answers(LISTENS, "--insecure")
    trust(client, machine)

    client.sh("docker tag redis:latest jb.com:443/redis")
    client.sh("docker push jb.com:443/redis")
    assert machine.sh("ls registry/docker/registry/v2/repositories") == "redis"
    assert "jb.com:443/redis" in client.sh("docker images jb.com:443/redis")
    client.sh("docker rmi jb.com:443/redis")
    client.sh("docker pull jb.com:443/redis")

    machine.sh("cd registry && mkdir auth")
    machine.sh("""cd registry && docker run \\
         --entrypoint htpasswd \\
         holdfast -Bbn dockeruser dockerpwd > auth/htpasswd""")
    machine.sh("docker stop my-registry && docker rm my-registry")
    machine.sh(WITH_PASSWORDS)
    machine.answers(LISTENS, "--insecure", "--user", "dockeruser:dockerpwd")

    assert "no basic auth credentials" in client.fails("docker push jb.com:443/redis")
    challenge = machine.sh(f"curl --silent --insecure --head {LISTENS}")
    assert 'www-authenticate: basic realm="registry realm"' in challenge.lower()

    assert "401 Unauthorized" in client.fails(
        "docker login --username dockeruser --password-stdin jb.com:443", stdin="wrong"
    )
    assert "Login Succeeded" in client.sh(
        "docker login --username dockeruser --password-stdin jb.com:443", stdin="dockerpwd"
    )
    client.sh("docker tag ubuntu:14.04 jb.com:443/ubuntu:14.04")
    client.sh("docker push jb.com:443/ubuntu:14.04")
    client.sh("docker rmi jb.com:443/ubuntu:14.04")
    client.sh("docker pull jb.com:443/ubuntu:14.04")
