"""Fixtures for tests with the image: `docker_host` has it, `image` is its name, `machine` is cleared after each test."""

import os
from collections.abc import Iterator

import pytest

from image.building import NAME, build
from image.machine import Machine


@pytest.fixture(scope="session")
def docker_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with Docker and the image, built once in a session."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("tests with the image need root")
        pytest.skip("tests with the image need root")
    machine = Machine()
    try:
        build(machine, tmp_path_factory.mktemp("image"))
        yield machine
    finally:
        machine.stop()


@pytest.fixture(scope="session")
def image(docker_host: Machine) -> str:
    """The image's name on `docker_host`."""
    return NAME


@pytest.fixture
def machine(docker_host: Machine, image: str) -> Iterator[Machine]:
    """`docker_host` without containers and volumes, and with an empty home directory."""
    yield docker_host
    docker_host.clear()
