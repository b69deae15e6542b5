"""Skopeo: copy, inspect, list and delete, without a daemon; images come from Buildah."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.images import build
from clients.kinds import GUARDED, PLAIN_AND_GUARDED
from clients.registries import Registry, sign_in
from clients.tools import Tool


def layout(buildah: Tool, directory: Path, *, layers: int = 1) -> str:
    """Build an image into an OCI layout: its name for Skopeo."""
    build(buildah, directory / "context", "made", layers=layers)
    place = f"oci:{directory}/layout:made"
    buildah("push", "--quiet", "made", place)
    return place


def inspect(skopeo: Tool, place: str, *options: str) -> dict[str, object]:
    """What Skopeo knows of an image."""
    found: dict[str, object] = json.loads(skopeo("inspect", *options, place))
    return found


def test_skopeo_copies_up_and_down(
    skopeo: Tool, buildah: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(skopeo, registry)
    made = layout(buildah, tmp_path, layers=3)
    there = f"docker://{registry.image(repository, 'v1')}"
    skopeo("copy", registry.verify("dest-tls-verify"), made, there)

    found = inspect(skopeo, there, registry.verify())
    assert found["Digest"] == inspect(skopeo, made)["Digest"]
    assert found["RepoTags"] == ["v1"]

    back = f"oci:{tmp_path}/back:v1"
    skopeo("copy", registry.verify("src-tls-verify"), there, back)
    assert inspect(skopeo, back) == inspect(skopeo, made)


@PLAIN_AND_GUARDED
def test_skopeo_lists_and_deletes_tags(
    skopeo: Tool, buildah: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(skopeo, registry)
    images = [layout(buildah, tmp_path / number) for number in "12"]
    name = f"docker://{registry.registry}/{repository}"
    for tag, made in [("v1", images[0]), ("v2", images[1]), ("also-v2", images[1])]:
        skopeo("copy", registry.verify("dest-tls-verify"), made, f"{name}:{tag}")
    listed = json.loads(skopeo("list-tags", registry.verify(), name))
    assert sorted(listed["Tags"]) == ["also-v2", "v1", "v2"]

    # Skopeo resolves the tag and deletes the manifest, with each tag that it has.
    skopeo("delete", registry.verify(), f"{name}:v2")

    assert json.loads(skopeo("list-tags", registry.verify(), name))["Tags"] == ["v1"]
    assert "manifest unknown" in skopeo.fails("inspect", registry.verify(), f"{name}:also-v2")
    skopeo("copy", registry.verify("dest-tls-verify"), images[1], f"{name}:v2")
    assert inspect(skopeo, f"{name}:v2", registry.verify())["Digest"] == inspect(skopeo, images[1])["Digest"]


@pytest.mark.parametrize("kind", ["tls-accounts", "nodes-tls-accounts"])
def test_skopeo_copies_between_registries(
    skopeo: Tool, buildah: Tool, registries: Callable[[str], Registry], repository: str, tmp_path: Path, kind: str
) -> None:
    plain, guarded = registries("plain"), registries(kind)
    sign_in(skopeo, guarded)
    made = layout(buildah, tmp_path)
    here, there = f"docker://{plain.image(repository)}", f"docker://{guarded.image(repository)}"
    again = f"docker://{plain.image(repository + '/again')}"
    skopeo("copy", plain.verify("dest-tls-verify"), made, here)
    skopeo("copy", plain.verify("src-tls-verify"), guarded.verify("dest-tls-verify"), here, there)
    skopeo("copy", guarded.verify("src-tls-verify"), plain.verify("dest-tls-verify"), there, again)
    digests = {
        inspect(skopeo, place, registry.verify())["Digest"]
        for place, registry in [(here, plain), (there, guarded), (again, plain)]
    }
    assert digests == {inspect(skopeo, made)["Digest"]}


@PLAIN_AND_GUARDED
def test_skopeo_keeps_a_digest_of_its_own_choice(
    skopeo: Tool, buildah: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(skopeo, registry)
    made = layout(buildah, tmp_path)
    there = f"docker://{registry.image(repository)}"
    skopeo("copy", "--format", "v2s2", registry.verify("dest-tls-verify"), made, there)
    raw = json.loads(skopeo("inspect", "--raw", registry.verify(), there))
    assert raw["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"


@PLAIN_AND_GUARDED
def test_eight_copies_at_the_same_time(
    skopeo: Tool, buildah: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    sign_in(skopeo, registry)
    made = layout(buildah, tmp_path, layers=5)
    places = [f"docker://{registry.image(repository, f'v{number}')}" for number in range(8)]
    skopeo.at_once([("copy", registry.verify("dest-tls-verify"), made, place) for place in places])
    assert {inspect(skopeo, place, registry.verify())["Digest"] for place in places} == {
        inspect(skopeo, made)["Digest"]
    }


@GUARDED
def test_skopeo_with_wrong_credentials(
    skopeo: Tool, buildah: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    made = layout(buildah, tmp_path)
    there = f"docker://{registry.image(repository)}"
    copy = ("copy", registry.verify("dest-tls-verify"), made, there)
    assert "unauthorized" in skopeo.fails(*copy)
    assert "unauthorized" in skopeo.fails(*copy, "--dest-creds", "ada:wrong")
    login = ("login", registry.verify(), "--username", "ada", "--password-stdin", registry.registry)
    assert "invalid username/password" in skopeo.fails(*login, stdin="wrong")
    assert registry.account is not None
    skopeo(*copy, "--dest-creds", f"{registry.account.user}:{registry.account.password}")
    sign_in(skopeo, registry)
    inspect(skopeo, there, registry.verify())
    skopeo("logout", registry.registry)
    assert "unauthorized" in skopeo.fails("inspect", registry.verify(), there)
