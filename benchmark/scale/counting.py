"""A proxy in front of an S3 engine that counts the requests, whoever sends them."""

import re
import socket
import threading
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

HEAD_END = b"\r\n\r\n"
BLOCK = 256 * 1024
SHOWN = ("uploads", "partNumber", "uploadId", "list-type", "delete")
"""The words of a query that tell what a request does."""


class CountingProxy:
    """Listens on a free port of loopback and hands everything on to `port`, also of loopback; `counts` has the requests by kind."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self.sent = 0
        """Bytes of bodies that clients sent."""
        self._behind = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for end in (self._listener, *self._open):
                _shut(end)

    def take(self) -> Counter[str]:
        """The counts since the last time."""
        with self._lock:
            counts, self.counts = self.counts, Counter()
            return counts

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                engine = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                client.close()
                continue
            with self._lock:
                self._open |= {client, engine}
            for end in (client, engine):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for work in (self._requests, self._answers):
                threading.Thread(target=work, args=(client, engine), daemon=True).start()

    def _answers(self, client: socket.socket, engine: socket.socket) -> None:
        try:
            while block := engine.recv(BLOCK):
                client.sendall(block)
        except OSError:
            pass
        finally:
            self._end(client, engine)

    def _requests(self, client: socket.socket, engine: socket.socket) -> None:
        unread = b""
        try:
            while True:
                while HEAD_END not in unread:
                    if not (block := client.recv(BLOCK)):
                        return
                    unread += block
                head, _, unread = unread.partition(HEAD_END)
                length = _body_length(head)
                self._count(head, length)
                engine.sendall(head + HEAD_END)
                while length:
                    block = unread[:length] or client.recv(min(BLOCK, length))
                    if not block:
                        return
                    unread = unread[len(block) :]
                    length -= len(block)
                    engine.sendall(block)
        except OSError:
            pass
        finally:
            self._end(client, engine)

    def _count(self, head: bytes, length: int) -> None:
        with self._lock:
            self.counts[kind_of(head)] += 1
            self.sent += length

    def _end(self, *ends: socket.socket) -> None:
        with self._lock:
            self._open.difference_update(ends)
        for end in ends:
            _shut(end)


def kind_of(head: bytes) -> str:
    """What a request does: its method, and the word of its query that changes the meaning of the method."""
    method, target, _ = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
    query = parse_qs(urlsplit(target).query, keep_blank_values=True)
    words = [word for word in SHOWN if word in query]
    if method == "PUT" and re.search(rb"(?i)\r\nx-amz-copy-source:", head):
        words.append("copy")
    return " ".join([method, *words])


def _body_length(head: bytes) -> int:
    """The length that a request announces. Raises `OSError` for a body of unknown length, which no S3 client sends."""
    if re.search(rb"(?i)\r\ntransfer-encoding:", head):
        raise OSError("a body without a length")
    length = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
    return int(length.group(1)) if length else 0


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
