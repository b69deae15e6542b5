"""Pushes and pulls as docker does them, request by request."""

import json
import os
from typing import Any
from urllib.parse import urlsplit

from benchmark.client import (
    Answer,
    ClientError,
    Connection,
    Layer,
    Layers,
    closing,
    digest_of,
    expect,
    location,
    put_blob,
    start_upload,
)
from benchmark.dataset import ACCEPT, MANIFEST_TYPE, descriptor, put_manifest

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


def push_known(connection: Connection, repository: str, layer: Layer) -> None:
    """Push as clients do that have the layer at hand: POST, then PUT with the digest and all bytes."""
    answer = start_upload(connection, repository)
    expect(connection.send_layer("PUT", closing(answer, layer.digest), layer), 201, "pushing a layer")


def push_as_docker(connection: Connection, repository: str, layers: list[Layer], tag: str) -> str:
    """Push an image: each blob is asked for, sent in chunks, closed and asked for again; then the manifest. Gives its digest."""
    expect(connection.request("GET", "/v2/"), 200, "GET /v2/")
    config = json.dumps({"architecture": "amd64", "os": "linux", "author": os.urandom(16).hex()}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _config(connection, repository, config),
        "layers": [_layer(connection, repository, layer) for layer in layers],
    }
    return put_manifest(connection, repository, tag, json.dumps(manifest, indent=3).encode())


def _layer(connection: Connection, repository: str, layer: Layer) -> dict[str, Any]:
    target = f"/v2/{repository}/blobs/{layer.digest}"
    expect(connection.request("HEAD", target), 404, "asking for a new layer")
    answer = start_upload(connection, repository)
    answer = expect(connection.send_layer("PATCH", location(answer), layer, chunked=True), 202, "sending a layer")
    expect(connection.request("PUT", closing(answer, layer.digest)), 201, "closing an upload")
    _followed(connection, "HEAD", target)
    return descriptor(LAYER_TYPE, layer.digest, layer.size)


def _config(connection: Connection, repository: str, content: bytes) -> dict[str, Any]:
    """The configuration goes the way of the layers; it is small, so its length is announced."""
    answer = start_upload(connection, repository)
    answer = expect(connection.request("PATCH", location(answer), content), 202, "sending a configuration")
    digest = digest_of(content)
    expect(connection.request("PUT", closing(answer, digest)), 201, "closing an upload")
    _followed(connection, "HEAD", f"/v2/{repository}/blobs/{digest}")
    return descriptor(CONFIG_TYPE, digest, len(content))


def push_small_image(connection: Connection, repository: str, layers: Layers, size: int, tag: str) -> None:
    """Push an image of one new layer as clients do that know all digests: two small blobs and a manifest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "author": os.urandom(16).hex()}).encode()
    layer = layers.make(size)
    push_known(connection, repository, layer)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, put_blob(connection, repository, config), len(config)),
        "layers": [descriptor(LAYER_TYPE, layer.digest, layer.size)],
    }
    put_manifest(connection, repository, tag, json.dumps(manifest).encode())


def pull_as_docker(connection: Connection, repository: str, tag: str) -> None:
    """Pull an image: the manifest is asked for by tag, fetched by digest, then each blob, from where the registry sends us.

    Raises `ClientError` also when a blob has another digest.
    """
    accept = [("Accept", ACCEPT)]
    expect(connection.request("GET", "/v2/"), 200, "GET /v2/")
    base = f"/v2/{repository}"
    head = expect(connection.request("HEAD", f"{base}/manifests/{tag}", headers=accept), 200, "asking for a manifest")
    target = f"{base}/manifests/{head.headers['docker-content-digest']}"
    manifest = json.loads(expect(connection.request("GET", target, headers=accept), 200, f"GET {target}").body)
    for blob in (manifest["config"], *manifest["layers"]):
        content = _followed(connection, "GET", f"{base}/blobs/{blob['digest']}").body
        if digest_of(content) != blob["digest"]:
            raise ClientError(f"pulled something else than {blob['digest']}")


def _followed(connection: Connection, method: str, target: str) -> Answer:
    """The answer 200 for a blob, from where the registry sends us if it does."""
    answer = connection.request(method, target)
    if answer.status != 307:
        return expect(answer, 200, f"{method} {target}")
    place = urlsplit(answer.headers["location"])
    assert place.port
    with Connection(place.port) as store:
        return expect(store.request(method, f"{place.path}?{place.query}"), 200, f"{method} {target} at the store")
