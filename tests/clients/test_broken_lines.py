"""Connections that break in the middle of a layer: Docker goes on by itself, as it does over a bad network."""

from pathlib import Path

import pytest

from clients.images import MEBIBYTE, write_layer
from clients.kinds import STREAMING
from clients.line import BreakingLine
from clients.registries import Registry
from clients.tools import Tool

LAYER = 24 * MEBIBYTE
BROKEN_AFTER = 8 * MEBIBYTE


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """An archive with a file that does not compress."""
    path = tmp_path / "layer.tar"
    write_layer(path, LAYER)
    return path


@STREAMING
def test_docker_pull_resumes_where_the_line_broke(
    docker: Tool, registry: Registry, repository: str, layer: Path
) -> None:
    name = registry.image(repository)
    docker("import", str(layer), name)
    built = docker("image", "inspect", "--format", "{{.Id}}", name)
    docker("push", name)
    docker("rmi", name)

    with BreakingLine(registry.address, after=BROKEN_AFTER) as line:
        broken = f"{line.address[0]}:{line.address[1]}/{repository}"
        docker("pull", broken)

    assert line.cut
    ranges = [request for request in line.requests if b"\r\nRange: bytes=" in request]
    assert len(ranges) == 1
    assert b"Range: bytes=0-" not in ranges[0]
    assert docker("image", "inspect", "--format", "{{.Id}}", broken) == built
    docker("rmi", broken)


@STREAMING
def test_docker_push_starts_again_after_the_line_broke(
    docker: Tool, registry: Registry, repository: str, layer: Path
) -> None:
    name = registry.image(repository)
    with BreakingLine(registry.address, after=BROKEN_AFTER) as line:
        broken = f"{line.address[0]}:{line.address[1]}/{repository}"
        docker("import", str(layer), broken)
        built = docker("image", "inspect", "--format", "{{.Id}}", broken)
        docker("push", broken)
    assert line.cut
    docker("rmi", broken)

    docker("pull", name)

    assert docker("image", "inspect", "--format", "{{.Id}}", name) == built
    docker("rmi", name)
