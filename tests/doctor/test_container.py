"""In the container image, beside the registry that runs there."""

import pytest

from image.machine import Machine

READY = "http://localhost:5000/readyz"


@pytest.fixture
def started(machine: Machine, image: str) -> Machine:
    """A machine with the image; its name is `holdfast`."""
    assert image == "holdfast"
    return machine


def test_as_the_slides_start_it(started: Machine) -> None:
    """Root, no volume of its own, no TLS, no accounts: it works, and there is advice."""
    started.sh("docker run -d -p 5000:5000 --restart=always --name registry holdfast")
    started.answers(READY)
    found = started.sh("docker exec registry holdfast doctor")
    assert "advice   volume: /var/lib/registry is an anonymous volume" in found
    assert "give it a name; mount a volume there: docker run -v registry:/var/lib/registry" in found
    assert "advice   user: the registry runs as root in its container" in found
    assert "securityContext: {runAsNonRoot: true" in found
    assert "insecure-registries" in found
    assert "no accounts" in found
    assert "ok       answer: a registry answers on http://127.0.0.1:5000" in found
    assert "0 problem" in found


def test_as_it_is_recommended(started: Machine) -> None:
    started.sh(
        "docker run -d -p 5000:5000 --name registry --user 10001:10001 --read-only -v registry:/var/lib/registry"
        " -e REGISTRY_STORAGE_DELETE_ENABLED=true -e REGISTRY_HTTP_ADDR=127.0.0.1:5000 holdfast"
    )
    found = started.sh(
        "until docker exec registry registry health; do sleep 0.1; done; docker exec registry holdfast doctor"
    )
    assert "the registry runs as user 10001, not as root" in found
    assert "user 10001 may read and write all that the registry needs" in found
    assert "pushed to http://127.0.0.1:5000 and pulled from it: the same bytes" in found
    assert "0 problem, 0 advice, 0 skipped" in found


def test_a_file_that_is_not_there_to_be_mounted(started: Machine) -> None:
    """Docker makes a directory in its place."""
    found = started.fails(
        "docker run --rm -v registry:/var/lib/registry -v $PWD/auth/htpasswd:/auth/htpasswd -e REGISTRY_AUTH=htpasswd"
        " -e REGISTRY_AUTH_HTPASSWD_REALM=Registry -e REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd"
        " --entrypoint holdfast holdfast doctor"
    )
    assert "problem  accounts: /auth/htpasswd is a directory: Docker makes one" in found
    assert "1 problem" in found
