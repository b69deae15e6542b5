"""Servers whose logs are read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.server import Server
from serving.processes import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each of the HTTP servers."""
    name: str = request.param
    return name


@pytest.fixture
def server(tmp_path: Path, engine: str) -> Iterator[Server]:
    """A server with the usual log."""
    with Server(tmp_path, {"server.engine": engine}) as running:
        yield running
