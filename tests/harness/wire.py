"""A line to a server that can fall silent: connections stay open, new ones are taken, and nothing goes through."""

import asyncio
import threading
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

PIECE = 65536


class Wire:
    """Forwards connections on `port` to a loopback port, from a thread of its own; not while it is `silent`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.port = 0

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
        """Let nothing through from now on."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def restore(self) -> None:
        """Let everything through again, also what waited."""
        self._loop.call_soon_threadsafe(self._open.set)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open, self._ended = asyncio.Event(), asyncio.Event()
        self._open.set()
        carrying: set[asyncio.Task[None]] = set()

        def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            carrying.add(asyncio.create_task(self._carry(reader, writer)))

        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_closed, writer)
            stack.enter_context(suppress(OSError))
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            stack.push_async_callback(_closed, far_writer)
            await asyncio.gather(self._forward(reader, far_writer), self._forward(far_reader, writer))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
