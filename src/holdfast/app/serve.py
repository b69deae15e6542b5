"""`holdfast serve`: everything that happens before the first request."""

import ipaddress
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from holdfast.app import place as places
from holdfast.app.current import Current
from holdfast.app.inherited import InheritedFile
from holdfast.app.listeners import Listeners
from holdfast.app.mounts import danger, fleeting, mount_of
from holdfast.app.place import Place, PlaceError
from holdfast.app.supervisor import Supervisor
from holdfast.app.tls import TLSError
from holdfast.auth.users import UsersFileError, prepare
from holdfast.config.load import Loaded
from holdfast.config.settings import Settings
from holdfast.observability import logs
from holdfast.observability.writer import open_standard_files

log = structlog.get_logger("holdfast")


def serve(read: Callable[[], Loaded]) -> int:
    """Serve until stopped; gives the exit status. What prevents the start is logged, with what to do about it.

    `read` reads the configuration, now and at each reload. Raises `ConfigurationError` if it cannot be used now.
    """
    open_standard_files()
    loaded = read()
    settings = loaded.settings
    logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
    for warning in loaded.warnings:
        log.warning(warning)
    try:
        listeners = Listeners(settings.http.addr, settings.http.net)
    except PlaceError as error:
        log.error(str(error))
        return 1
    with ExitStack() as stack:
        stack.callback(listeners.close)
        return _serve(loaded, read, listeners, stack)


def _serve(loaded: Loaded, read: Callable[[], Loaded], listeners: Listeners, stack: ExitStack) -> int:
    settings = loaded.settings
    try:
        if settings.auth.htpasswd:
            prepare(settings.auth.htpasswd.path)
        place = places.find(settings)
        current = Current(loaded, read, place, _scratch(stack) if place.server else None)
        held = [InheritedFile(file) for file in places.lock(place, f"listening on {settings.http.addr}")]
        listeners.share(workers(settings, place))
    except (PlaceError, TLSError, UsersFileError) as error:
        log.error(str(error))
        return 1
    supervisor = Supervisor(current, listeners, held, settings.http.draintimeout)
    return supervisor.serve(lambda: _announce(settings, place, listeners))


def _scratch(stack: ExitStack) -> Path | None:
    """A directory for what the workers of this server share for as long as it runs; None where none can be made."""
    try:
        return Path(stack.enter_context(TemporaryDirectory(prefix="holdfast-", ignore_cleanup_errors=True)))
    except OSError as error:
        log.warning(
            "there is no place for temporary files: nothing can be pulled while the database is away", error=str(error)
        )
        return None


def workers(settings: Settings, place: Place) -> int:
    """How many worker processes serve."""
    if place.single:
        return 1
    return settings.server.workers or len(os.sched_getaffinity(0))


def _announce(settings: Settings, place: Place, listeners: Listeners) -> None:
    scheme = "https" if settings.http.tls.certificate else "http"
    log.info("serving", url=listeners.url(scheme), workers=listeners.count, engine=settings.server.engine)
    if place.in_memory:
        log.warning("storage is in memory: everything is lost at the stop")
    else:
        delete = settings.storage.delete.enabled
        log.info("storage", root=place.bytes_in, metadata=place.names_in, mode=place.mode, delete=delete)
        if place.root and (warning := fleeting(place.root)):
            log.warning(warning)
        if place.bucket and place.metadata and (mount := mount_of(place.metadata)) and danger(mount):
            log.warning(
                f"{place.metadata} is lost with the container: the next start then reads all names from the bucket, and what only the database"
                " has is gone; mount a disk or a volume there, or set metadata.url"
            )
    if place.why:
        log.warning(place.why)
    if scheme == "http" and listeners.host and not _is_loopback(listeners.host):
        log.warning(
            "plain HTTP on a public address: passwords and images can be read on the way; set http.tls or put a TLS proxy in front"
        )
    kind = (
        f"htpasswd ({settings.auth.htpasswd.path})" if settings.auth.htpasswd else "none: everybody may push and pull"
    )
    log.info("authentication", kind=kind)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
