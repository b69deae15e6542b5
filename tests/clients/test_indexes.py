"""Images for several platforms: an index is made, pushed, copied whole, and pulled for one platform."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.images import build
from clients.kinds import PLAIN_AND_GUARDED
from clients.registries import Registry, sign_in
from clients.tools import Tool
from harness.content import DOCKER_LIST, OCI_INDEX

ARCHITECTURES = ("amd64", "arm64", "s390x")


def raw_digest(skopeo: Tool, registry: Registry, place: str) -> str:
    """The digest of what a tag points at, be it an image or an index."""
    return skopeo("inspect", "--format", "{{.Digest}}", registry.verify(), place)


def push_index(tool: Tool, registry: Registry, name: str, directory: Path, form: str) -> dict[str, str]:
    """Build an image for each architecture and push them as one index: the words of each."""
    words = {}
    tool("manifest", "create", "many")
    for architecture in ARCHITECTURES:
        made = f"made-{architecture}"
        words[architecture] = build(
            tool, directory / architecture, made, options=("--platform", f"linux/{architecture}")
        )
        tool("manifest", "add", "many", f"containers-storage:localhost/{made}")
    tool("manifest", "push", "--all", "--format", form, registry.verify(), "many", f"docker://{name}")
    return words


@PLAIN_AND_GUARDED
@pytest.mark.parametrize(
    ("program", "form", "media_type"),
    [("buildah", "oci", OCI_INDEX), ("podman", "v2s2", DOCKER_LIST)],
)
def test_an_index_is_pushed_and_each_platform_gets_its_image(
    request: pytest.FixtureRequest,
    docker: Tool,
    skopeo: Tool,
    registry: Registry,
    repository: str,
    tmp_path: Path,
    program: str,
    form: str,
    media_type: str,
) -> None:
    tool: Tool = request.getfixturevalue(program)
    for client in (tool, docker, skopeo):
        sign_in(client, registry)
    name = registry.image(repository)
    words = push_index(tool, registry, name, tmp_path, form)

    index = json.loads(skopeo("inspect", "--raw", registry.verify(), f"docker://{name}"))
    assert index["mediaType"] == media_type
    assert [entry["platform"]["architecture"] for entry in index["manifests"]] == list(ARCHITECTURES)
    for architecture in ARCHITECTURES:
        found = skopeo("inspect", "--override-arch", architecture, registry.verify(), f"docker://{name}")
        assert json.loads(found)["Architecture"] == architecture
    docker("pull", "--platform", "linux/amd64", name)
    assert docker("run", "--rm", "--network", "none", name) == words["amd64"]
    docker("pull", "--platform", "linux/s390x", name)
    assert docker("image", "inspect", "--format", "{{.Architecture}}", name) == "s390x"
    assert "no matching manifest" in docker.fails("pull", "--platform", "linux/riscv64", name)
    docker("rmi", name)


@pytest.mark.parametrize("kind", ["tls-accounts", "nodes-tls-accounts"])
def test_skopeo_copies_a_whole_index_between_registries(
    skopeo: Tool, buildah: Tool, registries: Callable[[str], Registry], repository: str, tmp_path: Path, kind: str
) -> None:
    plain, guarded = registries("plain"), registries(kind)
    sign_in(skopeo, guarded)
    push_index(buildah, plain, plain.image(repository), tmp_path, "oci")
    here, there = f"docker://{plain.image(repository)}", f"docker://{guarded.image(repository)}"
    back = f"docker://{plain.image(repository + '/back')}"

    skopeo("copy", "--all", plain.verify("src-tls-verify"), guarded.verify("dest-tls-verify"), here, there)
    skopeo("copy", "--all", guarded.verify("src-tls-verify"), plain.verify("dest-tls-verify"), there, back)

    digest = raw_digest(skopeo, plain, here)
    assert raw_digest(skopeo, guarded, there) == digest
    assert raw_digest(skopeo, plain, back) == digest
    for architecture in ARCHITECTURES:
        skopeo("inspect", "--override-arch", architecture, plain.verify(), back)


@PLAIN_AND_GUARDED
def test_docker_makes_an_index_of_pushed_images(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(docker, registry)
    name = registry.image(repository)
    words = {}
    for architecture in ("amd64", "arm64"):
        words[architecture] = build(docker, tmp_path / architecture, f"{name}-{architecture}")
        docker("push", f"{name}-{architecture}")
    insecure = ["--insecure"] if registry.authority is None else []
    docker("manifest", "create", *insecure, name, f"{name}-amd64", f"{name}-arm64")
    docker("manifest", "annotate", name, f"{name}-arm64", "--arch", "arm64", "--variant", "v8")
    docker("manifest", "push", *insecure, name)

    docker("rmi", f"{name}-amd64", f"{name}-arm64")
    docker("pull", "--platform", "linux/amd64", name)
    assert docker("run", "--rm", "--network", "none", name) == words["amd64"]
    docker("rmi", name)
