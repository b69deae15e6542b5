"""What becomes of users when their file changes, breaks or is missing."""

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import bcrypt
import pytest
from structlog.testing import capture_logs

from auth.support import CLIENT, Clock, Registry, basic, line, run
from holdfast.auth.htpasswd import HtpasswdAuthenticator
from holdfast.auth.port import Actor
from holdfast.auth.users import UsersFileError, prepare
from holdfast.model.errors import UNAUTHORIZED


def test_a_change_of_the_file_counts_within_a_second_and_only_for_whom_it_concerns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = line("ann", "secret"), line("bob", "secret")
    registry = Registry(tmp_path, ann + bob)

    async def work() -> None:
        for user in ("ann", "bob"):
            assert await registry.answer(basic(user, "secret")) == Actor(user)
        registry.rewrite(bob + line("cid", "secret"))
        assert registry.authenticator.cached(basic("ann", "secret")) is None
        assert await registry.answer(basic("ann", "secret")) is UNAUTHORIZED
        assert registry.authenticator.cached(basic("bob", "secret")) == Actor("bob")
        assert await registry.answer(basic("cid", "secret")) == Actor("cid")
        registry.rewrite(bob + line("cid", "other"))
        assert await registry.answer(basic("cid", "secret")) is UNAUTHORIZED
        assert await registry.answer(basic("cid", "other")) == Actor("cid")

    run(registry, work)


def test_a_password_that_is_changed_during_its_check_is_not_good_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path, line("ann", "old"))
    real = bcrypt.checkpw

    def slow(password: bytes, stored: bytes) -> bool:
        registry.rewrite(line("ann", "new"))
        return real(password, stored)

    async def work() -> None:
        monkeypatch.setattr(bcrypt, "checkpw", slow)
        assert await registry.answer(basic("ann", "old")) is UNAUTHORIZED
        assert registry.authenticator.cached(basic("ann", "old")) is None

    run(registry, work)


def test_two_changes_in_one_tick_of_the_file_system_are_both_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(tmp_path, line("ann", "one"))
    look, tick = os.stat, os.stat(registry.path)
    monkeypatch.setattr(
        os, "stat", lambda path, **options: tick if path == str(registry.path) else look(path, **options)
    )

    async def work() -> None:
        registry.path.write_bytes(line("ann", "two"))
        registry.clock.now += 1
        assert await registry.answer(basic("ann", "one")) is UNAUTHORIZED
        assert await registry.answer(basic("ann", "two")) == Actor("ann")

    run(registry, work)


def test_a_replaced_file_behind_a_symbolic_link_is_seen(tmp_path: Path) -> None:
    (tmp_path / "v1").write_bytes(line("ann", "one"))
    (tmp_path / "v2").write_bytes(line("ann", "two"))
    link = tmp_path / "link"
    link.symlink_to("v1")

    async def work() -> None:
        clock = Clock()
        authenticator = HtpasswdAuthenticator(str(link), "r", now=clock, sleep=clock.sleep)
        assert await authenticator.authenticate(basic("ann", "one"), CLIENT) == Actor("ann")
        (tmp_path / "new").symlink_to("v2")
        os.replace(tmp_path / "new", link)
        clock.now += 1
        assert authenticator.cached(basic("ann", "one")) is None
        assert await authenticator.authenticate(basic("ann", "two"), CLIENT) == Actor("ann")
        await authenticator.close()

    asyncio.run(work())


def spoil_by_garbage(path: Path) -> None:
    path.write_bytes(b"secret-without-colon\n")


def spoil_by_removal(path: Path) -> None:
    path.unlink()


def spoil_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoil_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [spoil_by_garbage, spoil_by_removal, spoil_by_directory, spoil_by_pipe])
def test_an_unusable_file_keeps_the_old_users_and_is_reported_once(
    tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    registry = Registry(tmp_path, line("ann", "secret"))

    async def work() -> None:
        with capture_logs() as logs:
            spoil(registry.path)
            for _ in range(5):
                registry.clock.now += 1
                assert await registry.answer(basic("ann", "secret")) == Actor("ann")
        errors = [entry for entry in logs if entry["log_level"] == "error"]
        assert len(errors) == 1
        assert str(registry.path) in errors[0]["reason"]
        assert "secret" not in str(logs)
        if registry.path.is_dir():
            registry.path.rmdir()
        registry.path.unlink(missing_ok=True)
        registry.rewrite(line("ann", "new"))
        assert await registry.answer(basic("ann", "secret")) is UNAUTHORIZED
        assert await registry.answer(basic("ann", "new")) == Actor("ann")

    run(registry, work)


def test_a_missing_file_is_made_with_one_user_whose_password_is_logged(tmp_path: Path) -> None:
    path = tmp_path / "auth" / "htpasswd"
    with capture_logs() as logs:
        prepare(str(path))
        prepare(str(path))
    (created,) = logs
    assert created["log_level"] == "warning"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["htpasswd"]

    async def work() -> None:
        authenticator = HtpasswdAuthenticator(str(path), "r")
        header = basic("docker", created["password"])
        assert await authenticator.authenticate(header, CLIENT) == Actor("docker")
        await authenticator.close()

    asyncio.run(work())


def test_an_unusable_file_at_start_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes(line("ann", "secret") + b"hunter2\n")
    with pytest.raises(UsersFileError, match="line 2") as caught:
        prepare(str(path))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(UsersFileError, match="line 2"):
        HtpasswdAuthenticator(str(path), "r")
    with pytest.raises(UsersFileError, match="no such file"):
        HtpasswdAuthenticator(str(tmp_path / "missing"), "r")
    with pytest.raises(UsersFileError, match="not a regular file"):
        prepare(str(tmp_path))
    (tmp_path / "dangling").symlink_to("nowhere")
    with pytest.raises(UsersFileError, match="no such file"):
        prepare(str(tmp_path / "dangling"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsersFileError, match="cannot create it"):
        prepare(str(tmp_path / "file" / "htpasswd"))
