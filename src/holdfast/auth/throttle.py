"""Slowing down whoever guesses passwords."""

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from holdfast.model.errors import TOO_MANY_REQUESTS, Failure


@dataclass(frozen=True, slots=True)
class Limits:
    """How failures are slowed down; times in seconds."""

    window: float = 60.0
    """Failures older than this are forgotten."""
    free: int = 5
    """Failures in the window that are answered at once."""
    first_delay: float = 0.25
    """How long the answer to the next one takes; each further failure doubles it."""
    longest_delay: float = 4.0
    """Where doubling ends."""
    waiting: int = 8
    """Answers to one client that may be held back at a time; beyond that its credentials are not checked."""
    waiting_in_all: int = 512
    """The same over all clients."""
    clients: int = 8192
    """Clients remembered; beyond that the one that failed longest ago is forgotten."""


@dataclass(slots=True)
class _Record:
    failures: deque[float] = field(default_factory=deque)
    waiting: int = 0


def group(client: str) -> str:
    """What is counted as one client: an IPv4 address, the /64 of an IPv6 address, or the text itself if it is
    neither.
    """
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return client[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


class Throttle:
    """Counts failures per client and holds back the answers to them.

    A right password is never held back; one that was not checked yet is refused (429) only while `Limits.waiting`
    wrong ones from the same address wait for their answer. `now` and `sleep` are the clock.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._limits = limits or Limits()
        self._now = now
        self._sleep = sleep
        self._records: OrderedDict[str, _Record] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._records)

    def admit(self, client: str) -> None:
        """Return if credentials from this client may be checked now; else raise `Failure(TOO_MANY_REQUESTS)` with
        Retry-After.
        """
        record = self._records.get(group(client))
        if record is not None and record.waiting >= self._limits.waiting:
            raise self.refusal(self._delay(self._recent(record)))
        if self._waiting >= self._limits.waiting_in_all:
            raise self.refusal(self._limits.longest_delay)

    def refusal(self, seconds: float) -> Failure:
        """The answer to a client that has to wait for `seconds` before its credentials are looked at."""
        return Failure(TOO_MANY_REQUESTS, headers=[("Retry-After", str(max(1, math.ceil(seconds))))])

    async def failed(self, client: str) -> None:
        """Count a failure, and return when it may be answered. Raises `Failure(TOO_MANY_REQUESTS)` if too many
        answers wait already.
        """
        record = self._remember(group(client))
        delay = self._delay(self._recent(record))
        record.failures.append(self._now())
        if len(record.failures) > self._limits.free + 16:
            record.failures.popleft()  # the delay has long reached its maximum
        if delay <= 0:
            return
        if record.waiting >= self._limits.waiting or self._waiting >= self._limits.waiting_in_all:
            raise self.refusal(delay)
        record.waiting += 1
        self._waiting += 1
        try:
            await self._sleep(delay)
        finally:
            record.waiting -= 1
            self._waiting -= 1

    def _recent(self, record: _Record) -> int:
        oldest = self._now() - self._limits.window
        while record.failures and record.failures[0] <= oldest:
            record.failures.popleft()
        return len(record.failures)

    def _delay(self, failures: int) -> float:
        beyond = failures - self._limits.free
        if beyond < 0:
            return 0.0
        return min(self._limits.longest_delay, self._limits.first_delay * 2.0 ** min(beyond, 32))

    def _remember(self, name: str) -> _Record:
        record = self._records.setdefault(name, _Record())
        self._records.move_to_end(name)
        while len(self._records) > self._limits.clients:
            self._records.popitem(last=False)
        return record
