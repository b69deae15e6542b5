"""Addresses: the one to listen on, and those of others."""

import ipaddress
import re
from urllib.parse import urlsplit

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def parse_addr(addr: str) -> tuple[str, int]:
    """Host and port of `http.addr`: `:5000`, `127.0.0.1:5000`, `localhost:5000` or `[::1]:5000`.

    The host comes without brackets and is empty for every address; port 0 means any free one. Raises ValueError whose
    text says what is wrong.
    """
    host, colon, digits = addr.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", digits) or int(digits) > 65535:
        raise ValueError("it needs a port from 0 to 65535 after the last colon, such as :5000 or 127.0.0.1:5000")
    if host.startswith("[") and host.endswith("]"):
        return _ipv6(host[1:-1]), int(digits)
    if ":" in host:
        raise ValueError(f"an IPv6 address goes in brackets, such as [{host}]:{digits}")
    if host and not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} is neither a host name nor an IP address")
    return host, int(digits)


def is_address(text: str, schemes: tuple[str, ...] = ("http", "https")) -> bool:
    """Whether it is an address with one of the schemes and a host, and without a query."""
    if _CONTROL.search(text) or " " in text:
        return False
    try:
        parts = urlsplit(text)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return usable and parts.scheme in schemes and bool(parts.hostname) and not (parts.query or parts.fragment)


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    return text
