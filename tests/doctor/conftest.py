"""A running server for tests that break what stands in front of it."""

from collections.abc import Iterator

import pytest

from doctor.reports import ANN_LINE
from harness.server import Server


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """No accounts, no TLS, deleting on."""
    with Server(tmp_path_factory.mktemp("plain"), {"storage.delete.enabled": "true"}) as server:
        yield server


@pytest.fixture(scope="session")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the account `ann`, and a user interface on another origin."""
    directory = tmp_path_factory.mktemp("accounts")
    (directory / "users").write_text(ANN_LINE)
    settings = {
        "storage.delete.enabled": "true",
        "auth.htpasswd.path": str(directory / "users"),
        "http.headers": (
            "{Access-Control-Allow-Origin: ['https://ui.example.com'],"
            " Access-Control-Allow-Headers: ['Authorization, Accept'], Access-Control-Allow-Methods: ['GET, HEAD, DELETE'],"
            " Access-Control-Expose-Headers: ['Docker-Content-Digest']}"
        ),
    }
    with Server(directory, settings) as server:
        yield server
