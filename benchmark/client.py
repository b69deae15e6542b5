"""A small HTTP/1.1 client that costs as little as it can, so that the server is what is measured.

It sends layers with sendfile and throws pulled bytes away inside the kernel (recv with MSG_TRUNC, tcp(7)). Both servers
meet the same client.
"""

import hashlib
import os
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

MIB = 1024 * 1024
SUFFIX_BYTES = 32
TIMEOUT_SECONDS = 120
CHUNK_BYTES = 32 * 1024
CHUNKS_PER_SEND = 256


class ClientError(Exception):
    """A server answered something else than the benchmark counts on."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Layer:
    """Content that no server has seen: the first `size - 32` bytes of the base file, then a random end."""

    base: int
    size: int
    suffix: bytes
    digest: str


class Layers:
    """Makes layers of one base file of random bytes, which stays in the page cache."""

    def __init__(self, path: Path, size: int) -> None:
        """Write the base file, of `size` bytes (a multiple of 1 MiB)."""
        block = os.urandom(min(size, 64 * MIB))
        with path.open("wb") as file:
            while (left := size - file.tell()) > 0:
                file.write(block[:left])
        self.path = path
        self._file = os.open(path, os.O_RDONLY)
        self._states: dict[int, hashlib._Hash] = {}

    def make(self, size: int) -> Layer:
        """A new layer of `size` bytes, at most the base file's."""
        if size not in self._states:
            self._states[size] = self._hash_start(size - SUFFIX_BYTES)
        suffix = os.urandom(SUFFIX_BYTES)
        state = self._states[size].copy()
        state.update(suffix)
        return Layer(self._file, size, suffix, "sha256:" + state.hexdigest())

    def _hash_start(self, count: int) -> "hashlib._Hash":
        state = hashlib.sha256()
        for offset in range(0, count, MIB):
            state.update(os.pread(self._file, min(MIB, count - offset), offset))
        return state

    def close(self) -> None:
        os.close(self._file)


class Connection:
    """One keep-alive connection to a server on loopback."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Time-outs in the kernel keep the socket blocking, which sendfile needs.
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", TIMEOUT_SECONDS, 0))
        self._host = f"127.0.0.1:{port}"
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def request(self, method: str, target: str, body: bytes = b"", headers: Iterable[tuple[str, str]] = ()) -> Answer:
        """Send a request with a body in memory and read the whole answer."""
        self._socket.sendall(self._head(method, target, [*headers, ("Content-Length", str(len(body)))]) + body)
        return self._read_answer(method)

    def send_layer(self, method: str, target: str, layer: Layer, *, chunked: bool = False) -> Answer:
        """Send a layer as the body, with its length announced or in chunks of 32 KiB as docker does."""
        headers = [("Content-Type", "application/octet-stream")]
        if chunked:
            self._socket.sendall(self._head(method, target, [*headers, ("Transfer-Encoding", "chunked")]))
            self._send_chunks(layer)
        else:
            self._socket.sendall(
                self._head(method, target, [*headers, ("Content-Length", str(layer.size))]), socket.MSG_MORE
            )
            self._send_file(layer)
        return self._read_answer(method)

    def get_head(self, target: str) -> int:
        """Ask for `target` and read no further than the header of the answer; returns the announced length in bytes."""
        self._socket.sendall(self._head("GET", target, ()))
        status, headers = self._read_head()
        if status != 200:
            raise ClientError(f"GET {target} answered {status}")
        return int(headers["content-length"])

    def discard(self, target: str) -> int:
        """Pull `target` and throw it away; returns its length in bytes."""
        length = self.get_head(target)
        left = length - len(self._unread)
        self._unread = b""
        scratch = bytearray(MIB)
        while left:
            received = self._socket.recv_into(scratch, min(left, MIB), socket.MSG_TRUNC)
            if not received:
                raise ClientError(f"GET {target} ended {left} bytes early")
            left -= received
        return length

    def digest(self, target: str) -> str:
        """Pull `target` and return the digest of what came."""
        left = self.get_head(target)
        state = hashlib.sha256()
        while left:
            content, self._unread = self._unread or self._receive(), b""
            state.update(content)
            left -= len(content)
        return "sha256:" + state.hexdigest()

    def _head(self, method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host}", *(f"{name}: {value}" for name, value in headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _send_file(self, layer: Layer) -> None:
        offset, end = 0, layer.size - len(layer.suffix)
        while offset < end:
            offset += os.sendfile(self._socket.fileno(), layer.base, offset, end - offset)
        self._socket.sendall(layer.suffix)

    def _send_chunks(self, layer: Layer) -> None:
        offset, end = 0, layer.size - len(layer.suffix)
        while offset < end:
            block = memoryview(os.pread(layer.base, min(end - offset, CHUNK_BYTES * CHUNKS_PER_SEND), offset))
            offset += len(block)
            parts: list[bytes | memoryview] = []
            for start in range(0, len(block), CHUNK_BYTES):
                chunk = block[start : start + CHUNK_BYTES]
                parts += [b"%x\r\n" % len(chunk), chunk, b"\r\n"]
            self._socket.sendall(b"".join(parts))
        self._socket.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(layer.suffix), layer.suffix))

    def _receive(self) -> bytes:
        received = self._socket.recv(256 * 1024)
        if not received:
            raise ClientError("the server closed the connection")
        return received

    def _read_head(self) -> tuple[int, dict[str, str]]:
        unread = self._unread
        while (end := unread.find(b"\r\n\r\n")) < 0:
            unread += self._receive()
        self._unread = unread[end + 4 :]
        status_line, *lines = unread[:end].decode("latin-1").split("\r\n")
        status = int(status_line.split(" ", 2)[1])
        if status == 100:
            return self._read_head()
        return status, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def _read_answer(self, method: str) -> Answer:
        status, headers = self._read_head()
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, headers, self._read_chunks())
        return Answer(status, headers, self._read_exactly(int(headers.get("content-length", "0"))))

    def _read_exactly(self, count: int) -> bytes:
        parts, have = [self._unread], len(self._unread)
        while have < count:
            parts.append(self._receive())
            have += len(parts[-1])
        content = b"".join(parts)
        self._unread = content[count:]
        return content[:count]

    def _read_chunks(self) -> bytes:
        content = b""
        while True:
            while b"\r\n" not in self._unread:
                self._unread += self._receive()
            size_line, _, self._unread = self._unread.partition(b"\r\n")
            size = int(size_line, 16)
            chunk = self._read_exactly(size + 2)
            if not size:
                return content
            content += chunk[:size]


def expect(answer: Answer, status: int, doing: str) -> Answer:
    """The answer itself when it has the status; `ClientError` naming what was being done otherwise."""
    if answer.status != status:
        raise ClientError(f"{doing} answered {answer.status} instead of {status}: {answer.body[:300]!r}")
    return answer


def push_layer(connection: Connection, repository: str, layer: Layer, *, chunked: bool = False) -> None:
    """Push as clients do: POST, PATCH with the bytes, PUT with the digest."""
    answer = start_upload(connection, repository)
    answer = expect(connection.send_layer("PATCH", location(answer), layer, chunked=chunked), 202, "sending a layer")
    expect(connection.request("PUT", closing(answer, layer.digest)), 201, "closing an upload")


def put_blob(connection: Connection, repository: str, content: bytes) -> str:
    """Push a small blob with POST and PUT; returns its digest."""
    digest = digest_of(content)
    target = closing(start_upload(connection, repository), digest)
    expect(
        connection.request("PUT", target, content, [("Content-Type", "application/octet-stream")]),
        201,
        "pushing a small blob",
    )
    return digest


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def start_upload(connection: Connection, repository: str) -> Answer:
    """Start an upload; gives the answer, which says where it goes on."""
    return expect(connection.request("POST", f"/v2/{repository}/blobs/uploads/"), 202, "starting an upload")


def closing(answer: Answer, digest: str) -> str:
    """Where the upload of that answer is closed with a digest."""
    target = location(answer)
    return f"{target}{'&' if '?' in target else '?'}digest={digest}"


def location(answer: Answer) -> str:
    """The path and query of the answer's Location, which may be absolute."""
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
