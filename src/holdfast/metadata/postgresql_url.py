"""The URL of a PostgreSQL database, as `metadata.url` has it: it may hold a password."""

SCHEMES = ("postgresql://", "postgres://")


def described(url: str) -> str:
    """A URL fit for logs and messages: user, hosts, ports and database, without password and options."""
    scheme, _, rest = url.partition("://")
    head, _, options = rest.partition("?")
    if "@" in options and "@" not in head:  # an odd password: nothing after the scheme can be trusted
        return f"{scheme}://..."
    user, at, place = head.rpartition("@")
    return f"{scheme}://{user.partition(':')[0]}{at}{place}"
