"""bcrypt as registry:2 and Apache's htpasswd use it."""

import re
import secrets

import bcrypt

SIGNIFICANT = 72
"""bcrypt looks at this many bytes of a password. Apache's tool and registry:2 ignore what follows; so do we."""

COSTS = range(4, 18)
"""The costs that Apache's htpasswd accepts; each step doubles the time."""

_BCRYPT = re.compile(rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_OTHERS = (
    (b"$apr1$", "MD5 (apr1)"),
    (b"$1$", "MD5 crypt"),
    (b"$5$", "SHA-256 crypt"),
    (b"$6$", "SHA-512 crypt"),
    (b"$y$", "yescrypt"),
    (b"$argon2", "Argon2"),
    (b"{SHA}", "SHA-1"),
    (b"{SSHA}", "salted SHA-1"),
    (b"$2", "malformed bcrypt"),
)


def cost(stored: bytes) -> int | None:
    """The cost of a bcrypt hash in `$2a$`, `$2b$` or `$2y$` form; None if it is anything else."""
    match = _BCRYPT.fullmatch(stored)
    return int(match[1]) if match else None


def kind(stored: bytes) -> str:
    """What a stored hash seems to be, in words that give nothing of it away."""
    if cost(stored) is not None:
        return "bcrypt"
    return next((words for prefix, words in _OTHERS if stored.startswith(prefix)), "crypt or plain text")


def matches(password: bytes, stored: bytes) -> bool:
    """Whether `password` is the one behind the bcrypt hash `stored`. Takes 2**cost steps and holds no lock: run it in
    a thread.
    """
    # bcrypt repeats a short password with a NUL in between, so with NULs one password would have many spellings.
    return bcrypt.checkpw(password[:SIGNIFICANT], stored) and b"\0" not in password


def make(password: bytes, rounds: int) -> bytes:
    """A new bcrypt hash of cost `rounds` (in `COSTS`), with the `$2y$` prefix that Apache writes."""
    return b"$2y$" + bcrypt.hashpw(password[:SIGNIFICANT], bcrypt.gensalt(rounds))[4:]


def decoy(rounds: int) -> bytes:
    """A hash of cost `rounds` that no password matches in practice: users who do not exist take as long as others."""
    letters = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return bcrypt.gensalt(rounds) + "".join(secrets.choice(letters) for _ in range(31)).encode()
