"""`holdfast health`: whether a server answers; what the image's HEALTHCHECK runs."""

import contextlib
import http.client
import os
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

SECONDS = 5.0
"""How long one attempt may take."""
_LISTENING = "0A"
_UNIX_LISTENING = "01"


@dataclass(frozen=True, order=True, slots=True)
class Address:
    """Where to connect: a host and a port, or the path of a socket."""

    host: str
    port: int = 0
    path: str = ""


@click.command()
@click.argument("url", metavar="[URL]", required=False)
def health(url: str | None) -> None:
    """Ask a server whether it is alive: status 0 if it is.

    URL is its address, such as https://localhost:5000. Without it the servers are asked that run in the same container as this
    command, wherever they listen. Certificates are not checked.
    """
    attempts = [_named(url)] if url else _found()
    if not attempts:
        raise click.ClickException("no server listens here; give the address of one")
    problems = []
    for address, tls in attempts:
        problem = ask(address, tls=tls)
        if not problem:
            click.echo("healthy")
            return
        place = address.path or f"{address.host}:{address.port}"
        problems.append(f"{place} {'TLS' if tls else 'plain'}: {problem}")
    raise click.ClickException("; ".join(problems))


def _named(url: str) -> tuple[Address, bool]:
    """The address that a URL names, and whether with TLS. Raises `click.UsageError`."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise click.UsageError(f"{url} is not an address such as https://localhost:5000")
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80)), tls


def _found() -> list[tuple[Address, bool]]:
    """Everything that listens in this container, plain and with TLS."""
    return [(address, tls) for address in sorted(listening()) for tls in (False, True)]


def ask(address: Address, *, tls: bool) -> str:
    """What is wrong with the server at `address`, in words; empty if it answers as it should."""
    connection = http.client.HTTPConnection(address.host or "localhost", address.port, timeout=SECONDS)
    try:
        with contextlib.closing(connection):
            connection.sock = _connect(address)
            if tls:
                connection.sock = _context().wrap_socket(connection.sock, server_hostname=address.host or None)
            connection.request("GET", "/healthz", headers={"User-Agent": "holdfast-health"})
            status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return "" if status == 200 else f"answered {status}"


def _connect(address: Address) -> socket.socket:
    if not address.path:
        return socket.create_connection((address.host, address.port), SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(SECONDS)
    connection.connect(address.path)
    return connection


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def listening() -> set[Address]:
    """Where the processes of this container listen, as far as this user may look into them."""
    sockets = set(_sockets())
    found = set()
    for table in ("tcp", "tcp6"):
        for fields in _rows(f"/proc/net/{table}"):
            if fields[3] == _LISTENING and fields[9] in sockets:
                found.add(_address(fields[1]))
    for fields in _rows("/proc/net/unix"):
        if fields[5] == _UNIX_LISTENING and fields[6] in sockets and len(fields) > 7 and fields[7].startswith("/"):
            found.add(Address("", path=fields[7]))
    return found


def _rows(path: str) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as table:
            next(table, None)
            for line in table:
                yield line.split()
    except FileNotFoundError:  # a kernel without IPv6
        return


def _sockets() -> Iterator[str]:
    """The numbers of the sockets that are open in processes with the same root directory."""
    here = os.readlink("/proc/self/ns/mnt")
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{process}/ns/mnt") != here:
                continue
            for number in os.listdir(f"/proc/{process}/fd"):
                target = os.readlink(f"/proc/{process}/fd/{number}")
                if target.startswith("socket:["):
                    yield target[len("socket:[") : -1]
        except OSError:  # it has ended, or belongs to somebody else
            continue


def _address(text: str) -> Address:
    """An address as the kernel's tables have it: hexadecimal, in 32-bit words of the machine's byte order."""
    host, _, port = text.partition(":")
    words = [bytes.fromhex(host[start : start + 8])[::-1] for start in range(0, len(host), 8)]
    packed = b"".join(words)
    name = socket.inet_ntop(socket.AF_INET6 if len(packed) == 16 else socket.AF_INET, packed)
    # Containers often have no IPv6 at all, also where a program listens on every address of both kinds.
    return Address("localhost" if name in ("0.0.0.0", "::") else name, int(port, 16))  # noqa: S104 - compared, not bound
