"""A worker process: the registry on one of the HTTP servers."""

import asyncio
import ctypes
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import structlog

from holdfast.api.wire import Receive, Scope, Send
from holdfast.app.compose import Registry, build
from holdfast.app.inherited import InheritedFile
from holdfast.app.listeners import BACKLOG
from holdfast.app.place import Place, PlaceError
from holdfast.auth.users import UsersFileError
from holdfast.config.settings import Settings
from holdfast.metadata.port import DatabaseError
from holdfast.metadata.sqlite import FILE
from holdfast.observability import logs
from holdfast.storage.port import StorageError

log = structlog.get_logger("holdfast")

PR_SET_PDEATHSIG = 1
_TLS_VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
READ_BYTES = 512 * 1024
"""The most that is read from a connection at once: bounds the headers, and decides in what pieces bodies arrive. With 64 KiB a push takes twice
the processor time."""
ACCEPT_NO_MORE = signal.SIGUSR1
"""Tells a worker that its successor accepts the connections from now on."""
ACCEPTING = "accepting"
"""What a worker tells the main process when it accepts connections; it tells an empty text when it answers for names, else what prevents that."""
LEAST_ROOM = 256 * 1024
"""Bytes without which SQLite cannot open a database."""
HEAD_SECONDS = 30.0
"""How long the head of a request may take, and a connection be idle, where bodies may take longer."""
MOST_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of the certificate and key that a worker loads."""

    certificate: str
    key: str
    minimum: str


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a worker needs to know; it travels to the new process. `scratch`: a directory for what the workers of one server share."""

    settings: Settings
    place: Place
    start: str
    parent: int
    certificate: Certificate | None
    scratch: Path | None = None


Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class WorkerApplication:
    """The ASGI application with its lifespan: builds the registry on the server's event loop, then says that it is ready."""

    def __init__(self, plan: Plan, index: int, ready: Connection) -> None:
        self._plan = plan
        self._first = index == 0
        self._ready = ready
        self._registry: Registry | None = None
        self._api: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._api(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        plan = self._plan
        try:
            self._registry = await build(
                plan.settings, plan.place, plan.start, reports=self._first, scratch=plan.scratch
            )
        except Exception as error:
            self._give_up(error)
        self._api = self._registry.api
        self._ready.send(ACCEPTING)
        await send({"type": "lifespan.startup.complete"})
        beginning = asyncio.create_task(self._begin(self._registry))
        await receive()
        beginning.cancel()
        with suppress(asyncio.CancelledError):
            await beginning
        await self._registry.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self, registry: Registry) -> None:
        try:
            await registry.begin()
        except Exception as error:
            self._give_up(error)
        self._ready.send("")

    def _give_up(self, error: Exception) -> NoReturn:
        self._ready.send(_problem(error, self._plan.place))
        logs.flush()
        os._exit(1)  # the main process says it, once; the engines would say it again


def _problem(error: Exception, place: Place) -> str:
    """Why a worker cannot serve, for the log of the main process."""
    if isinstance(error, DatabaseError) and place.metadata:
        state = os.statvfs(place.metadata)
        why = "no room is left on its disk" if state.f_bavail * state.f_frsize < LEAST_ROOM else str(error)
        return f"the database {place.metadata / FILE} cannot be used: {why}"
    if isinstance(error, PlaceError | UsersFileError):
        return str(error)
    if isinstance(error, StorageError | OSError):
        return str(error) if place.bytes_in in str(error) else f"{place.bytes_in} cannot be used: {error}"
    if isinstance(error, DatabaseError):
        return f"the database {place.names_in} cannot be used: {error}"
    log.exception("a defect of the program")
    return f"{type(error).__name__}: {error}"


def run(plan: Plan, index: int, listener: socket.socket, locks: list[InheritedFile], ready: Connection) -> None:
    """Serve until told to stop; the entry point of a worker process. `locks` are only held."""
    die_with_parent(plan.parent)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(ACCEPT_NO_MORE, lambda *_: _turn_away(listener))
    settings = plan.settings
    logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
    application = WorkerApplication(plan, index, ready)
    serve = _serve_granian if settings.server.engine == "granian" else _serve_uvicorn
    serve(application, listener, plan)
    logs.flush()
    del locks


def _turn_away(listener: socket.socket) -> None:
    """Put a socket to which nobody can connect in the listener's place, under the same number: the HTTP servers have no call for this."""
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind("")
        nobody.listen(1)
        nobody.setblocking(False)
        os.dup2(nobody.fileno(), listener.fileno(), inheritable=False)


def die_with_parent(parent: int) -> None:
    """Let the kernel end this process when the main process ends: without it nobody could stop or replace workers."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(1)


def _head_seconds(plan: Plan) -> float:
    return min(HEAD_SECONDS, plan.settings.server.bodytimeout)


def _serve_granian(application: Application, listener: socket.socket, plan: Plan) -> None:
    from granian._granian import SocketHolder  # noqa: PLC0415
    from granian.constants import HTTPModes, Loops, RuntimeModes, TaskImpl  # noqa: PLC0415
    from granian.http import HTTP1Settings  # noqa: PLC0415
    from granian.log import LogLevels  # noqa: PLC0415
    from granian.server.mp import MPServer  # noqa: PLC0415

    certificate = plan.certificate
    holder: Any = SocketHolder
    tls: Any = (
        (True, certificate.certificate, certificate.key, None, certificate.minimum, None, [], False)
        if certificate
        else (False, None, None, None, "tls1.2", None, [], False)
    )
    log_config: dict[str, Any] = {
        "handlers": {},
        "formatters": {},
        "loggers": {"_granian": {"propagate": True}, "granian.access": {"propagate": True}},
    }
    MPServer._spawn_asgi_lifespan_worker(
        1,
        None,
        lambda: application,
        ((None, holder(listener.fileno(), listener.family == socket.AF_UNIX, BACKLOG)), None),
        None,
        Loops.uvloop,
        True,
        LogLevels.warning,
        log_config,
        (),
        RuntimeModes.mt,
        1,
        512,
        1,
        30,
        MOST_CONNECTIONS,
        TaskImpl.asyncio,
        HTTPModes.http1,
        HTTP1Settings(header_read_timeout=int(_head_seconds(plan) * 1000), max_buffer_size=READ_BYTES),
        None,
        False,
        None,
        None,
        tls,
        {"url_path_prefix": None},
        (None, None),
    )


def _serve_uvicorn(application: Application, listener: socket.socket, plan: Plan) -> None:
    import uvicorn  # noqa: PLC0415 - an extra

    from holdfast.app.uvicorn_protocol import LimitedProtocol  # noqa: PLC0415

    certificate = plan.certificate
    config = uvicorn.Config(
        application,
        http=LimitedProtocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_head_seconds(plan),  # type: ignore[arg-type]  # a fraction is fine
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )
    config.load()
    if config.ssl and certificate:
        config.ssl.minimum_version = _TLS_VERSIONS[certificate.minimum]
    uvicorn.Server(config).run(sockets=[listener])
