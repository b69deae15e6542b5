"""uvicorn's HTTP protocol with the limits on heads of requests that Granian has by itself, and a gentler stop."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_TARGET = 65_534
MOST_FIELDS = 100
"""The same as in Granian."""
LONGEST_HEAD = 512 * 1024
PATIENCE = 1.0
"""Seconds at a stop for the first request of a connection that was just made."""

_REASONS = {414: b"URI Too Long", 431: b"Request Header Fields Too Large"}


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A head may take as long as an idle connection may stay open (`timeout_keep_alive`)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._in_head = True
        self._head_bytes = 0
        self._refusal = 0
        self._late: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._got_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            if self._head_bytes > LONGEST_HEAD:
                self._refusal = 431
                self.send_400_response("")
            elif self._head_bytes and self._late is None:
                self._expect_head()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > LONGEST_TARGET:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > MOST_FIELDS:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        self._got_head()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        if self._refusal:
            head = b"HTTP/1.1 %d %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head % (self._refusal, _REASONS[self._refusal]))
            self.transport.close()
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Begin to stop: a client that has connected and is about to ask is not turned away."""
        fresh = self.cycle is None
        if fresh:
            self.loop.call_later(PATIENCE, super().shutdown)
        else:
            super().shutdown()

    def _refuse(self, status: int) -> None:
        self._refusal = status
        raise ValueError  # the parser stops, and `send_400_response` is called

    def _expect_head(self) -> None:
        self._late = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    def _got_head(self) -> None:
        if self._late:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
        else:  # the answer to the request before it is still under way
            self._expect_head()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing to warn about: a request for another protocol is answered in this one."""
