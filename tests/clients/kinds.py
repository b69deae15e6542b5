"""The kinds of registries that tests with real clients run on, and marks for tests that need some of them.

Those with "nodes" in their names are three nodes on PostgreSQL and S3 behind nginx, which has the certificate; the others are one server on files.
Pulls from nodes are redirected to the store, except from "nodes-streaming".
"""

import pytest

EVERY = ("plain", "accounts", "tls", "tls-accounts", "nodes-tls-accounts")


def _on(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("registry", kinds, indirect=True)


PLAIN = _on("plain", "nodes")
GUARDED = _on("accounts", "tls-accounts", "nodes-tls-accounts")
# For what takes its time: one server with TLS and accounts, and nodes without either.
PLAIN_AND_GUARDED = _on("nodes", "tls-accounts")
# For what has to see or to break the whole conversation.
STREAMING = _on("plain", "nodes-streaming")
