"""Docker: signing in, being turned away, and trusting a certificate."""

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.images import build
from clients.kinds import GUARDED
from clients.registries import Registry, holdfast, sign_in, trusted
from clients.tools import Tool, ToolFailed
from harness.server import wait_until


@GUARDED
def test_docker_login_with_the_right_password(docker: Tool, registry: Registry) -> None:
    sign_in(docker, registry)
    assert "Removing login credentials" in docker("logout", registry.registry)


@GUARDED
@pytest.mark.parametrize(("user", "password"), [("ada", "wrong"), ("nobody", "wrong"), ("ada", " "), ("Ada", None)])
def test_docker_login_with_wrong_credentials(docker: Tool, registry: Registry, user: str, password: str | None) -> None:
    assert registry.account is not None
    if password is None:
        password = registry.account.password
    said = docker.fails("login", "--username", user, "--password-stdin", registry.registry, stdin=password)
    assert "unauthorized" in said.lower()


@GUARDED
def test_without_login_docker_neither_pushes_nor_pulls(
    docker: Tool, registry: Registry, repository: str, tmp_path: Path
) -> None:
    name = registry.image(repository)
    build(docker, tmp_path / "context", name)
    assert "no basic auth credentials" in docker.fails("push", name)
    sign_in(docker, registry)
    docker("push", name)
    docker("logout", registry.registry)
    docker("rmi", name)
    assert "no basic auth credentials" in docker.fails("pull", name)
    sign_in(docker, registry)
    docker("pull", name)


@pytest.mark.parametrize("kind", ["accounts", "nodes-accounts"])
def test_a_removed_user_is_turned_away_until_put_back(
    docker: Tool, new_registry: Callable[[str], Registry], repository: str, tmp_path: Path, kind: str
) -> None:
    # One of its own: it answers failures slowly when there were many.
    registry = new_registry(kind)
    assert registry.account is not None
    name = registry.image(repository)
    build(docker, tmp_path / "context", name)
    sign_in(docker, registry)

    def complaint() -> str:
        # Docker gives up at once only if the answer's error has a detail; else it tries again for most of a minute.
        try:
            docker("push", name, seconds=20)
        except ToolFailed as failed:
            return str(failed)
        return ""

    # Each worker of each node notices by itself, within a second.
    holdfast("htpasswd", "-D", str(registry.htpasswd), registry.account.user)
    wait_until(lambda: "unauthorized" in complaint(), "the server to notice that the user is gone")
    put_back = ("htpasswd", "-C", "4", "-Bi", str(registry.htpasswd), registry.account.user)
    holdfast(*put_back, stdin=registry.account.password)
    wait_until(lambda: not complaint(), "the server to notice that the user is back")


def test_docker_refuses_a_certificate_until_it_is_told_to_trust_it(
    docker: Tool, new_registry: Callable[[str], Registry], repository: str, tmp_path: Path
) -> None:
    registry = new_registry("tls-accounts")
    assert registry.account is not None
    name = registry.image(repository)
    build(docker, tmp_path / "context", name)
    login = ("login", "--username", registry.account.user, "--password-stdin", registry.registry)
    assert "certificate signed by unknown authority" in docker.fails(*login, stdin=registry.account.password)
    assert "certificate signed by unknown authority" in docker.fails("push", name)

    with trusted(registry):
        sign_in(docker, registry)
        docker("push", name)

    assert "certificate signed by unknown authority" in docker.fails("pull", name)
