"""Authentication with an htpasswd file, as registry:2 has it: Basic, bcrypt."""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from holdfast.auth import basic, passwords
from holdfast.auth.port import Actor
from holdfast.auth.throttle import Limits, Throttle
from holdfast.auth.users import UsersFile
from holdfast.model.errors import UNAUTHORIZED, Failure

_log = structlog.get_logger("holdfast.auth")

CACHED = 4096
"""Successful checks that are remembered."""
LIFETIME = 600.0
"""Seconds since its last use after which a successful check is forgotten."""
THREADS = 2
"""bcrypt computations at a time."""
QUEUE = 1024
"""Different credentials that may wait for bcrypt."""


@dataclass(slots=True)
class _Known:
    actor: Actor
    user: bytes
    stored: bytes
    until: float


class HtpasswdAuthenticator:
    """Checks Basic credentials against a file of bcrypt hashes.

    `realm` is named in the challenge. `now` (monotonic, seconds) and `sleep` are the clock. `report` False keeps
    quiet about what the file says (for all but one of several processes that read the same file). Successful checks
    are remembered under a keyed hash of the header, never the header itself, as long as the file has the same hash
    for the user.
    """

    def __init__(
        self,
        path: str,
        realm: str,
        *,
        limits: Limits | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        report: bool = True,
    ) -> None:
        """Raises `UsersFileError` if the file cannot be used now."""
        self._challenge = basic.challenge(realm)
        self._now = now
        self._file = UsersFile(path, now=now, report=report)
        self._throttle = Throttle(limits, now=now, sleep=sleep)
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[Actor | None]] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="holdfast-bcrypt")
        self._slots = asyncio.Semaphore(THREADS)
        self._decoys: dict[int, bytes] = {}

    @property
    def remembered(self) -> int:
        """How many successful checks are remembered, at most `CACHED`."""
        return len(self._known)

    def cached(self, authorization: bytes) -> Actor | None:
        """The actor if these credentials were checked before and their user has not changed since."""
        self._refresh()
        if not authorization or len(authorization) > basic.LONGEST_HEADER:
            return None
        return self._recall(self._digest(authorization))

    async def authenticate(self, authorization: bytes, client: str) -> Actor:
        """See the port. Identical credentials that arrive together are checked once."""
        known = self.cached(authorization)
        if known is not None:
            return known
        credentials = basic.parse(authorization)
        if credentials is None:
            raise self._refusal()
        digest = self._digest(authorization)
        check = self._checks.get(digest)
        if check is None:
            self._throttle.admit(client)
            if len(self._checks) >= QUEUE:
                raise self._throttle.refusal(1)
            check = asyncio.create_task(self._check(digest, credentials, client))
            self._checks[digest] = check
            check.add_done_callback(lambda done: self._forget(digest, done))
        actor = await asyncio.shield(check)  # one client that goes away must not spoil it for the others
        if actor is not None:
            return actor
        _log.warning("sign-in failed", user=basic.printable(credentials.user), client=client)
        await self._throttle.failed(client)
        raise self._refusal()

    async def close(self) -> None:
        """End the checks that are under way and the threads."""
        checks = list(self._checks.values())
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _forget(self, digest: bytes, done: "asyncio.Task[Actor | None]") -> None:
        del self._checks[digest]
        if not done.cancelled():
            done.exception()  # seen, even if everybody who waited for it went away

    def _refusal(self) -> Failure:
        return Failure(UNAUTHORIZED, headers=[self._challenge])

    def _digest(self, authorization: bytes) -> bytes:
        return hashlib.blake2b(authorization, key=self._key, digest_size=32).digest()

    def _refresh(self) -> None:
        if self._file.look():
            hashes = self._file.users.hashes
            for digest in [digest for digest, known in self._known.items() if hashes.get(known.user) != known.stored]:
                del self._known[digest]

    def _recall(self, digest: bytes) -> Actor | None:
        known = self._known.get(digest)
        if known is None:
            return None
        now = self._now()
        if now >= known.until:
            del self._known[digest]
            return None
        known.until = now + LIFETIME
        self._known.move_to_end(digest)
        return known.actor

    async def _check(self, digest: bytes, credentials: basic.Credentials, client: str) -> Actor | None:
        async with self._slots:
            self._throttle.admit(client)  # again: earlier guesses of this client may have failed in the meantime
            found = self._find(credentials)
            user, password, stored = found or (b"", credentials.password, self._decoy())
            loop = asyncio.get_running_loop()
            right = await loop.run_in_executor(self._threads, passwords.matches, password, stored)
        self._refresh()
        if not right or found is None or self._file.users.hashes.get(user) != stored:
            return None
        actor = Actor(basic.printable(user))
        self._known[digest] = _Known(actor, user, stored, self._now() + LIFETIME)
        while len(self._known) > CACHED:
            self._known.popitem(last=False)
        return actor

    def _find(self, credentials: basic.Credentials) -> tuple[bytes, bytes, bytes] | None:
        hashes = self._file.users.hashes
        for candidate in (credentials, basic.other_encodings(credentials)):
            if candidate is not None and candidate.user in hashes:
                return candidate.user, candidate.password, hashes[candidate.user]
        return None

    def _decoy(self) -> bytes:
        cost = self._file.users.cost
        if cost not in self._decoys:
            self._decoys = {cost: passwords.decoy(cost)}
        return self._decoys[cost]
