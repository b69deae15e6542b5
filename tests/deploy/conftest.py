"""What the tests of deployments share."""

import os

import pytest


@pytest.fixture(scope="session")
def root() -> None:
    """Containers and a machine with systemd need root. Elsewhere than in continuous integration these tests may be left out."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("tests of deployments need root")
        pytest.skip("tests of deployments need root")
