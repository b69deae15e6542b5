"""Bytes as they are, and all answers that come back."""

import re
import socket
from dataclasses import dataclass

from harness.http import Connection
from harness.server import Server

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


@dataclass(frozen=True)
class Outcome:
    """What came back: all bytes, the statuses in them, and whether the server hung up."""

    octets: bytes
    statuses: list[int]
    closed: bool


def exchange(server: Server, *pieces: bytes, wait: float = 1.0, hang_up: bool = False) -> Outcome:
    """Send bytes over a new connection and read until the server hangs up or is silent for `wait` seconds.

    `hang_up`: tell the server that nothing more comes.
    """
    with Connection(server, timeout=10) as connection:
        try:
            for piece in pieces:
                connection.send(piece)
            if hang_up:
                connection.socket.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_all(connection, wait)


def read_all(connection: Connection, wait: float) -> Outcome:
    """Read until the server hangs up or is silent for `wait` seconds."""
    connection.socket.settimeout(wait)
    octets, closed = b"", False
    try:
        while piece := connection.socket.recv(65536):
            octets += piece
        closed = True
    except TimeoutError:
        pass
    except ConnectionResetError:
        closed = True
    return Outcome(octets, [int(status) for status in STATUS_LINE.findall(octets)], closed)
