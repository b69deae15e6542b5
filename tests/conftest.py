"""Fixtures for tests against the real server: `registry` (each back end and engine), `client`, `repository`; and for those with the image."""

import itertools
import re
import signal
from collections.abc import Callable, Generator, Iterator

import pytest

from harness.http import Client
from harness.nodes import Nodes, place_for_nodes  # noqa: F401 - one definition for all tests that use it
from harness.postgresql import open_directory, pgbouncer, postgresql  # noqa: F401 - one server for all tests that use it
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server
from harness.swift import swift  # noqa: F401 - one engine for all tests that use it
from image.fixtures import docker_host, image, machine  # noqa: F401 - one definition for all tests that use them
from image.machine import Machine

# The nodes send blobs themselves: `tests/protocol/test_redirects.py` is about redirects, and real clients follow them.
BACK_ENDS = {
    "memory": {"storage": "inmemory", "server.workers": "1"},
    "files": {"server.workers": "2"},
    "nodes": {"server.workers": "1", "storage.redirect.disable": "true"},
}
COMBINATIONS = [("memory", "granian"), ("files", "granian"), ("files", "uvicorn"), ("nodes", "granian")]

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="more examples and rounds where a test draws them at random")
    parser.addoption(
        "--faults", metavar="FILE", help="write what clients noticed of the faults in tests/scale, as JSON"
    )


def pytest_configure() -> None:
    """Asked to end, as by a time limit, clean up as after Ctrl-C: otherwise servers would go on for ever."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether many examples are wanted."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session", params=COMBINATIONS, ids="-".join)
def registry(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    place_for_nodes: Callable[[], dict[str, str]],  # noqa: F811 - the fixture
) -> Iterator[Server]:
    """A running server, or three nodes behind a balancer, with deleting switched on: every back end, and every engine."""
    store, engine = request.param
    settings = {**BACK_ENDS[store], "server.engine": engine, "storage.delete.enabled": "true"}
    directory = tmp_path_factory.mktemp(f"{store}-{engine}")
    with Nodes(directory, settings | place_for_nodes()) if store == "nodes" else Server(directory, settings) as server:
        yield server


@pytest.fixture
def client(registry: Server) -> Client:
    """A client of `registry` that checks what holds for every answer."""
    return Client(registry, check=every_answer)


@pytest.fixture
def direct(registry: Server) -> Client:
    """A client like `client` that asks without a balancer in between.

    nginx answers some requests by itself: paths with a NUL or that lead out of the root with 400, any TRACE with 405.
    """
    return Client(registry.direct, check=every_answer)


@pytest.fixture
def new_repository(request: pytest.FixtureRequest, client: Client) -> Callable[[], Repository]:
    """Makes names of repositories that no other test uses."""
    test = re.sub(r"[^a-z0-9]+", "-", request.function.__name__.lower())
    return lambda: Repository(client, f"{test}/r{next(_numbers)}")


@pytest.fixture
def repository(new_repository: Callable[[], Repository]) -> Repository:
    """A repository that does not exist yet."""
    return new_repository()


@pytest.fixture
def direct_repository(repository: Repository, direct: Client) -> Repository:
    """`repository`, asked without a balancer in between."""
    return Repository(direct, repository.name)


@pytest.fixture
def other(new_repository: Callable[[], Repository]) -> Repository:
    """A second repository of the same server."""
    return new_repository()


@pytest.fixture(scope="session")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Starts servers with settings of a test's own (once for each), and stops them at the end."""
    servers: dict[frozenset[tuple[str, str]], Server] = {}

    def start(**settings: str) -> Server:
        keys = frozenset((key.replace("_", "."), value) for key, value in settings.items())
        if keys not in servers:
            servers[keys] = Server(tmp_path_factory.mktemp("server"), dict(keys)).start()
        return servers[keys]

    yield start
    for server in servers.values():
        server.signal(signal.SIGTERM)
    for server in servers.values():
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the server's log, or the containers' logs, with the failure of a test that used it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for fixture in item.funcargs.values():
            if isinstance(fixture, Server):
                report.sections.append(("server log", fixture.log_tail()))
            if isinstance(fixture, Machine):
                report.sections.append(("containers", fixture.containers()))
    return report
