"""HTTP to one address of the registry, with limits on everything that it answers.

`http.client` is used because a doctor has to see what a browser-like client hides: redirects, odd answers, the address itself. No
answer can take more than `seconds` of our time and `MOST_BODY` bytes of our memory.
"""

import base64
import http.client
import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from holdfast import __version__
from holdfast.doctor.trust import Connect, Trust, pinned_trust, trust

SECONDS = 60.0
"""The longest that one request may take, and four times the longest wait for a byte."""
MOST_BODY = 8 * 1024 * 1024
"""Bytes of an answer's body that are read."""

HOME = "holdfast-doctor"
"""The first part of the names of repositories that are used for trying things."""


class Unreached(Exception):
    """No usable answer came; the text says why, `remedy` what to do, `refused` whether nothing listens there."""

    def __init__(self, reason: str, remedy: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password; the password is never shown."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The value of an Authorization header. (RFC 7617)"""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode("utf-8", "surrogateescape")).decode()


@dataclass(frozen=True)
class Reply:
    """An answer; `began` and `ended` are the time of day (seconds since 1970) around the request."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = field(repr=False)
    began: float = 0
    ended: float = 0

    @property
    def json(self) -> Any:
        """The body as JSON; None if it is something else."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    @property
    def is_page(self) -> bool:
        """Whether a web page came, which no registry sends."""
        kind = self.header("Content-Type").lower()
        return "html" in kind or self.body[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))

    @property
    def code(self) -> str:
        """The code of an error in the protocol's form; empty if it is none."""
        try:
            return str(self.json["errors"][0]["code"])[:60]
        except (TypeError, KeyError, IndexError):
            return ""

    def header(self, name: str, *, longest: int = 300) -> str:
        """A header's value, empty if it is missing; printable and at most so many characters."""
        return "".join(one for one in str(self.headers.get(name, "")) if one.isprintable())[:longest]

    def __str__(self) -> str:
        what = self.code or ("a web page" if self.is_page else self.header("Content-Type") or "no content")
        server = self.header("Server")
        return f"{self.status} ({what}{', from ' + server if server else ''})"


@dataclass
class End:
    """An address of the registry: `url` is what stands before `/v2/`. `inside`: the registry's own machine, not through a proxy."""

    url: str
    inside: bool = False
    socket_path: str = ""
    credentials: Credentials | None = None
    pinned: str = ""
    trusted: tuple[Path, ...] = ()
    now: Callable[[], float] = time.time
    seconds: float = SECONDS

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.scheme = parts.scheme
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if self.scheme == "https" else 80)
        self.base = parts.path.rstrip("/")
        self.authority = parts.netloc.rpartition("@")[2]
        self._connect = Connect(self.host, self.port, self.socket_path, self.seconds / 4)

    def __str__(self) -> str:
        return f"the socket {self.socket_path}" if self.socket_path else self.url

    @property
    def registry(self) -> str:
        """HOST:PORT as it stands in front of an image's name, and in `certs.d`."""
        return self.authority

    @property
    def trust(self) -> Trust | None:
        """How TLS went; None for plain HTTP. Raises `Unreached`."""
        if self.scheme != "https":
            return None
        if isinstance(self._handshake, Unreached):
            raise self._handshake
        return self._handshake

    @cached_property
    def _handshake(self) -> Trust | Unreached:
        try:
            with self._translated():
                if self.inside:
                    return pinned_trust(self._connect, self.pinned)
                directories = tuple(directory / self.registry for directory in self.trusted)
                return trust(self.host, self._connect, self.pinned, directories)
        except Unreached as unreached:
            return unreached

    @property
    def secure(self) -> bool:
        """Whether credentials may go there: nobody can pose as the other side, or the user chose plain HTTP."""
        return self.trust is None or bool(self.trust.by)

    @cached_property
    def ping(self) -> Reply | Unreached:
        """The answer to GET /v2/ without credentials."""
        return self._tried(authorised=False)

    @cached_property
    def authorised(self) -> Reply | Unreached:
        """The answer to GET /v2/ with credentials, where there are some that may be sent."""
        return self._tried() if self.credentials and self.speaks and self.secure else self.ping

    @property
    def speaks(self) -> bool:
        """Whether a registry answers, or a proxy that asks for credentials in front of it."""
        reply = self.ping
        if isinstance(reply, Unreached):
            return False
        if reply.status == 401:
            return bool(reply.header("WWW-Authenticate")) or reply.code == "UNAUTHORIZED"
        return reply.status == 200 and not reply.is_page and (reply.json is not None or self.is_marked(reply))

    @staticmethod
    def is_marked(reply: Reply) -> bool:
        """Whether an answer says that it comes from a registry."""
        return reply.header("Docker-Distribution-Api-Version") == "registry/2.0"

    @property
    def usable(self) -> bool:
        """Whether things can be tried there: it speaks the protocol, and who asks is let in."""
        return self.speaks and isinstance(self.authorised, Reply) and self.authorised.status == 200

    @cached_property
    def is_holdfast(self) -> bool:
        """Whether it is this program that answers there."""
        try:
            return self.request("GET", "/v2/_oci/ext/discover").body.find(b"_holdfast") >= 0
        except Unreached:
            return False

    def scratch(self) -> str:
        """The name of a repository for trying things: a new one each time, except that registry:2 keeps empty ones for ever."""
        return f"{HOME}/{uuid4().hex[:12] if self.is_holdfast else 'trial'}"

    def _tried(self, *, authorised: bool = True) -> Reply | Unreached:
        try:
            return self.request("GET", "/v2/", authorised=authorised)
        except Unreached as unreached:
            return unreached

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        *,
        authorised: bool = True,
    ) -> Reply:
        """Send one request and read its answer. `target` is below the address (`/v2/...`), or an absolute path from `place`.

        An iterable body is sent chunked. Redirects are not followed. Raises `Unreached`.
        """
        fields = self._fields(headers or {}, authorised=authorised)
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            fields["Transfer-Encoding"] = "chunked"
        with self._translated(), self._connection() as connection:
            began = self.now()
            with suppress(BrokenPipeError, ConnectionResetError):  # it answered before it took the whole body
                connection.request(method, self._target(target), body, fields, encode_chunked=chunked)
            with connection.getresponse() as answer:
                ended = self.now()
                content = answer.read(MOST_BODY)
            return Reply(answer.status, answer.headers, content, began, ended)

    def first_word(self, method: str, target: str, headers: Mapping[str, str], seconds: float) -> int | None:
        """Send the head of a request that announces a body, but not the body: the status of what is answered to the head alone (100
        means go on), None if nothing is within so many seconds. Raises `Unreached`."""
        fields = self._fields(headers, authorised=True)
        head = f"{method} {self._target(target)} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        with self._translated(), self._connection() as connection:
            connection.sock.sendall(head.encode("latin-1") + b"\r\n")
            if not select.select([connection.sock], [], [], seconds)[0]:
                return None
            line = connection.sock.recv(64)
            if not line.startswith(b"HTTP/1.") or not line[9:12].isdigit():
                raise http.client.BadStatusLine(repr(line))
            return int(line[9:12])

    def place(self, location: str) -> str:
        """The path and query of a Location header, whatever host it names."""
        parts = urlsplit(location)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _target(self, target: str) -> str:
        return target if self.base and target.startswith(self.base + "/") else self.base + target

    def _fields(self, headers: Mapping[str, str], *, authorised: bool) -> dict[str, str]:
        fields = {
            "Host": self.authority,
            "User-Agent": f"holdfast-doctor/{__version__}",
            "Connection": "close",
            **headers,
        }
        if authorised and self.credentials and self.secure:
            fields["Authorization"] = self.credentials.header
        return fields

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """A connection that is cut when its time is up."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.seconds / 4)
        handshake = self.trust
        connection.sock = self._connect()
        if handshake is not None:
            name = None if self.inside else self.host
            connection.sock = handshake.context.wrap_socket(connection.sock, server_hostname=name)
        late = threading.Event()
        limit = threading.Timer(self.seconds, _cut, [connection.sock, late])
        limit.daemon = True
        limit.start()
        try:
            yield connection
        finally:
            limit.cancel()
            connection.close()
            if late.is_set():
                raise TimeoutError

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise unreached(self, error) from error


def _cut(connection: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def unreached(end: End, error: Exception) -> Unreached:
    """What an error of a connection means to somebody who sets up a registry."""
    if isinstance(error, socket.gaierror):
        return Unreached(
            f"the name {end.host} cannot be resolved", "correct the name, or its entry in DNS or /etc/hosts"
        )
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return Unreached("nothing listens there", "start the server, or correct host and port", refused=True)
    if isinstance(error, TimeoutError):
        return Unreached(
            "there was no whole answer in time",
            "look for a firewall in between, a wrong port, or a proxy whose upstream hangs",
        )
    if isinstance(error, ssl.SSLError):
        return _not_tls(end, error)
    if isinstance(error, http.client.HTTPException | ConnectionResetError) and end.scheme == "http":
        return Unreached(
            "what listens there does not speak plain HTTP; it may want TLS",
            f"use https://{end.authority} as the address, in http.host too",
        )
    words = str(error) or type(error).__name__
    return Unreached(f"the connection failed: {words[:200]}", "look into the log of what listens there")


def _not_tls(end: End, error: ssl.SSLError) -> Unreached:
    reason = (error.reason or "").upper()
    if reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}:
        return Unreached(
            "plain HTTP is spoken there, not TLS (clients say: server gave HTTP response to HTTPS client)",
            f"give the registry a certificate (http.tls.certificate and http.tls.key), or put a TLS proxy in front of it; {insecure(end.registry)}",
        )
    return Unreached(
        f"TLS failed: {(error.reason or str(error))[:200]}",
        "see that the certificate and the versions of TLS there are usable",
    )


def insecure(host: str) -> str:
    """The lines that make clients speak plain HTTP to an address, HOST:PORT."""
    return (
        f'for tests only, clients can be told to do without: Docker: {{"insecure-registries": ["{host}"]}} in /etc/docker/daemon.json;'
        f' containerd: [host."http://{host}"] in /etc/containerd/certs.d/{host}/hosts.toml;'
        f' Podman: [[registry]] location = "{host}" insecure = true in /etc/containers/registries.conf'
    )
