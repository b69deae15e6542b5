"""Engines that the tests here may kill, and the book of what was measured."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.postgresql import PostgreSQL
from harness.swift import Swift
from scale.measures import Book
from scale.site import Site, new_place, wires
from scale.takeover import Takeover, dead_node


@pytest.fixture(scope="session")
def book(request: pytest.FixtureRequest) -> Iterator[Book]:
    """What was measured; written to the file that --faults names."""
    written = Book()
    yield written
    file = request.config.getoption("--faults")
    if file:
        written.write(Path(file))


@pytest.fixture(scope="session")
def own_database(open_directory: Path) -> Iterator[PostgreSQL]:
    """A PostgreSQL that is killed."""
    with PostgreSQL(open_directory / "killed", durable=True) as server:
        yield server


@pytest.fixture(scope="session")
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """A Swift that is killed."""
    with Swift(tmp_path_factory.mktemp("killed-swift")) as engine:
        yield engine


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, own_database: PostgreSQL, own_store: Swift) -> Iterator[Site]:
    """Three nodes that are hurt and go on."""
    place = new_place(own_database, own_store)
    with wires(place, 3) as joined, Site(tmp_path_factory.mktemp("site"), place, joined) as running:
        yield running


@pytest.fixture(scope="session")
def takeover(tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL, swift: Swift) -> Iterator[Takeover]:
    """A node that was killed at work, and another one. Leases last a while: let this begin before tests that take some time themselves."""
    with dead_node(tmp_path_factory.mktemp("takeover"), postgresql, swift) as begun:
        yield begun
