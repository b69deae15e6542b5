"""Policies. `AllowAll` is the rule of registry:2 with htpasswd: whoever gets past authentication may do everything."""

from holdfast.auth.port import Action, Actor, Decision

_ALLOWED = Decision(True, "all", "everybody who is signed in may do everything")


class AllowAll:
    """Allows every action to every actor that the authenticator let through."""

    def decide(self, actor: Actor, repository: str | None, action: Action) -> Decision:  # noqa: ARG002 - the port's signature
        """Always allowed."""
        return _ALLOWED
