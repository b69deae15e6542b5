"""Media types that mean something to the registry; every other one is stored and served as it came."""

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCTETS = "application/octet-stream"

IMAGES = frozenset({OCI_IMAGE, DOCKER_IMAGE})
INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
SCHEMA_1 = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)


def is_foreign_layer(media_type: str) -> bool:
    """Tell whether clients keep such layers elsewhere and do not push them (image-spec "Non-Distributable Layers")."""
    return media_type.startswith(
        ("application/vnd.docker.image.rootfs.foreign.", "application/vnd.oci.image.layer.nondistributable.")
    )


def without_parameters(content_type: str) -> str:
    """Give a Content-Type's media type alone, in lower case: `Text/JSON; charset=x` gives `text/json`."""
    return content_type.partition(";")[0].strip().lower()
