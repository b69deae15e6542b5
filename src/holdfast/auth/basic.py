"""The Basic scheme of RFC 7617: reading credentials, writing the challenge."""

import binascii
from dataclasses import dataclass

LONGEST_HEADER = 8192
"""Bytes of an Authorization header beyond which it is not even decoded."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and a password as the bytes that were sent; the password never shows up in a repr."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


def parse(authorization: bytes) -> Credentials | None:
    """The credentials in an Authorization header's value; None if there are none.

    Another scheme, broken base64, no colon, and an empty user with an empty password (which skopeo sends for "no
    credentials") all count as none.
    """
    if len(authorization) > LONGEST_HEADER:
        return None
    scheme, _, encoded = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = binascii.a2b_base64(encoded.strip(), strict_mode=True)
    except ValueError:
        return None
    user, colon, password = decoded.partition(b":")
    if not colon or not (user or password):
        return None
    return Credentials(user, password)


def challenge(realm: str) -> tuple[str, str]:
    """The WWW-Authenticate header that asks for Basic credentials.

    The realm becomes a quoted-string (RFC 9110 section 5.6.4); characters outside of printable ASCII become question
    marks, since clients disagree about their encoding.
    """
    quoted = "".join(c if " " <= c <= "~" else "?" for c in realm).replace("\\", "\\\\").replace('"', '\\"')
    return "WWW-Authenticate", f'Basic realm="{quoted}"'


def other_encodings(credentials: Credentials) -> Credentials | None:
    """The same credentials in the other common encoding: Latin-1 as UTF-8 or UTF-8 as Latin-1; None if they are the
    same or cannot be.

    RFC 7617 left the encoding open for long, so clients send either, and htpasswd files hold either.
    """
    fields = (credentials.user, credentials.password)
    if all(field.isascii() for field in fields):
        return None
    try:
        user, password = (field.decode("utf-8").encode("latin-1") for field in fields)
    except UnicodeEncodeError:
        return None
    except UnicodeDecodeError:
        user, password = (field.decode("latin-1").encode("utf-8") for field in fields)
    return Credentials(user, password)


def printable(user: bytes) -> str:
    """A user name as text: UTF-8 if it is that, else Latin-1."""
    try:
        return user.decode("utf-8")
    except UnicodeDecodeError:
        return user.decode("latin-1")
