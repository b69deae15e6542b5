"""The endpoint table itself."""

from holdfast.api import base, blobs, manifests, repositories, uploads
from holdfast.api.endpoints import Endpoint, Operation
from holdfast.auth.port import Action

PUBLIC = frozenset({"root", "live", "ready"})
"""Endpoints that answer without authentication."""

PROBED = frozenset({"live", "ready"})
"""Endpoints that tell of themselves how the registry is, whatever its health checks say."""


def _reading(action: Action, handler: object, summary: str) -> dict[str, Operation]:
    operation = Operation(action, handler, summary)  # type: ignore[arg-type]
    return {"GET": operation, "HEAD": operation}


ENDPOINTS = {
    endpoint.name: endpoint
    for endpoint in (
        Endpoint("root", "/", _reading(Action.PING, base.root, "200 for load balancers that probe it")),
        Endpoint("live", "/healthz", _reading(Action.PING, base.live, "200 while the process answers")),
        Endpoint(
            "ready",
            "/readyz",
            _reading(Action.PING, base.ready, "whether it can read and write, as JSON; 503 if not even read"),
        ),
        Endpoint(
            "ping", "/v2/", _reading(Action.PING, base.ping, "the protocol is spoken here, the credentials are good")
        ),
        Endpoint("catalog", "/v2/_catalog", _reading(Action.CATALOG, base.catalog, "names of repositories (n, last)")),
        Endpoint(
            "extensions", "/v2/_oci/ext/discover", _reading(Action.PING, base.extensions, "extensions of the protocol")
        ),
        Endpoint(
            "repository-extensions",
            "/v2/<name>/_oci/ext/discover",
            _reading(Action.PULL, base.extensions, "extensions of the protocol for a repository"),
        ),
        Endpoint(
            "manifest",
            "/v2/<name>/manifests/<reference>",
            {
                **_reading(Action.PULL, manifests.pull, "a manifest, by tag or digest"),
                "PUT": Operation(Action.PUSH, manifests.push, "push a manifest (tag, repeated, with a digest)"),
                "DELETE": Operation(Action.DELETE, manifests.delete, "delete a tag, or a manifest with its tags"),
            },
        ),
        Endpoint("tags", "/v2/<name>/tags/list", _reading(Action.PULL, manifests.tags, "tags (n, last)")),
        Endpoint(
            "short-manifest",
            "/<name>/manifests/<reference>",
            _reading(
                Action.PULL, manifests.pull, "the same as with `/v2`, for names that begin with neither `v1/` nor `v2/`"
            ),
        ),
        Endpoint(
            "short-tags",
            "/<name>/tags/list",
            _reading(
                Action.PULL, manifests.tags, "the same as with `/v2`, for names that begin with neither `v1/` nor `v2/`"
            ),
        ),
        Endpoint(
            "referrers",
            "/v2/<name>/referrers/<digest>",
            _reading(Action.PULL, manifests.referrers, "manifests with this subject (artifactType, n, last)"),
        ),
        Endpoint(
            "uploads",
            "/v2/<name>/blobs/uploads/",
            {
                "POST": Operation(
                    Action.PUSH, uploads.start, "begin an upload, push at once (digest), mount (mount, from)"
                )
            },
        ),
        Endpoint(
            "upload",
            "/v2/<name>/blobs/uploads/<upload>",
            {
                **_reading(Action.PUSH, uploads.status, "how far an upload is"),
                "PATCH": Operation(Action.PUSH, uploads.append, "add a chunk or a stream"),
                "PUT": Operation(Action.PUSH, uploads.finish, "close an upload (digest)"),
                "DELETE": Operation(Action.PUSH, uploads.cancel, "give an upload up"),
            },
        ),
        Endpoint(
            "blob",
            "/v2/<name>/blobs/<digest>",
            {
                **_reading(Action.PULL, blobs.pull, "a blob, or ranges of it"),
                "DELETE": Operation(Action.DELETE, blobs.delete, "take a blob from a repository"),
            },
        ),
        Endpoint(
            "repository",
            "/v2/<name>/_holdfast/repository",
            {"DELETE": Operation(Action.DELETE, repositories.delete, "delete a repository with all that it has")},
        ),
    )
}
