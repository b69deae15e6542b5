"""Signing in with an htpasswd file: formats, caching, and what guessing costs."""

import asyncio
import threading
from pathlib import Path

import bcrypt
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from auth.support import CLIENT, Registry, basic, line, run
from holdfast.auth import contract, passwords
from holdfast.auth.anonymous import AnonymousAuthenticator
from holdfast.auth.htpasswd import CACHED, LIFETIME, HtpasswdAuthenticator
from holdfast.auth.policy import AllowAll
from holdfast.auth.port import ANONYMOUS, Action, Actor, Policy
from holdfast.auth.throttle import Limits
from holdfast.model.errors import TOO_MANY_REQUESTS, UNAUTHORIZED, Failure


class TestHtpasswdAuthenticator(contract.AuthenticatorContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "htpasswd"
        self.path.write_bytes(line("ann", "secret"))

    def subject(self) -> contract.Subject:
        bad = (
            b"",
            basic("ann", "wrong"),
            basic("bob", "secret"),
            basic("", ""),
            b"Bearer abc",
            b"Basic !",
            b"Basic YQ==",
        )
        authenticator = HtpasswdAuthenticator(str(self.path), "r", limits=Limits(free=100))
        return contract.Subject(authenticator, basic("ann", "secret"), Actor("ann"), bad)


class TestAnonymousAuthenticator(contract.AuthenticatorContract):
    def subject(self) -> contract.Subject:
        return contract.Subject(AnonymousAuthenticator(), b"", ANONYMOUS)


class TestAllowAll(contract.PolicyContract):
    def policy(self) -> Policy:
        return AllowAll()

    def test_allows(self) -> None:
        assert all(AllowAll().decide(ANONYMOUS, None, action).allowed for action in Action)


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
def test_every_bcrypt_prefix_signs_in(tmp_path: Path, prefix: str) -> None:
    stored = prefix.encode() + bcrypt.hashpw(b"secret", bcrypt.gensalt(4))[4:]
    registry = Registry(tmp_path, b"# people\n\r\nann:" + stored + b"\r\n")

    async def work() -> None:
        assert await registry.answer(basic("ann", "secret")) == Actor("ann")
        assert await registry.answer(b"bAsIc  " + basic("ann", "secret")[6:]) == Actor("ann")

    run(registry, work)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ("$apr1$J4ERbUlJ$CbpzXHSpyCHo7HwHLzaPR1", "MD5"),
        ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
        ("$5$abc$def", "SHA-256"),
        ("$6$abc$def", "SHA-512"),
        ("secret", "plain"),
        ("$2y$05$tooshort", "malformed"),
        ("", "plain"),
    ],
)
def test_other_hashes_are_refused_by_line_and_user_without_showing_them(
    tmp_path: Path, stored: str, words: str
) -> None:
    with capture_logs() as logs:
        registry = Registry(tmp_path, line("ann", "secret") + f"\nbob:{stored}\n".encode())

        async def work() -> None:
            assert await registry.answer(basic("bob", "secret")) is UNAUTHORIZED
            assert await registry.answer(basic("ann", "secret")) == Actor("ann")

        run(registry, work)
    (refused,) = [entry for entry in logs if entry["event"] == "htpasswd entry refused"]
    assert (refused["file"], refused["line"], refused["user"]) == (str(registry.path), 3, "bob")
    assert words in refused["reason"]
    assert not stored or stored not in str(logs)


def test_the_challenge_quotes_the_realm(tmp_path: Path) -> None:
    path = tmp_path / "htpasswd"
    path.write_bytes(line("ann", "secret"))

    async def work() -> None:
        authenticator = HtpasswdAuthenticator(str(path), 'a "b" \\ ü\r\nX: y')
        with pytest.raises(Failure) as caught:
            await authenticator.authenticate(b"", CLIENT)
        await authenticator.close()
        assert caught.value.headers == (("WWW-Authenticate", 'Basic realm="a \\"b\\" \\\\ ???X: y"'),)

    asyncio.run(work())


@pytest.mark.parametrize("file_encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("header_encoding", ["utf-8", "latin-1"])
def test_names_and_passwords_in_either_encoding(tmp_path: Path, file_encoding: str, header_encoding: str) -> None:
    registry = Registry(tmp_path, line("jürgen".encode(file_encoding), "größe".encode(file_encoding)))

    async def work() -> None:
        header = basic("jürgen".encode(header_encoding), "größe".encode(header_encoding))
        assert await registry.answer(header) == Actor("jürgen")
        wrong = basic("jürgen".encode(header_encoding), "grösse".encode(header_encoding))
        assert await registry.answer(wrong) is UNAUTHORIZED

    run(registry, work)


def test_long_passwords_count_to_72_bytes_and_odd_ones_do_no_harm(tmp_path: Path) -> None:
    registry = Registry(tmp_path, line("ann", "a" * 100) + line("eve", "") + line(":", "x"), Limits(free=100))

    async def work() -> None:
        assert await registry.answer(basic("ann", "a" * 100)) == Actor("ann")
        assert await registry.answer(basic("ann", "a" * 72 + "b")) == Actor("ann")
        assert await registry.answer(basic("ann", "a" * 71)) is UNAUTHORIZED
        assert await registry.answer(basic("eve", "")) == Actor("eve")
        assert await registry.answer(basic("eve", "\0")) is UNAUTHORIZED
        assert await registry.answer(basic("ann", "a" * 10000)) is UNAUTHORIZED

    run(registry, work)


def count_checks(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Record the hash of every bcrypt computation."""
    computed: list[bytes] = []
    real = bcrypt.checkpw

    def counting(password: bytes, stored: bytes) -> bool:
        computed.append(stored)
        assert threading.current_thread() is not threading.main_thread()
        return real(password, stored)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return computed


def test_identical_checks_are_computed_once_and_then_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_checks(monkeypatch)
    registry = Registry(tmp_path, line("ann", "secret", 8))

    async def work() -> None:
        answers = await asyncio.gather(*(registry.answer(basic("ann", "secret"), f"10.0.0.{n}") for n in range(20)))
        assert answers == [Actor("ann")] * 20
        assert len(computed) == 1
        registry.clock.now += LIFETIME - 1
        assert registry.authenticator.cached(basic("ann", "secret")) == Actor("ann")
        registry.clock.now += LIFETIME - 1
        assert registry.authenticator.cached(basic("ann", "secret")) == Actor("ann")
        registry.clock.now += LIFETIME
        assert registry.authenticator.cached(basic("ann", "secret")) is None
        assert len(computed) == 1

    run(registry, work)


def test_a_client_that_goes_away_does_not_spoil_the_check_for_others(tmp_path: Path) -> None:
    registry = Registry(tmp_path, line("ann", "secret", 8))

    async def work() -> None:
        first, second = (asyncio.create_task(registry.answer(basic("ann", "secret"))) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == Actor("ann")
        assert first.cancelled()

    run(registry, work)


def test_unknown_users_take_a_computation_of_the_cost_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed = count_checks(monkeypatch)
    registry = Registry(tmp_path, line("ann", "a", 6) + line("bob", "b", 6) + line("cid", "c", 4))

    async def work() -> None:
        assert await registry.answer(basic("nobody", "a")) is UNAUTHORIZED
        assert [passwords.cost(stored) for stored in computed] == [6]

    run(registry, work)


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    # Latin-1 and UTF-8, upper and lower case, spaces: many headers for the same credentials.
    registry = Registry(tmp_path, line("ann", "a" * 72))

    async def work() -> None:
        for number in range(CACHED + 10):
            await registry.answer(basic("ann", "a" * 72 + str(number)))
        assert registry.authenticator.cached(basic("ann", "a" * 72 + "0")) is None
        assert registry.authenticator.cached(basic("ann", "a" * 72 + str(CACHED + 9))) == Actor("ann")
        assert registry.authenticator.remembered == CACHED

    run(registry, work)


def failed(logs: list[EventDict]) -> list[str]:
    return [entry["user"] for entry in logs if entry["event"] == "sign-in failed"]


def test_failures_are_answered_ever_slower_and_success_at_once(tmp_path: Path) -> None:
    registry = Registry(tmp_path, line("ann", "secret") + line("bob", "secret"))

    async def work() -> None:
        with capture_logs() as logs:
            for number in range(12):
                assert await registry.answer(basic("ann", f"guess{number}")) is UNAUTHORIZED
        assert failed(logs) == ["ann"] * 12
        assert registry.clock.slept == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
        assert await registry.answer(basic("bob", "secret")) == Actor("bob")
        assert len(registry.clock.slept) == 7
        assert await registry.answer(basic("ann", "guess"), "192.0.2.2") is UNAUTHORIZED
        assert len(registry.clock.slept) == 7, "another client is not slowed down"
        registry.clock.now += 61
        assert await registry.answer(basic("ann", "guess")) is UNAUTHORIZED
        assert len(registry.clock.slept) == 7, "old failures are forgotten"

    run(registry, work)


def test_requests_without_credentials_are_not_failures(tmp_path: Path) -> None:
    registry = Registry(tmp_path, line("ann", "secret"))

    async def work() -> None:
        for header in (b"", basic("", ""), b"Bearer x") * 10:
            assert await registry.answer(header) is UNAUTHORIZED
        assert registry.clock.slept == []

    run(registry, work)


def test_many_guesses_at_a_time_are_refused_unchecked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = count_checks(monkeypatch)
    registry = Registry(tmp_path, line("ann", "secret") + line("bob", "secret"))
    known = basic("bob", "secret")

    async def work() -> None:
        assert await registry.answer(known) == Actor("bob")
        registry.clock.gate = asyncio.Event()
        guesses = [asyncio.create_task(registry.answer(basic("ann", f"guess{n}"))) for n in range(60)]
        for _ in range(4000):
            if sum(guess.done() for guess in guesses) >= 52:
                break
            await asyncio.sleep(0.005)
        assert sum(guess.done() for guess in guesses) == 52, "eight answers are held back"
        assert len(computed) < 20
        with pytest.raises(Failure) as caught:
            await registry.authenticator.authenticate(basic("ann", "secret"), CLIENT)
        assert caught.value.kind is TOO_MANY_REQUESTS
        assert dict(caught.value.headers)["Retry-After"] == "4"
        assert await registry.answer(known) == Actor("bob"), "what is known is never refused"
        assert await registry.answer(basic("ann", "secret"), "192.0.2.2") == Actor("ann")
        registry.clock.gate.set()
        answers = await asyncio.gather(*guesses)
        assert set(answers) == {UNAUTHORIZED, TOO_MANY_REQUESTS}
        registry.clock.gate = None
        assert await registry.answer(basic("ann", "other")) is UNAUTHORIZED

    run(registry, work)
