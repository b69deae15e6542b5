"""Servers to be treated badly."""

from collections.abc import Callable

import pytest

from harness.http import Client
from harness.repository import Repository
from harness.server import Server
from serving.processes import ENGINES


@pytest.fixture(params=ENGINES)
def server(request: pytest.FixtureRequest, start_server: Callable[..., Server]) -> Server:
    """A server with one worker, so that all requests meet the same process, and little patience with bodies."""
    running = start_server(
        server_engine=request.param, server_workers="1", server_bodytimeout="2s", storage_delete_enabled="true"
    )
    warm = Repository(Client(running), "warm/up")  # opens what stays open
    if warm.get("manifests/latest").status == 404:
        warm.push_image("latest")
        Client(running).delete(warm.open_upload()).expect(204)
    return running


@pytest.fixture
def client(server: Server) -> Client:
    """A client of `server`; what holds for every answer of a healthy day need not hold here."""
    return Client(server)
