"""What tests push: blobs, manifests of every kind, and their descriptors."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
OCTETS = "application/octet-stream"

Fields = dict[str, Any]


def digest(octets: bytes, algorithm: str = "sha256") -> str:
    """The digest of bytes: `sha256:` or `sha512:` and lower-case hexadecimal digits."""
    return f"{algorithm}:{hashlib.new(algorithm, octets).hexdigest()}"


@dataclass(frozen=True)
class Content:
    """Bytes and what they are: a blob or a manifest."""

    body: bytes
    media_type: str = OCTETS

    @property
    def digest(self) -> str:
        """The sha256 digest."""
        return digest(self.body)

    @property
    def sha512(self) -> str:
        return digest(self.body, "sha512")

    @property
    def size(self) -> int:
        return len(self.body)

    def json(self) -> Fields:
        """A manifest's fields."""
        fields: Fields = json.loads(self.body)
        return fields

    def descriptor(self, algorithm: str = "sha256", **fields: Any) -> Fields:
        """A descriptor of this content, with further fields."""
        return {"mediaType": self.media_type, "digest": digest(self.body, algorithm), "size": self.size, **fields}


EMPTY = Content(b"{}", OCI_EMPTY)


def blob(seed: str, size: int = 1000, media_type: str = OCI_LAYER_GZIP) -> Content:
    """`size` bytes that look random and depend on `seed` alone."""
    return Content(hashlib.shake_256(seed.encode()).digest(size), media_type)


def config(seed: str, media_type: str = OCI_CONFIG, **fields: Any) -> Content:
    """An image configuration that depends on `seed`."""
    body = {
        "architecture": "amd64",
        "os": "linux",
        "author": seed,
        "rootfs": {"type": "layers", "diff_ids": []},
        **fields,
    }
    return Content(json.dumps(body).encode(), media_type)


def manifest(media_type: str, fields: Mapping[str, Any], *, schema: int | None = 2) -> Content:
    """A manifest of any type: `schemaVersion`, `mediaType`, then the fields; those that are None are left out."""
    body = {"schemaVersion": schema, "mediaType": media_type, **fields}
    return Content(json.dumps({name: value for name, value in body.items() if value is not None}).encode(), media_type)


def image(
    config: Content | Fields,
    layers: Iterable[Content | Fields] = (),
    *,
    media_type: str = OCI_IMAGE,
    subject: Content | Fields | None = None,
    **fields: Any,
) -> Content:
    """An image manifest. `fields` are further fields, such as `artifactType` and `annotations`."""
    body = {
        "config": _descriptor(config),
        "layers": [_descriptor(layer) for layer in layers],
        "subject": _subject(subject),
        **fields,
    }
    return manifest(media_type, body)


def index(
    manifests: Iterable[Content | Fields] = (),
    *,
    media_type: str = OCI_INDEX,
    subject: Content | Fields | None = None,
    **fields: Any,
) -> Content:
    """An image index, or a docker manifest list."""
    return manifest(
        media_type, {"manifests": [_descriptor(child) for child in manifests], "subject": _subject(subject), **fields}
    )


def artifact(
    blobs: Iterable[Content | Fields] = (), *, subject: Content | Fields | None = None, **fields: Any
) -> Content:
    """A manifest of the withdrawn OCI artifact type, which has no schemaVersion."""
    body = {"blobs": [_descriptor(child) for child in blobs], "subject": _subject(subject), **fields}
    return manifest(OCI_ARTIFACT, body, schema=None)


def _descriptor(content: Content | Fields) -> Fields:
    return content.descriptor() if isinstance(content, Content) else content


def _subject(content: Content | Fields | None) -> Fields | None:
    return None if content is None else _descriptor(content)
