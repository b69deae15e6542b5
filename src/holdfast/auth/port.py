"""The ports of authentication: who is asking (`Authenticator`), and what they may do (`Policy`)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Action(StrEnum):
    """What a request does, in the words that policies decide about."""

    PING = "ping"
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CATALOG = "catalog"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever sent a request; an empty name is somebody who did not say who they are."""

    name: str


ANONYMOUS = Actor("")


class Authenticator(Protocol):
    """Turns the Authorization header of a request into an actor."""

    def cached(self, authorization: bytes) -> Actor | None:
        """The actor of these credentials if that is known without work, else None.

        `authorization` is the header's value as received, b"" without one. Called on the event loop for every
        request, so it takes microseconds. It never answers an actor whom `authenticate` would refuse, except that a
        change of the user list may take effect up to one second late.
        """
        ...

    async def authenticate(self, authorization: bytes, client: str) -> Actor:
        """The actor of these credentials, checked with whatever work that takes (off the event loop).

        `client` is the address the request came from; failures are slowed down by it. Raises `Failure(UNAUTHORIZED)`
        with one WWW-Authenticate header if the credentials are missing or wrong, `Failure(TOO_MANY_REQUESTS)` with
        Retry-After (seconds) if this client guesses too fast. After success `cached` knows the same credentials. (RFC
        7235 sections 2.1, 3.1, 4.1.)
        """
        ...

    async def close(self) -> None:
        """Give threads and tasks back. May be called more than once; nothing else may be called afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What a policy answers: whether it is allowed, by which rule, and why, in words for logs and people."""

    allowed: bool
    rule: str
    reason: str


class Policy(Protocol):
    """Decides what an actor may do. Pure: the same question has the same answer, and asking changes nothing."""

    def decide(self, actor: Actor, repository: str | None, action: Action) -> Decision:
        """Whether `actor` may do `action`; `repository` is None for what concerns the registry as a whole. Never
        raises.
        """
        ...
