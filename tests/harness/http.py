"""An HTTP/1.1 client that sends what it is told and hides nothing of the answer.

`Client` makes one connection for each request, as the Docker engine does, so that consecutive requests meet different
workers. `Connection` is one socket: several requests after each other, or bytes as they are (`send`) for hostile and
cut requests.
"""

import json
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

Fields = Mapping[str, str] | Iterable[tuple[str, str]]
Body = bytes | Iterable[bytes] | None


class Listener(Protocol):
    """Something that listens: a `Server`, or an `Address`."""

    @property
    def address(self) -> tuple[str, int]: ...


class Address(NamedTuple):
    """A host and port that something else listens on."""

    host: str
    port: int

    @property
    def address(self) -> tuple[str, int]:
        return self.host, self.port


class Headers:
    """The header fields of an answer, in order; names compare without case."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __getitem__(self, name: str) -> str:
        """The value of a field that occurs exactly once. Raises `AssertionError` when it is missing or repeated."""
        values = self.all(name)
        assert len(values) == 1, f"{name} occurs {len(values)} times in {self._fields}"
        return values[0]

    def get(self, name: str) -> str | None:
        """The value of a field that occurs at most once."""
        return self[name] if self.all(name) else None

    def all(self, name: str) -> list[str]:
        return [value for known, value in self._fields if known.lower() == name.lower()]


@dataclass(frozen=True)
class Response:
    """One answer, with the request line that it belongs to."""

    method: str
    target: str
    status: int
    headers: Headers
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of an error answer."""
        return [error["code"] for error in self.json()["errors"]]

    def expect(self, *statuses: int, code: str | None = None) -> Self:
        """This answer, which must have one of the statuses, and (unless it answers a HEAD) only `code` in its body."""
        assert self.status in statuses, f"wanted {statuses}, got {self}"
        if code is not None and self.method != "HEAD":
            assert set(self.codes) == {code}, f"wanted {code}, got {self}"
        return self

    def __str__(self) -> str:
        head = "\n".join(f"{name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.target[:300]}\n=> {self.status}\n{head}\n\n{self.body[:2000]!r}"


class Connection:
    """One connection to a server. Close it, or use it in a `with` statement.

    `timeout`: seconds that any single send or receive may take; `TimeoutError` is raised after that.
    """

    def __init__(self, listener: Listener, *, timeout: float = 30.0, tls: ssl.SSLContext | None = None) -> None:
        self._host = f"{listener.address[0]}:{listener.address[1]}"
        self.socket = socket.create_connection(listener.address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname=listener.address[0])
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(octets)

    def send_head(self, method: str, target: str, headers: Fields = ()) -> None:
        """Send a request's head: exactly these fields, and Host unless it is among them."""
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if not any(name.lower() == "host" for name, _ in fields):
            fields.insert(0, ("Host", self._host))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def request(self, method: str, target: str, headers: Fields = (), body: Body = None) -> Response:
        """Send one request and read its answer.

        `body`: bytes go with Content-Length, any other iterable of bytes is sent chunked as it is produced, None sends
        no body (with Content-Length: 0 where the method usually has one). When the server answers and hangs up before
        it has taken the whole body, its answer is returned.
        """
        fields = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        if body is None and method in {"POST", "PUT", "PATCH"}:
            body = b""
        if isinstance(body, bytes):
            fields.append(("Content-Length", str(len(body))))
        elif body is not None:
            fields.append(("Transfer-Encoding", "chunked"))
        try:
            self.send_head(method, target, fields)
            if isinstance(body, bytes):
                self.send(body)
            elif body is not None:
                self._send_chunks(body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self.receive(method, target)

    def _send_chunks(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            if piece:
                self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.send(b"0\r\n\r\n")

    def receive(self, method: str = "GET", target: str = "") -> Response:
        """Read one answer, skipping 100 Continue. Raises `ConnectionError` when the server hangs up instead."""
        head = self.receive_head(method, target)
        return Response(
            method, target, head.status, head.headers, b"" if head.status == 101 else self._receive_body(head)
        )

    def receive_head(self, method: str = "GET", target: str = "") -> Response:
        """Read an answer's status and headers and leave its body; `read` takes it piece by piece."""
        status = 100
        while status == 100:
            version, _, rest = self._line().partition(" ")
            assert version in {"HTTP/1.1", "HTTP/1.0"}, f"not an answer: {version} {rest}"
            status = int(rest[:3])
            headers = []
            while line := self._line():
                name, _, value = line.partition(":")
                headers.append((name, value.strip()))
        return Response(method, target, status, Headers(headers), b"")

    def read(self, size: int) -> bytes:
        """Exactly `size` further bytes. Raises `ConnectionError` when the server hangs up before."""
        octets = self._file.read(size)
        if len(octets) < size:
            raise ConnectionError(f"the server hung up after {len(octets)} of {size} bytes")
        return octets

    def read_to_end(self) -> bytes:
        """All bytes until the server hangs up; a reset counts as that."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""

    def _line(self) -> str:
        line = self._file.readline(65536)
        if not line.endswith(b"\n"):
            raise ConnectionError("the server hung up before the end of the head")
        return line.rstrip(b"\r\n").decode("latin-1")

    def _receive_body(self, head: Response) -> bytes:
        if head.method == "HEAD" or head.status in {204, 304}:
            return b""
        if (head.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            return b"".join(self._chunks())
        length = head.headers.get("Content-Length")
        return self._file.read() if length is None else self.read(int(length))

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self._line().partition(";")[0], 16):
            yield self.read(size)
            self.read(2)
        while self._line():
            pass


class Client:
    """Requests to one server, each over a connection of its own.

    `headers` go with every request. `check` is called with every answer and raises when it breaks a rule.
    """

    def __init__(
        self,
        listener: Listener,
        *,
        headers: Fields = (),
        timeout: float = 30.0,
        tls: ssl.SSLContext | None = None,
        check: Callable[[Response], None] | None = None,
    ) -> None:
        self._listener = listener
        self._headers = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
        self._timeout = timeout
        self._tls = tls
        self._check = check

    def connect(self) -> Connection:
        """A connection to the same server, to be closed by the caller."""
        return Connection(self._listener, timeout=self._timeout, tls=self._tls)

    def request(self, method: str, target: str, headers: Fields = (), body: Body = None) -> Response:
        """Send one request and read its answer; nothing may follow the answer. `body` as for `Connection.request`."""
        fields = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
        with self.connect() as connection:
            response = connection.request(method, target, (("Connection", "close"), *self._headers, *fields), body)
            rest = connection.read_to_end()
        assert not rest, f"{rest[:200]!r} follows the answer {response}"
        if self._check is not None:
            self._check(response)
        return response

    def get(self, target: str, headers: Fields = ()) -> Response:
        return self.request("GET", target, headers)

    def head(self, target: str, headers: Fields = ()) -> Response:
        return self.request("HEAD", target, headers)

    def post(self, target: str, headers: Fields = (), body: Body = None) -> Response:
        return self.request("POST", target, headers, body)

    def patch(self, target: str, headers: Fields = (), body: Body = None) -> Response:
        return self.request("PATCH", target, headers, body)

    def put(self, target: str, headers: Fields = (), body: Body = None) -> Response:
        return self.request("PUT", target, headers, body)

    def delete(self, target: str, headers: Fields = ()) -> Response:
        return self.request("DELETE", target, headers)
