"""Every error that a client can see.

The table below is the single place for code, status and words; other code raises `Failure` with one of its rows,
and the API renders it. (distribution-spec 1.1 "Error Codes"; Docker Registry V2 "Errors".)
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One row of the error table.

    `name` is unique; `code` is what the protocol calls it, `status` the HTTP status; `message` is what is wrong, `help`
    what to do about it (shown in the documents).
    """

    name: str
    code: str
    status: int
    message: str
    help: str


class Failure(Exception):
    """An answer other than success.

    `detail` is JSON-serialisable; `details` makes one entry of the answer for each item instead;
    `headers` are added to the answer.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str = "",
        *,
        detail: object = None,
        details: Sequence[object] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message or kind.message)
        self.kind = kind
        self.message = message or kind.message
        self.details = tuple(details) or (detail,)
        self.headers = tuple(headers)


ERRORS: dict[str, ErrorKind] = {}


def _kind(name: str, code: str, status: int, message: str, help: str) -> ErrorKind:
    ERRORS[name] = kind = ErrorKind(name, code, status, message, help)
    return kind


NAME_INVALID = _kind(
    "NAME_INVALID",
    "NAME_INVALID",
    400,
    "invalid repository name",
    "Use lower-case letters and digits, joined by one of . _ __ or dashes; parts are separated by /; at most 255 characters.",
)
NAME_UNKNOWN = _kind(
    "NAME_UNKNOWN",
    "NAME_UNKNOWN",
    404,
    "repository name not known to registry",
    "Check the spelling; a repository appears with its first push.",
)
TAG_INVALID = _kind(
    "TAG_INVALID",
    "MANIFEST_INVALID",
    400,
    "invalid tag",
    "A tag has 1 to 128 of the characters A-Z a-z 0-9 _ . - and starts with neither . nor -.",
)
DIGEST_INVALID = _kind(
    "DIGEST_INVALID",
    "DIGEST_INVALID",
    400,
    "invalid digest",
    "A digest is sha256: and 64, or sha512: and 128, lower-case hexadecimal digits, and must be the digest of the content sent.",
)
MANIFEST_UNKNOWN = _kind(
    "MANIFEST_UNKNOWN", "MANIFEST_UNKNOWN", 404, "manifest unknown", "Check the tag or digest; list the tags."
)
MANIFEST_INVALID = _kind(
    "MANIFEST_INVALID", "MANIFEST_INVALID", 400, "manifest invalid", "The message says which field is wrong."
)
MANIFEST_TOO_LARGE = _kind(
    "MANIFEST_TOO_LARGE",
    "MANIFEST_INVALID",
    413,
    "manifest is larger than 4 MiB",
    "Put large content into a blob and refer to it.",
)
MANIFEST_BLOB_UNKNOWN = _kind(
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_BLOB_UNKNOWN",
    400,
    "manifest refers to a blob that this repository does not have",
    "Push or mount every config and layer into the repository before its manifest.",
)
TOO_MANY_TAGS = _kind(
    "TOO_MANY_TAGS", "MANIFEST_INVALID", 414, "too many tag parameters", "Send at most 100 tags with one manifest."
)
BLOB_UNKNOWN = _kind(
    "BLOB_UNKNOWN", "BLOB_UNKNOWN", 404, "blob unknown to repository", "Push or mount the blob into this repository."
)
BLOB_REFERENCED = _kind(
    "BLOB_REFERENCED",
    "UNSUPPORTED",
    405,
    "blob is used by a manifest of this repository",
    "Delete the manifests that use the blob first.",
)
BLOB_UPLOAD_UNKNOWN = _kind(
    "BLOB_UPLOAD_UNKNOWN",
    "BLOB_UPLOAD_UNKNOWN",
    404,
    "blob upload unknown to registry",
    "Start the upload again; it was closed, cancelled or has expired.",
)
BLOB_UPLOAD_INVALID = _kind(
    "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_INVALID", 400, "blob upload invalid", "The message says what is wrong."
)
RANGE_INVALID = _kind(
    "RANGE_INVALID",
    "BLOB_UPLOAD_INVALID",
    416,
    "chunk does not start where the upload stands",
    "Ask the upload's Location with GET and continue after the Range it answers.",
)
RANGE_NOT_SATISFIABLE = _kind(
    "RANGE_NOT_SATISFIABLE",
    "UNSUPPORTED",
    416,
    "requested range is outside of the blob",
    "Content-Range tells the blob's size.",
)
TOO_MANY_RANGES = _kind(
    "TOO_MANY_RANGES",
    "UNSUPPORTED",
    400,
    "too many ranges in one request",
    "Ask for at most 100 ranges at once, or for one at a time.",
)
SIZE_INVALID = _kind(
    "SIZE_INVALID",
    "SIZE_INVALID",
    400,
    "body does not have the announced length",
    "Send the request again; the connection may have been cut.",
)
PAGINATION_INVALID = _kind(
    "PAGINATION_INVALID",
    "UNSUPPORTED",
    400,
    "invalid number of results requested",
    "n is a whole number, zero or more.",
)
UNAUTHORIZED = _kind("UNAUTHORIZED", "UNAUTHORIZED", 401, "authentication required", "Sign in with docker login.")
DENIED = _kind("DENIED", "DENIED", 403, "requested access to the resource is denied", "Ask for the right to do this.")
UNSUPPORTED = _kind(
    "UNSUPPORTED",
    "UNSUPPORTED",
    405,
    "the operation is unsupported",
    "The Allow header lists what this address accepts.",
)
DELETE_DISABLED = _kind(
    "DELETE_DISABLED",
    "UNSUPPORTED",
    405,
    "deleting is switched off; set storage.delete.enabled: true (REGISTRY_STORAGE_DELETE_ENABLED=true) to allow it",
    "Set storage.delete.enabled to true.",
)
READ_ONLY = _kind(
    "READ_ONLY",
    "UNSUPPORTED",
    405,
    "this registry is read-only at the moment",
    "Pulls work; push to another registry or later.",
)
SET_READ_ONLY = _kind(
    "SET_READ_ONLY",
    "UNSUPPORTED",
    405,
    "this registry is set to read-only (storage.maintenance.readonly.enabled): pulls work, pushes and deletions do not",
    "Set storage.maintenance.readonly.enabled to false when the maintenance is over.",
)
NOT_FOUND = _kind(
    "NOT_FOUND",
    "UNSUPPORTED",
    404,
    "no such endpoint",
    "Check the path; the endpoints are listed in docs/endpoints.md.",
)
OLD_PROTOCOL = _kind(
    "OLD_PROTOCOL",
    "UNSUPPORTED",
    404,
    "this registry speaks the V2 protocol (under /v2/), not V1; use Docker 1.6 or newer",
    "Use Docker 1.6 or newer, and /v2/ in scripts.",
)
TOO_MANY_REQUESTS = _kind(
    "TOO_MANY_REQUESTS", "TOOMANYREQUESTS", 429, "too many failed sign-ins", "Wait as long as Retry-After says."
)
BODY_TIMEOUT = _kind("BODY_TIMEOUT", "UNKNOWN", 408, "the body stopped arriving", "Send the request again.")
UNAVAILABLE = _kind(
    "UNAVAILABLE",
    "UNAVAILABLE",
    503,
    "the registry cannot answer this at the moment",
    "Try again after the time in Retry-After.",
)
DISK_FULL = _kind(
    "DISK_FULL",
    "DENIED",
    507,
    "the registry has no room left for this; pulling and deleting still work",
    "Free space on the registry's disk, or lower storage.filesystem.minfree.",
)
UNKNOWN = _kind(
    "UNKNOWN",
    "UNKNOWN",
    500,
    "the registry met an error of its own",
    "The registry's log has the reason, under the request's id.",
)
