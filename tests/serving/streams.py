"""Slow transfers that a test holds in the middle."""

import socket
from types import TracebackType
from typing import Self

from harness.content import Content, blob
from harness.http import Client, Connection, Response
from harness.repository import Repository
from harness.server import Server
from serving.processes import MIB

INVITED = b"HTTP/1.1 100 Continue\r\n\r\n"
LARGE = 16 * MIB
"""More than the buffers between a server and a client hold."""


class SlowUpload:
    """A PATCH whose body has begun to arrive."""

    def __init__(self, server: Server, repository: str = "slow/upload") -> None:
        self.content = blob(repository, 3 * MIB, "application/octet-stream")
        self.location = Repository(Client(server), repository).open_upload()
        self.connection = Connection(server)
        fields = {"Content-Length": str(self.content.size), "Connection": "close", "Expect": "100-continue"}
        self.connection.send_head("PATCH", self.location, fields)
        assert self.connection.read(len(INVITED)) == INVITED  # a worker has it now
        self.connection.send(self.content.body[:MIB])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def finish(self) -> Response:
        """Send the rest: the answer."""
        self.connection.send(self.content.body[MIB:])
        return self.connection.receive("PATCH", self.location)


class SlowDownload:
    """A pull of a large blob of which little has been read."""

    def __init__(self, server: Server, content: Content, repository: str = "slow/download") -> None:
        self.content = content
        self.connection = Connection(server)
        self.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        self.connection.send_head("GET", f"/v2/{repository}/blobs/{content.digest}", {"Connection": "close"})
        head = self.connection.receive_head()
        assert head.status == 200, head
        self._begin = self.connection.read(1000)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def finish(self) -> bytes:
        """Read the rest: the whole body."""
        return self._begin + self.connection.read(self.content.size - len(self._begin))


def large_blob(server: Server, repository: str = "slow/download") -> Content:
    """Push a large blob."""
    return Repository(Client(server), repository).push_blob(blob("large", LARGE))
