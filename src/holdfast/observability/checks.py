"""Health checks: looks at the world, repeated in the background, that take the registry out of service while they fail."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

log = structlog.get_logger("holdfast.health")

Look = Callable[[], Awaitable[str]]
"""One look; gives what is wrong, or nothing. What it raises counts as a failure, too."""


@dataclass(frozen=True, slots=True)
class Check:
    """A look by the name that people know it by: every `interval` seconds, for `timeout` seconds at most; after `threshold` failures in a row
    it counts as failed, and with the first success as passed again.
    """

    name: str
    look: Look
    interval: float
    timeout: float
    threshold: int


class Checks:
    """The checks of a process."""

    def __init__(self, checks: Sequence[Check], *, reports: bool) -> None:
        """`reports`: whether this process logs what every worker notices alike."""
        self._checks = checks
        self._reports = reports
        self._tasks: list[asyncio.Task[None]] = []
        self.failing: dict[str, str] = {}
        """What is wrong, by the name of the check that says so."""

    def start(self) -> None:
        """Begin to look, at once and then again and again. Called on the event loop."""
        self._tasks = [asyncio.create_task(self._repeat(check)) for check in self._checks]

    async def close(self) -> None:
        """Stop looking; a look that is under way is given up."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _repeat(self, check: Check) -> None:
        failures = 0
        while True:
            wrong = await _looked(check)
            failures = failures + 1 if wrong else 0
            if failures >= max(check.threshold, 1):
                if check.name not in self.failing and self._reports:
                    log.error("a health check fails: the registry answers 503", check=check.name, reason=wrong)
                self.failing[check.name] = wrong
            elif not wrong and self.failing.pop(check.name, "") and self._reports:
                log.info("a health check passes again", check=check.name)
            await asyncio.sleep(check.interval)


async def _looked(check: Check) -> str:
    try:
        async with asyncio.timeout(check.timeout):
            return await check.look()
    except TimeoutError:
        return f"no answer within {check.timeout:g} s"
    except Exception as error:
        return str(error) or type(error).__name__
