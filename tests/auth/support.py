"""A registry of users whose file, clock and waits the test holds."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

from holdfast.auth import passwords
from holdfast.auth.htpasswd import HtpasswdAuthenticator
from holdfast.auth.port import Actor
from holdfast.auth.throttle import Limits
from holdfast.model.errors import ErrorKind, Failure

CLIENT = "192.0.2.1"


def basic(user: str | bytes, password: str | bytes) -> bytes:
    """An Authorization value."""
    raw = [text.encode() if isinstance(text, str) else text for text in (user, password)]
    return b"Basic " + base64.b64encode(b":".join(raw))


def line(user: str | bytes, password: str | bytes, cost: int = 4) -> bytes:
    """A line of an htpasswd file."""
    raw = [text.encode() if isinstance(text, str) else text for text in (user, password)]
    return raw[0] + b":" + passwords.make(raw[1], cost) + b"\n"


class Clock:
    """A clock that moves when it is told to, or when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.gate: asyncio.Event | None = None

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self.gate is not None:
            await self.gate.wait()


class Registry:
    """An authenticator over a file in `directory`, with a clock of its own."""

    def __init__(self, directory: Path, content: bytes, limits: Limits | None = None) -> None:
        self.path = directory / "htpasswd"
        self.path.write_bytes(content)
        self.clock = Clock()
        self.authenticator = HtpasswdAuthenticator(
            str(self.path), "Registry Realm", limits=limits, now=self.clock, sleep=self.clock.sleep
        )

    def rewrite(self, content: bytes) -> None:
        """Change the file in place; its next look at it is due."""
        self.path.write_bytes(content)
        self.clock.now += 1

    async def answer(self, authorization: bytes, client: str = CLIENT) -> Actor | ErrorKind:
        """The actor, or the error that was answered."""
        try:
            return await self.authenticator.authenticate(authorization, client)
        except Failure as failure:
            return failure.kind


def run(registry: Registry, work: Callable[[], Awaitable[None]]) -> None:
    """Run `work`, then close the authenticator."""

    async def whole() -> None:
        try:
            await work()
        finally:
            await registry.authenticator.close()

    asyncio.run(whole())
