"""Docker: build, push, pull, run, retag and delete, on every kind of registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.images import build, write_layer
from clients.kinds import PLAIN, PLAIN_AND_GUARDED
from clients.registries import Registry, sign_in
from clients.tools import Tool
from harness.content import DOCKER_IMAGE
from harness.server import wait_until

GIBIBYTE = 1 << 30


def image_id(docker: Tool, name: str) -> str:
    """The digest of a local image's configuration, which names the digests of its layers' content."""
    return docker("image", "inspect", "--format", "{{.Id}}", name)


def pushed_digest(docker: Tool, name: str) -> str:
    """The digest under which a local image was pushed or pulled last."""
    return docker("image", "inspect", "--format", "{{index .RepoDigests 0}}", name).partition("@")[2]


def run(docker: Tool, name: str, *command: str) -> str:
    """What an image's container, or a command in it, prints."""
    return docker("run", "--rm", "--network", "none", name, *command)


def test_a_built_image_is_pushed_and_pulled_and_runs(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(docker, registry)
    name = registry.image(repository)
    words = build(docker, tmp_path / "context", name)
    built = image_id(docker, name)
    docker("push", name)
    docker("rmi", name)
    assert "No such image" in docker.fails("image", "inspect", name)

    assert f"Downloaded newer image for {name}" in docker("pull", name)

    assert image_id(docker, name) == built
    assert run(docker, name) == words


@PLAIN
def test_docker_push_twice_uploads_once(docker: Tool, registry: Registry, repository: str, tmp_path: Path) -> None:
    name = registry.image(repository)
    build(docker, tmp_path / "context", name, layers=2)
    first = docker("push", name)
    assert first.count(": Pushed") + first.count(": Mounted from") == 3

    second = docker("push", name)

    assert second.count(": Layer already exists") == 3
    assert first.splitlines()[-1] == second.splitlines()[-1]


@PLAIN
def test_docker_mounts_layers_of_another_repository(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    first, second = registry.image(f"{repository}/first"), registry.image(f"{repository}/second")
    build(docker, tmp_path / "context", first, layers=2)
    docker("push", first)
    docker("tag", first, second)

    said = docker("push", second)

    assert said.count(f": Mounted from {repository}/first") == 3


@PLAIN_AND_GUARDED
def test_a_retagged_image_has_the_same_digest(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(docker, registry)
    first, second = registry.image(repository, "v1"), registry.image(repository, "v2")
    build(docker, tmp_path / "context", first)
    docker("push", first)
    docker("tag", first, second)
    docker("push", second)

    tags = registry.http().get(f"/v2/{repository}/tags/list").expect(200).json()
    assert tags == {"name": repository, "tags": ["v1", "v2"]}
    docker("rmi", first, second)
    docker("pull", "--all-tags", f"{registry.registry}/{repository}")
    assert pushed_digest(docker, first) == pushed_digest(docker, second)
    assert image_id(docker, first) == image_id(docker, second)


@PLAIN
def test_a_moved_tag_pulls_the_new_image(docker: Tool, registry: Registry, repository: str, tmp_path: Path) -> None:
    name = registry.image(repository)
    build(docker, tmp_path / "old", name)
    docker("push", name)
    old = f"{registry.registry}/{repository}@{pushed_digest(docker, name)}"
    words = build(docker, tmp_path / "new", name)
    docker("push", name)
    docker("rmi", name)

    docker("pull", name)
    assert run(docker, name) == words
    docker("pull", old)
    assert run(docker, old) != words


@PLAIN_AND_GUARDED
def test_a_deleted_image_cannot_be_pulled(docker: Tool, registry: Registry, repository: str, tmp_path: Path) -> None:
    sign_in(docker, registry)
    name = registry.image(repository)
    build(docker, tmp_path / "context", name)
    docker("push", name)
    digest = pushed_digest(docker, name)
    docker("rmi", name)

    path = f"/v2/{repository}/manifests/{digest}"
    registry.http().head(path, {"Accept": DOCKER_IMAGE}).expect(200)
    registry.http().delete(path).expect(202)

    assert f"manifest for {name} not found: manifest unknown" in docker.fails("pull", name)


@PLAIN
def test_pulling_what_was_never_pushed_says_so(docker: Tool, registry: Registry, repository: str) -> None:
    name = registry.image(repository)
    assert "not found" in docker.fails("pull", name)


@PLAIN_AND_GUARDED
def test_fifty_layers_go_up_and_down_in_parallel(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(docker, registry)
    name = registry.image(repository)
    words = build(docker, tmp_path / "context", name, layers=50, layer_size=20_000)
    built = image_id(docker, name)
    said = docker("push", name)
    assert said.count(": Pushed") + said.count(": Mounted from") == 51
    docker("rmi", name)

    assert docker("pull", name).count(": Pull complete") >= 50

    assert image_id(docker, name) == built
    assert run(docker, name) == words


@PLAIN
def test_images_go_up_and_down_at_the_same_time(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    names = [registry.image(f"{repository}/part{number}") for number in range(6)]
    words = [build(docker, tmp_path / str(number), name, layers=3) for number, name in enumerate(names)]
    docker.at_once([("push", name) for name in names])
    docker("rmi", *names)
    docker.at_once([("pull", name) for name in names])
    assert [run(docker, name) for name in names] == words


@pytest.fixture(scope="module")
def large_layer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An archive of somewhat more than 1 GiB that does not compress."""
    path = tmp_path_factory.mktemp("large") / "layer.tar"
    write_layer(path, GIBIBYTE + 12345)
    yield path
    path.unlink()


@PLAIN_AND_GUARDED
def test_a_layer_larger_than_a_gibibyte(docker: Tool, registry: Registry, repository: str, large_layer: Path) -> None:
    sign_in(docker, registry)
    name = registry.image(repository)
    docker("import", str(large_layer), name, seconds=300)
    built = image_id(docker, name)
    docker("push", "--quiet", name, seconds=300)
    layers = registry.http().get(f"/v2/{repository}/manifests/latest", {"Accept": DOCKER_IMAGE}).json()["layers"]
    assert [layer["size"] > GIBIBYTE for layer in layers] == [True]
    docker("rmi", name)

    docker("pull", "--quiet", name, seconds=300)

    # Docker checks the digest of each layer, and the image's digest is made of theirs.
    assert image_id(docker, name) == built
    docker("rmi", name)


@PLAIN
def test_what_asks_for_the_first_protocol_is_told(docker: Tool, registry: Registry) -> None:
    """`docker search` is the only command that still speaks it; pushes and pulls never fall back to it."""
    said = docker.fails("search", f"{registry.registry}/anything")
    assert "404" in said
    wait_until(lambda: "path=/v1/search status=404" in registry.log_text(), "the line of the search")
    assert "manifest unknown" in docker.fails("pull", registry.image("unknown"))
    wait_until(lambda: "path=/v2/unknown/manifests/latest" in registry.log_text(), "the line of the pull")
    asked = [line for line in registry.log_text().splitlines() if "path=/v1/" in line]
    assert all("path=/v1/search" in line or "path=/v1/_ping" in line for line in asked)
