"""What to do when PostgreSQL lets nobody in, read from the words of libpq and of the server, which have no codes before a connection is there."""

_ADVICE = (
    (
        "password authentication failed",
        "check user and password in metadata.url; in a password, write @ as %40, / as %2F, : as %3A and % as %25",
    ),
    ("no password supplied", "metadata.url has no password: write postgresql://USER:PASSWORD@..."),
    (
        "no pg_hba.conf entry",
        "let this user in from this machine by a line in the server's pg_hba.conf, and reload it; if the message says no encryption, add"
        " ?sslmode=require to metadata.url",
    ),
    ("FATAL: role", "make that user (CREATE ROLE ... LOGIN PASSWORD ...), or correct the name in metadata.url"),
    (
        "does not exist",
        "metadata.url must end with the name of a database that is there (where it has none, that of the user is taken): CREATE DATABASE registry"
        " OWNER the user, ENCODING 'UTF8' TEMPLATE template0",
    ),
    (
        "too many clients",
        "the server has too few connections: nodes x workers x metadata.connections are needed; raise max_connections there, lower"
        " metadata.connections, or put PgBouncer between",
    ),
    (
        "remaining connection slots",
        "the server has too few connections: nodes x workers x metadata.connections are needed; raise max_connections there, lower"
        " metadata.connections, or put PgBouncer between",
    ),
    ("too many connections for", "raise the limit of the role or database, or lower metadata.connections"),
    ("failed to resolve host", "correct the host in metadata.url, or DNS"),
    ("Connection refused", "start PostgreSQL, correct host and port in metadata.url, or set listen_addresses there"),
    (
        "server does not support SSL",
        "the server has no TLS: give it a certificate, or take sslmode out of metadata.url",
    ),
    ("certificate verify failed", "name the server's authority: ?sslmode=verify-full&sslrootcert=FILE in metadata.url"),
    ("timeout expired", "look for a firewall in between, or a wrong host or port in metadata.url"),
    ("not allowed to log in", "run ALTER ROLE ... LOGIN there, or name another user"),
)
"""What a message has in it, and what helps; the first that is found counts."""


def advice(message: str) -> str:
    """What to do about it, after a semicolon; empty where nothing is known."""
    return next((f"; {remedy}" for sign, remedy in _ADVICE if sign in message), "")
