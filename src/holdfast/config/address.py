"""The address to listen on."""

import ipaddress
import re

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


def _ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv6 address") from None
    return text
