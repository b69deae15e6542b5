"""The looks that health checks take at files, ports and web servers.

The request to a web server is written here, since it is one line and its answer another, the project needs no HTTP client otherwise, and a client
in a thread could not be given up at a stop.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import SplitResult, urljoin, urlsplit

from holdfast.config.address import parse_addr

MOST_REDIRECTS = 10
MOST_FIELDS = 200
"""Header fields that are read of an answer."""

_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def look_at_file(path: str) -> str:
    """It is wrong that the file exists: whoever makes it takes the registry out of service."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return f"{path} exists"


async def look_at_port(addr: str) -> str:
    """Something has to accept a connection at `addr` (host and port; without a host: this machine)."""
    host, port = parse_addr(addr)
    async with _connected(host or "localhost", port, tls=False):
        return ""


async def look_at_page(uri: str, headers: Mapping[str, Sequence[str]], status: int) -> str:
    """HEAD of a web address has to be answered with a status. Redirects are followed, without the headers where they lead to another server."""
    for _ in range(MOST_REDIRECTS):
        parts = urlsplit(uri)
        if parts.scheme not in _PORTS or not parts.hostname:
            return "the address has to begin with http:// or https:// and a host"
        found, location = await _head(parts, headers)
        if found == status:
            return ""
        if found not in _REDIRECTS or not location:
            return f"status {found}, expected {status}"
        uri = urljoin(uri, location)
        if urlsplit(uri)[:2] != parts[:2]:
            headers = {}
    return f"more than {MOST_REDIRECTS} redirects"


async def _head(parts: SplitResult, headers: Mapping[str, Sequence[str]]) -> tuple[int, str]:
    """The status of the answer, and its Location or nothing."""
    tls = parts.scheme == "https"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    fields = {"Host": [parts.netloc.rpartition("@")[2]], "User-Agent": ["holdfast"], "Connection": ["close"]} | {
        name.title(): values for name, values in headers.items()
    }
    lines = [f"HEAD {target} HTTP/1.1", *(f"{name}: {value}" for name, values in fields.items() for value in values)]
    async with _connected(parts.hostname or "", parts.port or _PORTS[parts.scheme], tls=tls) as (reader, writer):
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        first = (await reader.readline()).decode("latin-1").split()
        if len(first) < 2 or not first[0].startswith("HTTP/") or not first[1].isdecimal():
            raise ConnectionError("the answer is not HTTP")
        for _ in range(MOST_FIELDS):
            name, _, value = (await reader.readline()).decode("latin-1").partition(":")
            if not name.strip():
                break
            if name.strip().lower() == "location":
                return int(first[1]), value.strip()
    return int(first[1]), ""


@asynccontextmanager
async def _connected(
    host: str, port: int, *, tls: bool
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    context = ssl.create_default_context() if tls else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
