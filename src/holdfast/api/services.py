"""What handlers work with."""

from dataclasses import dataclass

from holdfast.api.gate import Gate
from holdfast.api.health import Health
from holdfast.auth.port import Policy
from holdfast.registry.blobs import Blobs
from holdfast.registry.manifests import Manifests
from holdfast.registry.repositories import Repositories
from holdfast.registry.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Limits:
    """The most entries on a page of the catalog and of a tag list."""

    catalog: int
    tags: int


@dataclass(frozen=True, slots=True)
class Services:
    """The registry's services. `prefix` is put before every path of the protocol, `host` (which includes it) before Locations."""

    blobs: Blobs
    uploads: Uploads
    manifests: Manifests
    repositories: Repositories
    policy: Policy
    gate: Gate
    health: Health
    limits: Limits
    prefix: str
    host: str
