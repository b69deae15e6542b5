"""The data that the reading measures find: 10,000 repositories, one of them with an image, one with 1,000 tags."""

import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.client import Connection, digest_of, expect, put_blob

TAGS = 1_000
CLIENTS = 8
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
# What clients send; docker-registry answers 404 for an OCI image to a client that does not name its type.
ACCEPT = ", ".join(
    [
        MANIFEST_TYPE,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    ]
)
EMPTY_BLOB = b"{}"
EMPTY_DIGEST = digest_of(EMPTY_BLOB)


def repository_names(count: int = 10_000) -> list[str]:
    """Names of two parts, a hundred repositories in each team, in the order of the catalog."""
    return [f"team-{number // 100:03d}/app-{number % 100:02d}" for number in range(count)]


class Dataset:
    """Where things are in the data set."""

    def __init__(self, repositories: int = 10_000) -> None:
        self.names = repository_names(repositories)
        self.image = self.names[repositories * 42 // 100]
        self.tagged = self.names[repositories * 73 // 100]
        self.tags = [f"v1.{number:04d}" for number in range(TAGS)]

    def targets(self, digest: str) -> dict[str, str]:
        """The path and query of each reading measure; `digest` is that of the image's manifest."""
        catalog, tags = "/v2/_catalog", f"/v2/{self.tagged}/tags/list"
        return {
            "v2": "/v2/",
            "manifest-tag": f"/v2/{self.image}/manifests/latest",
            "manifest-digest": f"/v2/{self.image}/manifests/{digest}",
            "tags-all": tags,
            "tags-first": f"{tags}?n=100",
            "tags-middle": f"{tags}?n=100&last={self.tags[TAGS // 2 - 1]}",
            "catalog-first": f"{catalog}?n=100",
            "catalog-middle": f"{catalog}?n=100&last={self.names[len(self.names) // 2 - 1]}",
        }


def descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    """A descriptor (image-spec)."""
    return {"mediaType": media_type, "digest": digest, "size": size}


def empty_manifest() -> bytes:
    """The smallest lawful manifest: an artifact with the empty descriptor as config and only layer (image-spec 1.1)."""
    empty = descriptor("application/vnd.oci.empty.v1+json", EMPTY_DIGEST, len(EMPTY_BLOB))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": "application/vnd.example.benchmark",
        "config": empty,
        "layers": [empty],
    }
    return json.dumps(manifest, separators=(",", ":")).encode()


def put_manifest(connection: Connection, repository: str, reference: str, manifest: bytes) -> str:
    """Push a manifest; returns its digest."""
    target = f"/v2/{repository}/manifests/{reference}"
    answer = expect(
        connection.request("PUT", target, manifest, [("Content-Type", MANIFEST_TYPE)]), 201, f"PUT {target}"
    )
    return answer.headers["docker-content-digest"]


def push_image(port: int, dataset: Dataset) -> str:
    """Push an image of eight layers, whose manifest has about 1.3 KB, as `latest`; returns the manifest's digest."""
    with Connection(port) as connection:
        config = json.dumps(
            {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        ).encode()
        manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE}
        config_digest = put_blob(connection, dataset.image, config)
        manifest["config"] = descriptor("application/vnd.oci.image.config.v1+json", config_digest, len(config))
        manifest["layers"] = []
        for number in range(8):
            layer = f"layer {number} ".encode() * 100
            digest = put_blob(connection, dataset.image, layer)
            manifest["layers"].append(descriptor("application/vnd.oci.image.layer.v1.tar+gzip", digest, len(layer)))
        return put_manifest(connection, dataset.image, "latest", json.dumps(manifest, indent=3).encode())


def push_tags(port: int, dataset: Dataset) -> None:
    """Push 1,000 tags into one repository."""
    manifest = empty_manifest()
    with Connection(port) as connection:
        put_blob(connection, dataset.tagged, EMPTY_BLOB)

    def push(connection: Connection, tag: str) -> None:
        put_manifest(connection, dataset.tagged, tag, manifest)

    spread(port, dataset.tags, push)


def push_repositories(port: int, dataset: Dataset) -> None:
    """Make the repositories over HTTP: mount the empty blob, push a manifest."""
    manifest = empty_manifest()
    source = dataset.tagged
    with Connection(port) as connection:
        put_blob(connection, source, EMPTY_BLOB)

    def push(connection: Connection, name: str) -> None:
        mount = f"/v2/{name}/blobs/uploads/?mount={EMPTY_DIGEST}&from={source}"
        expect(connection.request("POST", mount), 201, "mounting the empty blob")
        put_manifest(connection, name, "latest", manifest)

    spread(port, (name for name in dataset.names if name not in (dataset.image, dataset.tagged)), push)


def spread(port: int, items: Iterable[str], work: Callable[[Connection, str], None]) -> None:
    """Do `work` for every item over eight connections."""
    shares: list[list[str]] = [[] for _ in range(CLIENTS)]
    for share, item in zip(itertools.cycle(shares), items, strict=False):
        share.append(item)

    def run(share: Sequence[str]) -> None:
        with Connection(port) as connection:
            for item in share:
                work(connection, item)

    with ThreadPoolExecutor(CLIENTS) as pool:
        for _ in pool.map(run, shares):
            pass


def write_tree(root: Path, dataset: Dataset) -> None:
    """Make the repositories as docker-registry would have left them, straight in its tree, which is quicker."""
    manifest = empty_manifest()
    manifest_digest = digest_of(manifest)
    base = root / "docker/registry/v2"
    for digest, content in ((EMPTY_DIGEST, EMPTY_BLOB), (manifest_digest, manifest)):
        algorithm, _, value = digest.partition(":")
        _write(base / "blobs" / algorithm / value[:2] / value / "data", content)
    layer, revision = EMPTY_DIGEST.replace(":", "/"), manifest_digest.replace(":", "/")
    for name in dataset.names:
        if name in (dataset.image, dataset.tagged):
            continue
        repository = base / "repositories" / name
        (repository / "_uploads").mkdir(parents=True)
        _write(repository / "_layers" / layer / "link", EMPTY_DIGEST.encode())
        tag = repository / "_manifests/tags/latest"
        for link in (
            repository / "_manifests/revisions" / revision / "link",
            tag / "index" / revision / "link",
            tag / "current/link",
        ):
            _write(link, manifest_digest.encode())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def remove(root: Path) -> None:
    """Remove a directory tree if it is there, and let the disk finish with it before the next measure."""
    shutil.rmtree(root, ignore_errors=True)
    os.sync()
