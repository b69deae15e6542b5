"""No authentication: whoever reaches the port is served."""

from holdfast.auth.port import ANONYMOUS, Actor


class AnonymousAuthenticator:
    """Everybody is the anonymous actor; credentials are not looked at, as registry:2 without an `auth` section does."""

    def cached(self, authorization: bytes) -> Actor | None:  # noqa: ARG002 - the port's signature
        """The anonymous actor."""
        return ANONYMOUS

    async def authenticate(self, authorization: bytes, client: str) -> Actor:  # noqa: ARG002 - the port's signature
        """The anonymous actor."""
        return ANONYMOUS

    async def close(self) -> None:
        """Nothing to give back."""
