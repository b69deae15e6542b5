"""The composition root: from settings to the registry's ASGI application."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from holdfast.api.entry import Api
from holdfast.api.gate import Gate
from holdfast.api.health import Health, look_at_storage
from holdfast.api.services import Limits, Services
from holdfast.app.back_ends import BackEnds, back_ends
from holdfast.app.begin import Beginning, begun
from holdfast.app.checks import checks_of
from holdfast.app.jobs import Job, Jobs
from holdfast.app.occupancy import Occupancy
from holdfast.app.place import Place, PlaceError
from holdfast.app.presence import Presence
from holdfast.app.purging import Purging
from holdfast.app.validation import rules_of
from holdfast.auth.anonymous import AnonymousAuthenticator
from holdfast.auth.htpasswd import HtpasswdAuthenticator
from holdfast.auth.policy import AllowAll
from holdfast.auth.port import Authenticator
from holdfast.config.settings import Settings
from holdfast.metadata.port import DatabaseError
from holdfast.metadata.recent import RecentPulls
from holdfast.observability.access import AccessLog
from holdfast.observability.checks import Checks
from holdfast.registry.blobs import Blobs
from holdfast.registry.claims import Claims
from holdfast.registry.clock import Clock, system_clock
from holdfast.registry.joining import Joiner
from holdfast.registry.manifests import Manifests
from holdfast.registry.pulls import Pulls
from holdfast.registry.repositories import Repositories
from holdfast.registry.tree_queue import TreeQueue
from holdfast.registry.uploads import Uploads

log = structlog.get_logger("holdfast")

FORGET_EVERY = 600.0
"""Seconds between two times when closed uploads are forgotten."""

JOIN_EVERY = 15.0
"""Seconds between two looks for blobs whose bytes are in parts."""


@dataclass(frozen=True, slots=True)
class Registry:
    """What one worker process serves. `begin` is awaited once, while it serves already: until then names are answered with 503. It raises
    `PlaceError`, `StorageError`, `DatabaseError`. `close` lets go of everything.
    """

    api: Api
    begin: Callable[[], Awaitable[None]]
    close: Callable[[], Awaitable[None]]


async def build(
    settings: Settings,
    place: Place,
    start: str,
    *,
    reports: bool,
    scratch: Path | None = None,
    clock: Clock = system_clock,
) -> Registry:
    """Build everything, in the process and on the event loop that will use it. `start` tells one start of the
    server from another; `reports`: whether this process logs what every worker notices alike, and does the background jobs; `scratch`: a
    directory that the workers of this server share as long as they live."""
    async with AsyncExitStack() as stack:
        ends = await back_ends(settings, place, stack)
        store, database, locks, tree = ends.store, ends.database, ends.locks, ends.tree
        gate = Gate(database, start)
        authenticator = _authenticator(settings, reports)
        stack.push_async_callback(authenticator.close)
        access_log = _access_log(settings)
        if access_log:
            stack.callback(access_log.flush)
        claims = Claims(database, locks)
        checks = Checks(checks_of(settings.health, partial(look_at_storage, database, store)), reports=reports)
        uploads = Uploads(database, store, tree, claims, clock)
        blobs = Blobs(database, store, tree, clock)
        manifests = Manifests(database, store, tree, claims, clock, rules_of(settings.validation))
        services = Services(
            blobs=blobs,
            uploads=uploads,
            manifests=manifests,
            pulls=Pulls(manifests, blobs, _recent(scratch, stack) if place.server else None),
            repositories=Repositories(database, tree, uploads, clock),
            policy=AllowAll(),
            gate=gate,
            health=Health(database, store, gate, checks, _read_only(settings, place)),
            redirect=not settings.storage.redirect.disable,
            limits=Limits(settings.catalog.maxentries, settings.tags.maxtags),
            prefix=(prefix := _prefix(settings)),
            host=prefix if settings.http.relativeurls else settings.http.host.rstrip("/") + prefix,
        )
        api = Api(
            services,
            authenticator,
            access_log,
            settings.http.headers,
            body_timeout=settings.server.bodytimeout,
            delete_enabled=settings.storage.delete.enabled,
            read_only=settings.storage.maintenance.readonly.enabled,
        )

        after = AsyncExitStack()

        async def begin() -> None:
            beginning = Beginning(place, database, store, ends.links, tree, locks, clock)
            occupancy = _occupancy(place, ends, start)
            presence = Presence(locks, database, start) if place.server else None
            if presence:
                after.push_async_callback(presence.close)
            await begun(beginning, partial(_prepare, ends, presence, occupancy), start, gate.waits)
            gate.open()
            checks.start()
            after.push_async_callback(checks.close)
            if reports:
                tasks = [] if _read_only(settings, place) else _jobs(settings, place, ends, uploads, clock)
                _work(ends, tasks, occupancy, gate, after)

        await stack.enter_async_context(after)
        return Registry(api, begin, stack.pop_all().aclose)
    raise AssertionError  # pragma: no cover - the block above returns or raises


async def _prepare(ends: BackEnds, presence: Presence | None, occupancy: Occupancy | None) -> None:
    """What comes before all else, and is tried again while database or store are away. Raises `PlaceError`, `StorageError`, `DatabaseError`."""
    await ends.migrate()
    if presence:
        await presence.announce()
    if occupancy:
        await occupancy.take()


def _work(ends: BackEnds, tasks: list[Job], occupancy: Occupancy | None, gate: Gate, after: AsyncExitStack) -> None:
    """Start what goes on in the background; `after` ends it."""
    jobs = Jobs(ends.locks)
    after.push_async_callback(jobs.close)
    jobs.start(tasks)
    if occupancy:
        after.push_async_callback(occupancy.leave)
        after.push_async_callback(_stopped, asyncio.create_task(_keep(occupancy, gate)))
    if isinstance(ends.tree, TreeQueue):
        after.push_async_callback(_stopped, asyncio.create_task(ends.tree.work_off()))


def _jobs(settings: Settings, place: Place, ends: BackEnds, uploads: Uploads, clock: Clock) -> list[Job]:
    """The background jobs that a place needs."""
    rules = settings.storage.maintenance.uploadpurging
    found = [Job("closed uploads", uploads.forget_closed, FORGET_EVERY, FORGET_EVERY)]
    if rules.enabled:
        purging = Purging(uploads, ends.store, ends.database, clock, rules, shared=bool(place.server))
        found.append(Job("uploads", purging.run, rules.interval))
    if place.bucket:
        found.append(Job("joining", Joiner(ends.database, ends.store, clock).run, JOIN_EVERY))
    return found


def _occupancy(place: Place, ends: BackEnds, start: str) -> Occupancy | None:
    """What takes a bucket for this server, or for all that share its database; None where there is no bucket."""
    if not place.bucket:
        return None
    return Occupancy(ends.store, ends.database, place.bucket, start, shared=bool(place.server))


async def _keep(occupancy: Occupancy, gate: Gate) -> None:
    """Give signs of life. Once another server has the bucket, nothing that this one knows can be trusted: all of it stops."""
    try:
        await occupancy.keep()
    except (PlaceError, DatabaseError) as error:
        log.error("this server stops", reason=str(error))
        gate.shut(str(error))
        os.kill(os.getppid(), signal.SIGTERM)


def _recent(scratch: Path | None, stack: AsyncExitStack) -> RecentPulls | None:
    """What this node's processes have given lately, in the file that they share."""
    if scratch is None:
        return None
    recent = RecentPulls(scratch / "recent.db")
    stack.callback(recent.close)
    return recent


async def _stopped(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _read_only(settings: Settings, place: Place) -> str:
    """Why nothing can be written; empty where it can."""
    if settings.storage.maintenance.readonly.enabled:
        return "storage.maintenance.readonly.enabled is true: the registry serves pulls"
    if place.mode == "read-only":
        return "the server was started read-only, where it cannot write: it serves pulls"
    return ""


def _prefix(settings: Settings) -> str:
    """`http.prefix` as it stands before a path: `/registry`, or nothing."""
    inner = settings.http.prefix.strip("/")
    return f"/{inner}" if inner else ""


def _authenticator(settings: Settings, reports: bool) -> Authenticator:
    htpasswd = settings.auth.htpasswd
    if htpasswd is None:
        return AnonymousAuthenticator()
    return HtpasswdAuthenticator(str(Path(htpasswd.path)), htpasswd.realm, report=reports)


def _access_log(settings: Settings) -> AccessLog | None:
    if settings.log.accesslog.disabled:
        return None
    return AccessLog(json=settings.log.formatter != "text", fields=settings.log.fields)
