"""A line to a server that can be cut: it falls silent, refuses connections, or answers itself in the server's place."""

import asyncio
import re
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Self

PIECE = 65536


TURNS = 10
"""Turns of the event loop in which whatever had begun has come to its end."""


class Wire:
    """Forwards connections on `port` to a loopback port, from a thread of its own, until it is disturbed; `restore` ends every disturbance."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="wire", daemon=True)
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._answer = b""
        self._pattern: re.Pattern[bytes] | None = None
        self.port = 0
        self.held = 0
        """How many pieces wait at the moment, or connections that began while it was silent."""
        self.answered = 0
        """How many requests it has answered itself."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def silence(self) -> None:
        """Let nothing through from now on; connections stay open, and new ones are taken. Return when that is so."""
        self._wait(self._shut())

    def hold(self, pattern: bytes) -> None:
        """Hold the pieces to the server in which a regular expression is found, and what follows them; let all else through."""
        self._pattern = re.compile(pattern)
        self.silence()

    def refuse(self) -> None:
        """Break all connections off, and refuse new ones; return when that is so."""
        self._wait(self._close())

    def break_off(self) -> None:
        """Break all connections off; return when that is so."""
        self._wait(self._cancel())

    def answer(self, octets: bytes) -> None:
        """Break all connections off, and answer each HTTP request with these bytes."""
        self._answer = octets
        self.break_off()

    def restore(self) -> None:
        """Let everything through again, also what waited; return when that is so."""
        self._answer = b""
        self._wait(self._restore())

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open, self._ended = asyncio.Event(), asyncio.Event()
        await self._restore()
        self._ready.set()
        await self._ended.wait()
        await self._close()
        for _ in range(TURNS):  # connections that were accepted just then are taken, and broken off
            await asyncio.sleep(0)
            await self._cancel()

    async def _restore(self) -> None:
        self._pattern = None
        self._open.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._take, "127.0.0.1", self.port, backlog=500)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        self._open.clear()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cancel()

    async def _cancel(self) -> None:
        broken = list(self._carrying)
        for task in broken:
            task.cancel()
        await asyncio.gather(*broken, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_gone, writer)
            stack.enter_context(suppress(OSError, asyncio.IncompleteReadError))
            if self._pattern is None:
                await self._opened()
            if self._answer:
                await self._reply(reader, writer)
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            stack.push_async_callback(_gone, far_writer)
            await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer, back=True))

    async def _opened(self) -> None:
        self.held += 1
        try:
            await self._open.wait()
        finally:
            self.held -= 1

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool = False) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                if self._pattern is None or (not back and self._pattern.search(piece)):
                    await self._opened()
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        self.answered += 1
        writer.write(self._answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _gone(writer: asyncio.StreamWriter) -> None:
    """Break a connection off, and return when its socket is closed."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
