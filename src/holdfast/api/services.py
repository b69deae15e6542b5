"""What handlers work with."""

from dataclasses import dataclass

from holdfast.api.gate import Gate
from holdfast.api.health import Health
from holdfast.auth.port import Policy
from holdfast.registry.blobs import Blobs
from holdfast.registry.manifests import Manifests
from holdfast.registry.pulls import Pulls
from holdfast.registry.repositories import Repositories
from holdfast.registry.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Limits:
    """The most entries on a page of the catalog and of a tag list."""

    catalog: int
    tags: int


@dataclass(frozen=True, slots=True)
class Services:
    """The registry's services. `redirect`: whether pulls of blobs are sent to the store where it can be read directly.
    `prefix` is put before every path of the protocol, `host` (which includes it) before Locations."""

    blobs: Blobs
    uploads: Uploads
    manifests: Manifests
    pulls: Pulls
    repositories: Repositories
    policy: Policy
    gate: Gate
    health: Health
    limits: Limits
    redirect: bool
    prefix: str
    host: str
