"""A line between a client and a server that breaks while a large answer or request is on its way."""

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

PIECE = 65536


class BreakingLine:
    """Forwards connections to `target`, and cuts the first that carries more than `after` bytes in one direction.

    `cut` tells whether that has happened; `requests` are the first bytes of each connection.
    """

    def __init__(self, target: tuple[str, int], *, after: int) -> None:
        self._target = target
        self._after = after
        self._lock = threading.Lock()
        self.cut = False
        self.requests: list[bytes] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone would leave the thread in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._carry, near)

    def _carry(self, near: socket.socket) -> None:
        with near, socket.create_connection(self._target) as far:
            back = threading.Thread(target=self._forward, args=(far, near, None))
            back.start()
            self._forward(near, far, self.requests)
            back.join()

    def _forward(self, source: socket.socket, destination: socket.socket, record: list[bytes] | None) -> None:
        carried = 0
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                if record is not None and not carried:
                    record.append(piece)
                carried += len(piece)
                if self._breaks(carried):
                    break
                destination.sendall(piece)
        for end in (source, destination):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _breaks(self, carried: int) -> bool:
        with self._lock:
            if self.cut or carried <= self._after:
                return False
            self.cut = True
            return True
