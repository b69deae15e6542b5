"""What every authenticator and every policy must do; implementations subclass these in their tests."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from holdfast.auth.port import Action, Actor, Authenticator, Policy
from holdfast.model.errors import UNAUTHORIZED, Failure

CLIENT = "192.0.2.1"


@dataclass(frozen=True)
class Subject:
    """An authenticator under test: credentials that it accepts, whom they name, and Authorization values that it
    refuses.
    """

    authenticator: Authenticator
    good: bytes
    actor: Actor
    bad: tuple[bytes, ...] = ()


class AuthenticatorContract:
    """Subclass with `subject`, which is called inside the event loop."""

    def subject(self) -> Subject:
        """A fresh authenticator."""
        raise NotImplementedError

    def run(self, work: Callable[[Subject], Awaitable[None]]) -> None:
        """Run `work` on a fresh subject and close it."""

        async def whole() -> None:
            subject = self.subject()
            try:
                await work(subject)
            finally:
                await subject.authenticator.close()

        asyncio.run(whole())

    def test_good_credentials_name_the_actor(self) -> None:
        async def work(subject: Subject) -> None:
            assert await subject.authenticator.authenticate(subject.good, CLIENT) == subject.actor

        self.run(work)

    def test_after_success_the_actor_is_known_without_work(self) -> None:
        async def work(subject: Subject) -> None:
            await subject.authenticator.authenticate(subject.good, CLIENT)
            assert subject.authenticator.cached(subject.good) == subject.actor

        self.run(work)

    def test_bad_credentials_are_challenged_once_per_answer_and_never_cached(self) -> None:
        async def work(subject: Subject) -> None:
            for bad in subject.bad:
                with pytest.raises(Failure) as caught:
                    await subject.authenticator.authenticate(bad, CLIENT)
                assert caught.value.kind is UNAUTHORIZED
                assert [name for name, _ in caught.value.headers] == ["WWW-Authenticate"]
                assert subject.authenticator.cached(bad) is None

        self.run(work)

    def test_good_credentials_at_the_same_time_all_succeed(self) -> None:
        async def work(subject: Subject) -> None:
            answers = await asyncio.gather(
                *(subject.authenticator.authenticate(subject.good, CLIENT) for _ in range(50))
            )
            assert answers == [subject.actor] * 50

        self.run(work)

    def test_close_may_be_called_twice(self) -> None:
        async def work(subject: Subject) -> None:
            await subject.authenticator.close()

        self.run(work)


class PolicyContract:
    """Subclass with `policy`."""

    def policy(self) -> Policy:
        """The policy."""
        raise NotImplementedError

    @pytest.mark.parametrize("action", list(Action))
    @pytest.mark.parametrize("repository", [None, "team/app"])
    @pytest.mark.parametrize("name", ["", "ann"])
    def test_every_question_has_one_answer_with_a_rule_and_a_reason(
        self, action: Action, repository: str | None, name: str
    ) -> None:
        decision = self.policy().decide(Actor(name), repository, action)
        assert decision == self.policy().decide(Actor(name), repository, action)
        assert decision.rule
        assert decision.reason
