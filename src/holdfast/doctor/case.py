"""What is examined: the configuration as this machine sees it, and the addresses at which the registry answers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from holdfast.config.address import parse_addr
from holdfast.config.load import Loaded
from holdfast.config.settings import Settings
from holdfast.doctor.holder import Holder, holder
from holdfast.doctor.identity import Identity, identity
from holdfast.doctor.reach import SECONDS, Credentials, End, Unreached
from holdfast.storage import paths


@dataclass
class Case:
    """One examination. Everything that costs something is looked at once, when a check first asks for it.

    `loaded` is the configuration, None if it cannot be used or none was given; `errors` says why it cannot, and
    `warnings` what is odd about it. `url` is the address that clients use, empty for that of `http.host`. `push` allows
    checks that send something. `now` is the time of day in seconds since 1970, `user` the one who serves (found out if
    not given), `seconds` the longest that one request may take, `trusted` directories in the way of `certs.d`.
    """

    loaded: Loaded | None = None
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    url: str = ""
    credentials: Credentials | None = None
    push: bool = True
    now: Callable[[], float] = time.time
    user: Identity | None = None
    seconds: float = SECONDS
    trusted: tuple[Path, ...] = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))

    @property
    def settings(self) -> Settings | None:
        """The settings, if there are any to look at."""
        return self.loaded.settings if self.loaded else None

    @property
    def root(self) -> Path | None:
        """The directory of the data; None in memory or without settings."""
        if self.settings is None or self.settings.storage.filesystem is None:
            return None
        return Path(self.settings.storage.filesystem.rootdirectory).absolute()

    @property
    def metadata(self) -> Path | None:
        """The directory of the database; None in memory or without settings."""
        if self.settings is None or self.root is None:
            return None
        return Path(self.settings.metadata.path).absolute() if self.settings.metadata.path else self.root / "holdfast"

    @cached_property
    def holder(self) -> Holder | None:
        """The server that uses the root directory at the moment; None if there is none."""
        return holder(self.root / paths.ROOT / paths.OWN / "server.lock") if self.root else None

    @cached_property
    def server(self) -> Identity:
        """The user as which the registry runs: that of the running process if it can be seen, else the present one."""
        if self.user:
            return self.user
        running = identity(self.holder.pid) if self.holder and self.holder.here else None
        return running or Identity.present()

    @cached_property
    def inside(self) -> End | None:
        """The address on this machine on which the settings let the registry listen; None if there is no fixed one."""
        if self.settings is None:
            return None
        http = self.settings.http
        scheme = "https" if http.tls.certificate else "http"
        if http.net == "unix":
            return self._end(f"http://localhost{self._prefix}", inside=True, socket_path=http.addr)
        host, port = parse_addr(http.addr)
        if port == 0:
            return None
        host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        return self._end(f"{scheme}://{shown}:{port}{self._prefix}", inside=True)

    @cached_property
    def outside(self) -> End | None:
        """The address that clients use, as far as it is known."""
        if self.url:
            return self._end(self.url.rstrip("/"))
        host = self.settings.http.host.rstrip("/") if self.settings else ""
        return self._end(host if urlsplit(host).path else host + self._prefix) if host else None

    @property
    def _prefix(self) -> str:
        prefix = self.settings.http.prefix.strip("/") if self.settings else ""
        return f"/{prefix}" if prefix else ""

    def _end(self, url: str, *, inside: bool = False, socket_path: str = "") -> End:
        pinned = self.settings.http.tls.certificate if self.settings else ""
        return End(url, inside, socket_path, self.credentials, pinned, self.trusted, self.now, self.seconds)

    @cached_property
    def ends(self) -> tuple[End, ...]:
        """Both addresses, the inner one first; one alone if they are the same."""
        outside, inside = self.outside, self.inside
        if outside and inside and not inside.socket_path and (outside.host, outside.port) == (inside.host, inside.port):
            return (outside,)
        return tuple(end for end in (inside, outside) if end)

    @property
    def stopped(self) -> bool:
        """Whether the configured server does not run: nobody uses its directory, and nothing listens on its port."""
        end = self.inside
        return self.holder is None and end is not None and isinstance(end.ping, Unreached) and end.ping.refused

    @property
    def read_only(self) -> bool:
        """Whether the settings forbid pushes."""
        return self.settings is not None and self.settings.storage.maintenance.readonly.enabled

    @property
    def usable(self) -> tuple[End, ...]:
        """The addresses at which the registry answers what is asked with what is known."""
        return tuple(end for end in self.ends if end.usable)
