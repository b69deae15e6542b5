"""The endpoint table: every address of the protocol, who may use it for what, and how a path is read.

Paths are read from the right, since a repository may be called `a/blobs` or `tags/list`; a part that begins with `_` is never a name.
What begins with `/v2/` is always read as an address of the protocol, and what begins with `/v1/` as one of Docker's first protocol, so the
short paths (without `/v2`) do not reach repositories whose names begin with `v2/` or `v1/`.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
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
    """Finds the endpoint of a path. `prefix` (`/registry`, or nothing) stands before every path except those that are `public`."""

    def __init__(self, endpoints: Mapping[str, Endpoint], public: Collection[str] = (), prefix: str = "") -> None:
        self.endpoints = endpoints
        self._prefix = prefix
        self._fixed = {endpoint.path: Match(endpoint) for endpoint in endpoints.values() if "<" not in endpoint.path}
        self._fixed["/v2"] = self._fixed["/v2/"]
        self._public = {endpoints[name].path: Match(endpoints[name]) for name in public}

    def within(self, path: str) -> str | None:
        """A decoded path without the prefix; None where it does not have it."""
        if not path.startswith(f"{self._prefix}/"):
            return None
        return path[len(self._prefix) :]

    def match(self, path: str) -> Match | None:
        """Read a decoded path; None where no endpoint has such an address."""
        inner = self.within(path) if self._prefix else path
        if inner is None:
            return self._public.get(path)
        fixed = self._fixed.get(inner)
        if fixed:
            return fixed
        return self._protocol(inner[4:]) if inner.startswith("/v2/") else self._short(inner)

    def _short(self, path: str) -> Match | None:
        """Read a path without `/v2`."""
        if path.startswith(OLD):
            return None
        if path.endswith("/tags/list"):
            return Match(self.endpoints["short-tags"], path[1:].removesuffix("/tags/list"))
        repository, found, reference = path[1:].rpartition("/manifests/")
        if found and reference and "/" not in reference:
            return Match(self.endpoints["short-manifest"], repository, reference)
        return None

    def _protocol(self, rest: str) -> Match | None:
        """Read what follows `/v2/`."""
        for suffix, kind in _SUFFIXES.items():
            if rest.endswith(suffix):
                return Match(self.endpoints[kind], rest.removesuffix(suffix))
        for marker in ("manifests", "blobs/uploads", "blobs", "referrers"):
            repository, found, reference = rest.rpartition(f"/{marker}/")
            if found and "/" not in reference and (reference or marker == "blobs/uploads"):
                kind = "uploads" if marker == "blobs/uploads" and not reference else _KINDS[marker]
                return Match(self.endpoints[kind], repository, reference)
        return None


OLD = "/v1/"
"""Where Docker's first protocol was; nothing is there now."""

_KINDS = {"manifests": "manifest", "blobs/uploads": "upload", "blobs": "blob", "referrers": "referrers"}
_SUFFIXES = {
    "/blobs/uploads": "uploads",
    "/tags/list": "tags",
    "/_holdfast/repository": "repository",
    "/_oci/ext/discover": "repository-extensions",
}
