"""The endpoint table: every address of the protocol, who may use it for what, and how a path is read.

Paths are read from the right, since a repository may be called `a/blobs` or `tags/list`; a part that begins with `_` is never a name.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.api.wire import Answer, Request
from holdfast.auth.port import Action

if TYPE_CHECKING:
    from holdfast.api.services import Services

Handler = Callable[["Services", Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Operation:
    """What a method does at an endpoint: the right that it needs, and the function that does it."""

    action: Action
    handler: Handler
    summary: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address with its methods. `path` is for the documents: `<name>` and `<...>` stand for what varies."""

    name: str
    path: str
    operations: Mapping[str, Operation]

    @property
    def allow(self) -> str:
        """The value of the Allow header."""
        return ", ".join([*self.operations, "OPTIONS"])


@dataclass(frozen=True, slots=True)
class Match:
    """What a path means; `repository` is not checked yet."""

    endpoint: Endpoint
    repository: str = ""
    reference: str = ""


class Routes:
    """Finds the endpoint of a path."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self.endpoints = endpoints
        self._fixed = {endpoint.path: Match(endpoint) for endpoint in endpoints.values() if "<" not in endpoint.path}
        self._fixed["/v2"] = self._fixed["/v2/"]

    def match(self, path: str) -> Match | None:
        """Read a decoded path; None where no endpoint has such an address."""
        fixed = self._fixed.get(path)
        if fixed or not path.startswith("/v2/"):
            return fixed
        rest = path[4:]
        for suffix, kind in _SUFFIXES.items():
            if rest.endswith(suffix):
                return Match(self.endpoints[kind], rest.removesuffix(suffix))
        for marker in ("manifests", "blobs/uploads", "blobs", "referrers"):
            repository, found, reference = rest.rpartition(f"/{marker}/")
            if found and "/" not in reference and (reference or marker == "blobs/uploads"):
                kind = "uploads" if marker == "blobs/uploads" and not reference else _KINDS[marker]
                return Match(self.endpoints[kind], repository, reference)
        return None


_KINDS = {"manifests": "manifest", "blobs/uploads": "upload", "blobs": "blob", "referrers": "referrers"}
_SUFFIXES = {
    "/blobs/uploads": "uploads",
    "/tags/list": "tags",
    "/_holdfast/repository": "repository",
    "/_oci/ext/discover": "repository-extensions",
}
