"""`http.addr` to host and port, and durations to seconds."""

import pytest

from holdfast.config.address import parse_addr
from holdfast.config.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":5000", "", 5000),
        (":0", "", 0),
        ("0.0.0.0:443", "0.0.0.0", 443),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
        ("localhost:5000", "localhost", 5000),
        ("my-host.example.com:80", "my-host.example.com", 80),
        ("[::1]:5000", "::1", 5000),
        ("[::]:5000", "::", 5000),
        ("[fe80::1%eth0]:5000", "fe80::1%eth0", 5000),
    ],
)
def test_address(text: str, host: str, port: int) -> None:
    assert parse_addr(text) == (host, port)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs a port"),
        ("5000", "needs a port"),
        ("localhost", "needs a port"),
        ("localhost:", "needs a port"),
        (":http", "needs a port"),
        (":65536", "needs a port"),
        (":-1", "needs a port"),
        (":５０００", "needs a port"),
        ("[::1]", "needs a port"),
        ("::1:5000", r"in brackets, such as \[::1\]:5000"),
        ("[::g]:5000", "'::g' is not an IPv6 address"),
        ("[127.0.0.1]:5000", "is not an IPv6 address"),
        ("a b:5000", "neither a host name nor"),
        ("http://x:5000", "in brackets"),
        ("-x:5000", "neither a host name nor"),
    ],
)
def test_bad_address(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_addr(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10.0),
        ("1m30s", 90.0),
        ("168h", 604800.0),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("100ms", 0.1),
        ("0", 0.0),
        ("60", 60.0),
        ("2.5", 2.5),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("7ns", 7e-9),
        ("+1h", 3600.0),
        ("-1m30s", -90.0),
        ("2500000h", 9e9),
    ],
)
def test_duration(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", "s", "1 s", "1d", "1m30", "inf", "nan", "1e999", "ten", "293y", "2600000h", "9999999999", "-1e300", "1h-1m"],
)
def test_bad_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        parse_duration(text)
