"""A relay in front of a store that misbehaves on command: answers 503, stalls, refuses, cuts answers short, and counts requests."""

import socket
import threading
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

PIECE = 65536


class Relay:
    """Forwards requests to `target` (host and port), whose signatures stay right because the name of the host is passed on.

    `fail`: is asked for each request with its method and path and says what to do: "" to forward it, "503", "stall" (no answer until
    `released` is set), "drop" (the connection is closed without an answer), "cut" (the answer is ended half way), "lose" (the connection is
    closed instead of the answer).
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.requests: Counter[str] = Counter()
        self.seen: list[tuple[str, str]] = []
        self.fail: Callable[[str, str], str] = lambda _method, _path: ""
        self.released = threading.Event()
        relay = self

        class Handler(_Handler):
            owner = relay
            to = target

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: Relay
    to: tuple[str, int]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.requests[self.command] += 1
        self.owner.seen.append((self.command, self.path))
        wanted = self.owner.fail(self.command, self.path)
        if wanted == "503":
            self._answer(503, b"<Error><Code>SlowDown</Code></Error>")
        elif wanted == "stall":
            self.owner.released.wait()
            self._end()
        elif wanted == "drop":
            self._end()
        else:
            self._forward(body, wanted)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay  # noqa: N815 - the standard library asks for these names

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _end(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, body: bytes, wanted: str) -> None:
        connection = HTTPConnection(*self.to, timeout=60)
        try:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            if wanted == "lose":
                answer.read()
                self._end()
            else:
                self._pass(answer, cut=wanted == "cut")
        except (OSError, HTTPException):
            self.close_connection = True
        finally:
            connection.close()

    def _pass(self, answer: HTTPResponse, *, cut: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        whole = b"" if answer.getheader("Content-Length") else answer.read()
        length = int(answer.getheader("Content-Length") or len(whole))
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(whole)
        left = 0 if whole or self.command == "HEAD" else length
        left = left // 2 if cut else left
        while left and (piece := answer.read(min(PIECE, left))):
            self.wfile.write(piece)
            left -= len(piece)
        if cut:
            self._end()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests look at `seen`."""
