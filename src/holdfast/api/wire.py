"""Requests and answers on top of ASGI: headers, bodies with time-outs, streams."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from holdfast.auth.port import Actor
from holdfast.model.errors import BODY_TIMEOUT, MANIFEST_TOO_LARGE, SIZE_INVALID, Failure
from holdfast.storage.port import StorageError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

PIECE: Final = 512 * 1024
"""Bytes sent at once: large enough to be cheap, small enough for many stalled clients."""

LINGER_BYTES: Final = 8 * 1024 * 1024
LINGER_SECONDS: Final = 5.0
"""How much of a body is still read, and for how long, after an answer that did not need it: else the client never sees the answer."""


class ClientGone(Exception):
    """The client closed the connection or stalled; there is nobody to answer. `sent`: bytes of body that it was sent before."""

    def __init__(self, sent: int = 0) -> None:
        super().__init__("the client is gone")
        self.sent = sent


class BrokenOff(Exception):
    """The store failed in the middle of an answer. `sent`: bytes of body that the client had before."""

    def __init__(self, sent: int) -> None:
        super().__init__("the answer broke off")
        self.sent = sent


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


class RequestBody:
    """A body as it arrives. Iterating gives pieces as large as the server makes them; nothing is kept.

    Raises `ClientGone`, `Failure(SIZE_INVALID)` where the length is not the announced one, `Failure(BODY_TIMEOUT)` after `timeout`
    seconds without a byte.
    """

    def __init__(self, receive: Receive, length: int | None, timeout: float) -> None:
        self._receive = receive
        self.timeout = timeout
        self._first = b""
        self.length = length
        self.received = 0
        self.finished = False

    async def _next(self) -> bytes:
        try:
            async with asyncio.timeout(self.timeout):
                message = await self._receive()
        except TimeoutError:
            raise Failure(BODY_TIMEOUT, headers=[("Connection", "close")]) from None
        if message["type"] != "http.request":
            raise ClientGone
        self.finished = not message.get("more_body", False)
        piece: bytes = message.get("body", b"")
        self.received += len(piece)
        if self.finished and self.length is not None and self.received != self.length:
            raise Failure(SIZE_INVALID, f"{self.length} bytes were announced and {self.received} arrived")
        return piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._first:
            first, self._first = self._first, b""
            yield first
        while not self.finished:
            piece = await self._next()
            if piece:
                yield piece

    async def is_empty(self) -> bool:
        """Tell whether there is no byte, waiting for the first one if the length was not announced."""
        while not self._first and not self.finished:
            self._first = await self._next()
        return not self._first

    async def whole(self, most: int) -> bytes:
        """The whole body, of at most `most` bytes. Raises `Failure(MANIFEST_TOO_LARGE)`."""
        if self.length is not None and self.length > most:
            raise Failure(MANIFEST_TOO_LARGE)
        pieces = []
        async for piece in self:
            if self.received > most:
                raise Failure(MANIFEST_TOO_LARGE)
            pieces.append(piece)
        return b"".join(pieces)

    async def until_gone(self) -> None:
        """Wait until the client closes the connection; what it still sends is dropped."""
        while (await self._receive())["type"] == "http.request":
            pass

    def release(self) -> None:
        """Let go of the connection: a server closes one whose body was not read only when nobody can read it any more."""
        self._receive = _nothing

    async def linger(self) -> None:
        """Read on for a while after an early answer."""
        limit = self.received + LINGER_BYTES
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self.finished and self.received < limit:
                    await self._next()
        except (TimeoutError, ClientGone, Failure):
            pass


class Request:
    """One request: what the client sent, what the path names, and who asks."""

    __slots__ = ("_query", "actor", "body", "headers", "method", "path", "reference", "repository", "scope")

    def __init__(self, scope: Scope, receive: Receive, timeout: float) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: Sequence[Header] = scope["headers"]
        self.repository = ""
        self.reference = ""
        self.actor = Actor("")
        self._query: dict[str, list[str]] | None = None
        self.body = RequestBody(receive, None, timeout)

    def header(self, name: bytes) -> bytes:
        """The first header of a (lower-case) name, or nothing."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""

    def text_header(self, name: bytes) -> str:
        """The same as text."""
        return self.header(name).decode("latin-1")

    def queries(self, name: str) -> list[str]:
        """All values of a query parameter, empty ones included; unknown parameters are nobody's business."""
        if self._query is None:
            text = self.scope["query_string"].decode("latin-1")
            try:
                self._query = parse_qs(text, keep_blank_values=True, max_num_fields=1000) if text else {}
            except ValueError:
                self._query = {}
        return self._query.get(name, [])

    def query(self, name: str) -> str | None:
        """The first value of a query parameter, or None where it does not occur."""
        values = self.queries(name)
        return values[0] if values else None

    @property
    def client(self) -> str:
        """The address of the other end of the connection."""
        peer = self.scope.get("client")
        return str(peer[0]).removeprefix("::ffff:") if peer else ""

    @property
    def user(self) -> str:
        """The name of whoever asks."""
        return self.actor.name

    @property
    def agent(self) -> str:
        """The User-Agent header."""
        return self.text_header(b"user-agent")


Stream = AsyncIterator[bytes]


class Answer:
    """A status, headers and a body: bytes, or a stream of `length` bytes whose `close` is called whatever happens."""

    __slots__ = ("body", "close", "headers", "length", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: list[Header] | None = None,
        body: bytes = b"",
        *,
        stream: Stream | None = None,
        length: int = 0,
        close: Callable[[], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.stream = stream
        self.length = length if stream else len(body)
        self.close = close


def encoded(name: str, value: str) -> Header:
    """A header of an answer."""
    return name.encode("latin-1"), value.encode("latin-1", "replace")


JSON: Final[Header] = (b"content-type", b"application/json; charset=utf-8")
"""The type of lists and errors, letter by letter that of registry:2. (Manifests and referrers go without a charset.)"""


def json_text(content: object) -> bytes:
    """A list or an error as JSON in one line, with its end: registry:2 sends that end too, and terminals need it."""
    return msgspec.json.encode(content) + b"\n"


async def send_answer(answer: Answer, request: Request, extra: Sequence[Header], send: Send) -> int:
    """Send an answer; gives the bytes of body sent. Raises `ClientGone` where the client hangs up or takes nothing for too long."""
    head = request.method == "HEAD"
    try:
        headers = [*answer.headers, *extra]
        if answer.status not in {204, 304}:
            headers.append((b"content-length", b"%d" % answer.length))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if head or (answer.stream is None and answer.length <= PIECE):
            await send({"type": "http.response.body", "body": b"" if head else answer.body, "more_body": False})
            return 0 if head else len(answer.body)
        return await _send_stream(answer.stream or _pieces(answer.body), answer.length, request.body, send)
    finally:
        if answer.close:
            answer.close()


async def _pieces(body: bytes) -> Stream:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


async def _send_stream(stream: Stream, length: int, body: RequestBody, send: Send) -> int:
    """Send pieces as the client takes them. Servers swallow what is sent to a client that is gone, so this listens for that."""
    sent = 0
    gone = asyncio.ensure_future(body.until_gone())
    try:
        async for piece in stream:
            sent += len(piece)
            async with asyncio.timeout(body.timeout):
                await send({"type": "http.response.body", "body": piece, "more_body": sent < length})
            await asyncio.sleep(
                0
            )  # where sending never waits, as to a client that is gone, nothing else would get a turn
            if gone.done() and sent < length:
                raise ClientGone(sent)
    except (TimeoutError, OSError):
        raise ClientGone(sent) from None
    except StorageError as error:
        raise BrokenOff(sent) from error
    finally:
        gone.cancel()
    if length == 0:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    return sent
