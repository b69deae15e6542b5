"""The sockets that the registry listens on."""

import errno
import os
import socket
from pathlib import Path

from holdfast.app.place import PlaceError
from holdfast.app.unix import UnixSocket
from holdfast.config.address import parse_addr

BACKLOG = 1024

_ADVICE = {
    errno.EADDRINUSE: "stop what uses it or set http.addr",
    errno.EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; set http.addr",
    errno.EADDRNOTAVAIL: "this machine has no such address; correct http.addr",
}


class Listeners:
    """A listening socket for each worker, all on one address: the kernel shares connections out among them.

    The main process holds them, so what waits at the socket of a worker that ended is served by its successor. The first one is
    bound before it is opened for sharing: the kernel refuses an address that any other program has, another Holdfast included.
    A Unix socket cannot be shared so; all workers have the same one.
    """

    def __init__(self, addr: str, net: str = "tcp") -> None:
        """Listen on `addr` (`http.addr`) for one worker; `net` (`http.net`) is `tcp` or `unix`. Raises `PlaceError` if that cannot be."""
        self._unix: UnixSocket | None = None
        if net == "unix":
            self._unix = UnixSocket(Path(addr).absolute(), BACKLOG)
            self._sockets = [self._unix.socket]
            return
        try:
            self._sockets = [_first(addr)]
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            advice = _ADVICE.get(error.errno or 0, "correct http.addr")
            raise PlaceError(f"cannot listen on {addr}: {reason}; {advice}") from None

    def share(self, count: int) -> None:
        """Listen for `count` workers."""
        more = range(count - self.count)
        self._sockets += [self._sockets[0] if self._unix else _another(self._sockets[0]) for _ in more]

    @property
    def count(self) -> int:
        """How many workers there are sockets for."""
        return len(self._sockets)

    @property
    def host(self) -> str:
        """The address of the machine's that is listened on, as the kernel has it; empty for a Unix socket."""
        return "" if self._unix else str(self._sockets[0].getsockname()[0])

    def url(self, scheme: str) -> str:
        """Where the registry can be reached: `http://127.0.0.1:5000`, or `http+unix:/run/registry.sock`."""
        if self._unix:
            return f"{scheme}+unix:{self._unix.path}"
        host, port = self._sockets[0].getsockname()[:2]
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    def of(self, index: int) -> socket.socket:
        """The socket of a worker."""
        return self._sockets[index]

    def close(self) -> None:
        """Take no more connections."""
        for one in self._sockets:
            one.close()
        if self._unix:
            self._unix.remove()


def _first(addr: str) -> socket.socket:
    host, port = parse_addr(addr)
    if not host and socket.has_dualstack_ipv6():
        listener = socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)
    else:
        family, _, _, _, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]  # noqa: S104
        listener = socket.create_server(address[:2], family=family, backlog=BACKLOG)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return listener


def _another(first: socket.socket) -> socket.socket:
    listener = socket.socket(first.family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if first.family == socket.AF_INET6:
        dual = first.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, dual)
    listener.bind(first.getsockname()[:2])
    listener.listen(BACKLOG)
    return listener
