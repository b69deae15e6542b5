"""What handlers work with."""

from dataclasses import dataclass

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
    """The registry's services. `host` is put before Locations; empty where they are relative."""

    blobs: Blobs
    uploads: Uploads
    manifests: Manifests
    repositories: Repositories
    policy: Policy
    health: Health
    limits: Limits
    host: str
