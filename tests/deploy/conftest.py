"""What the tests of deployments share."""

import os

import pytest

from deploy import nginx_image
from image.machine import Machine


@pytest.fixture(scope="session")
def root() -> None:
    """A machine with systemd needs root. Elsewhere than in continuous integration these tests may be left out."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("tests of deployments need root")
        pytest.skip("tests of deployments need root")


@pytest.fixture(scope="session")
def nginx_images(docker_host: Machine, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The images of nginx that the compose files name."""
    nginx_image.make(docker_host, tmp_path_factory.mktemp("nginx"), "nginx:1.9", "nginx:stable")
