"""Fixtures for tests with real clients: a Docker daemon, registries of four kinds, and the clients in a fresh home."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients.dockerd import Dockerd
from clients.kinds import EVERY
from clients.registries import Account, Registry, RegistryOfNodes, own_address, trusted
from clients.tools import Tool, environment

PARALLEL = 50

_repositories = (f"team/app{number}" for number in range(1, 1_000_000))


@pytest.fixture(scope="session", autouse=True)
def root() -> None:
    """A Docker daemon needs root. Elsewhere than in continuous integration these tests may be left out."""
    if os.geteuid() != 0:
        if os.environ.get("CI") == "true":
            pytest.fail("tests with real clients need root")
        pytest.skip("tests with real clients need root")


@pytest.fixture(scope="session")
def daemon(root: None) -> Iterator[Dockerd]:
    """The Docker daemon."""
    dockerd = Dockerd(parallel=PARALLEL)
    yield dockerd
    dockerd.stop()


@pytest.fixture(scope="session")
def own_host(root: None) -> Iterator[str]:
    """An address for which clients check certificates."""
    with own_address() as address:
        yield address


@pytest.fixture(scope="session")
def new_registry(
    tmp_path_factory: pytest.TempPathFactory, own_host: str, place_for_nodes: Callable[[], dict[str, str]]
) -> Iterator[Callable[[str], Registry]]:
    """Starts registries of a kind, as `kinds` names them; they run until the end of the session."""
    with ExitStack() as running:

        def start(kind: str) -> Registry:
            tls = "tls" in kind
            account = Account("ada", secrets.token_urlsafe()) if "accounts" in kind else None
            host = own_host if tls else "127.0.0.1"
            directory = tmp_path_factory.mktemp(kind)
            if "nodes" not in kind:
                return running.enter_context(Registry(directory, host, tls=tls, account=account))
            settings = {**place_for_nodes(), "server.workers": "1"}
            if "streaming" in kind:
                settings["storage.redirect.disable"] = "true"
            return running.enter_context(RegistryOfNodes(directory, host, tls=tls, account=account, further=settings))

        yield start


@pytest.fixture(scope="session")
def registries(new_registry: Callable[[str], Registry]) -> Iterator[Callable[[str], Registry]]:
    """The registry of a kind, which clients trust."""
    known: dict[str, Registry] = {}
    with ExitStack() as trust:

        def find(kind: str) -> Registry:
            if kind not in known:
                known[kind] = new_registry(kind)
                if known[kind].authority is not None:
                    trust.enter_context(trusted(known[kind]))
            return known[kind]

        yield find


@pytest.fixture(params=EVERY)
def registry(request: pytest.FixtureRequest, registries: Callable[[str], Registry]) -> Registry:
    """A running registry with deleting switched on: every kind, unless a test names some."""
    return registries(request.param)


@pytest.fixture
def repository() -> str:
    """The name of a repository that no other test uses."""
    return next(_repositories)


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home directory for the clients; its path is short, for they make sockets in it."""
    path = Path(tempfile.mkdtemp(prefix="holdfast-home-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def variables(home: Path) -> dict[str, str]:
    """The clients' environment."""
    return environment(home)


@pytest.fixture
def docker(variables: dict[str, str], daemon: Dockerd) -> Tool:
    """Docker, signed in nowhere."""
    return Tool("docker", variables | {"DOCKER_HOST": daemon.socket})


@pytest.fixture
def skopeo(variables: dict[str, str]) -> Tool:
    """Skopeo, signed in nowhere."""
    return Tool("skopeo", variables)


@pytest.fixture
def podman(variables: dict[str, str]) -> Tool:
    """Podman without images, signed in nowhere."""
    return Tool("podman", variables)


@pytest.fixture
def buildah(variables: dict[str, str]) -> Tool:
    """Buildah without images, signed in nowhere."""
    return Tool("buildah", variables)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the Docker daemon's log with the failure of a test that used it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for fixture in item.funcargs.values():
            if isinstance(fixture, Dockerd):
                report.sections.append(("Docker daemon's log", fixture.log_tail()))
    return report
