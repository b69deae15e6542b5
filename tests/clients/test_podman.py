"""Podman and Buildah: build, push, pull and run, each with storage of its own."""

from pathlib import Path

import pytest

from clients.images import build
from clients.kinds import GUARDED, PLAIN
from clients.registries import Registry, sign_in
from clients.tools import Tool


def run(podman: Tool, name: str) -> str:
    """What an image's container prints."""
    return podman("run", "--rm", "--network", "none", name)


def test_podman_builds_pushes_pulls_and_runs(podman: Tool, registry: Registry, repository: str, tmp_path: Path) -> None:
    sign_in(podman, registry)
    name = registry.image(repository, "v1")
    words = build(podman, tmp_path / "context", name, layers=3)
    built = podman("image", "inspect", "--format", "{{.Id}}", name)
    podman("push", registry.verify(), name)
    podman("rmi", "--all", "--force")
    assert podman("images", "--quiet") == ""

    assert podman("pull", registry.verify(), name) == built

    assert run(podman, name) == words


@PLAIN
def test_podman_searches_names_and_lists_tags(
    podman: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    name = f"{registry.registry}/{repository}"
    build(podman, tmp_path / "context", f"{name}:v1")
    podman("tag", f"{name}:v1", f"{name}:v2")
    podman("push", registry.verify(), f"{name}:v1")
    podman("push", registry.verify(), f"{name}:v2")
    listed = [line.split() for line in podman("search", registry.verify(), "--list-tags", name).splitlines()]
    assert listed[1:] == [[name, "v1"], [name, "v2"]]
    # Without a search in the protocol Podman looks through the catalog.
    assert name in podman("search", registry.verify(), "--format", "{{.Name}}", name).splitlines()


def test_buildah_starts_from_a_pulled_image_and_pushes_another(
    buildah: Tool, podman: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(buildah, registry)
    base, made = registry.image(f"{repository}/base"), registry.image(f"{repository}/made")
    build(buildah, tmp_path / "context", base)
    buildah("push", registry.verify(), base)
    buildah("rmi", "--all", "--force")

    container = buildah("from", registry.verify(), base)
    assert buildah("run", container, "/bin/busybox", "echo", "from a pulled image") == "from a pulled image"
    buildah("config", "--cmd", '["/bin/busybox", "echo", "made by buildah"]', container)
    buildah("commit", "--quiet", container, made)
    buildah("push", registry.verify(), made)
    buildah("rm", container)
    buildah("rmi", "--all", "--force")

    podman("pull", registry.verify(), made)
    assert run(podman, made) == "made by buildah"


@GUARDED
@pytest.mark.parametrize("program", ["podman", "buildah"])
def test_wrong_credentials(
    request: pytest.FixtureRequest, program: str, registry: Registry, repository: str, tmp_path: Path
) -> None:
    tool: Tool = request.getfixturevalue(program)
    name = registry.image(repository)
    build(tool, tmp_path / "context", name)
    assert "unauthorized" in tool.fails("push", registry.verify(), name)
    login = ("login", registry.verify(), "--username", "ada", "--password-stdin", registry.registry)
    assert "invalid username/password" in tool.fails(*login, stdin="wrong")
    sign_in(tool, registry)
    tool("push", registry.verify(), name)
    tool("logout", registry.registry)
    tool("rmi", "--all", "--force")
    assert "unauthorized" in tool.fails("pull", registry.verify(), name)
