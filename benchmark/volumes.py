"""Volumes as registry:2 leaves them, written straight to disk: many repositories, many tags, layers that are shared.

python -m benchmark.volumes DIRECTORY --repositories 10000 --tags 100000
"""

import argparse
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.dataset import MANIFEST_TYPE, repository_names

TREE = "docker/registry/v2"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
TAGS_EACH = 10
"""Tags of a repository, in what the benchmark imports."""
BASES = 20
"""Base layers in the whole volume; each image has three of them."""
OLD = 10
"""Every so many tags one stands on its second image, as a tag that was pushed twice: the first image is still there, without a tag."""


@dataclass(slots=True)
class Volume:
    """What was written: a tag's digest by repository and tag, and how much there is."""

    root: Path
    repositories: int = 0
    tags: int = 0
    manifests: int = 0
    blobs: int = 0
    links: int = 0
    sample: dict[tuple[str, str], str] = field(default_factory=dict)
    """The first tag of each repository, to look for afterwards."""


def write(root: Path, repositories: int, tags: int) -> Volume:
    """Write a volume below `root`, which has no registry yet: so many repositories, with `tags` tags spread over all of them.

    Every tag has an image of its own: a manifest, a configuration, three base layers of 20 in all, a layer of its repository.
    """
    writer = _Writer(Volume(root))
    bases = [writer.blob(b"base layer %d " % number * 50) for number in range(BASES)]
    each, more = divmod(tags, repositories)
    for number, name in enumerate(repository_names(repositories)):
        _repository(writer, name, [bases[(number + step) % BASES] for step in range(3)], each + (number < more))
    return writer.volume


def _repository(writer: "_Writer", name: str, bases: Sequence[dict[str, Any]], tags: int) -> None:
    volume = writer.volume
    layers = [*bases, writer.blob(b"layer of %s" % name.encode())]
    writer.mkdir(f"repositories/{name}/_uploads")
    for layer in layers:
        writer.link(f"repositories/{name}/_layers", layer["digest"])
    for number in range(tags):
        tag = f"v1.{number:04d}"
        images = [_image(writer, name, tag, layers)]
        if volume.tags % OLD == 0:
            images.append(_image(writer, name, f"{tag} again", layers))
        for digest in images:
            writer.link(f"repositories/{name}/_manifests/tags/{tag}/index", digest)
        writer.file(f"repositories/{name}/_manifests/tags/{tag}/current/link", images[-1].encode())
        volume.links += 1
        volume.tags += 1
        if not number:
            volume.sample[name, tag] = images[-1]
    volume.repositories += 1


def _image(writer: "_Writer", name: str, words: str, layers: Sequence[dict[str, Any]]) -> str:
    """An image in a repository; gives its digest."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "author": f"{name} {words}"}).encode()
    configuration = writer.blob(config, CONFIG_TYPE)
    writer.link(f"repositories/{name}/_layers", configuration["digest"])
    fields = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": configuration, "layers": layers}
    digest: str = writer.blob(json.dumps(fields, indent=3).encode())["digest"]
    writer.link(f"repositories/{name}/_manifests/revisions", digest)
    writer.volume.manifests += 1
    return digest


class _Writer:
    """Makes files below a volume's tree, and the directories above them where they are missing."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._base = os.fsencode(volume.root / TREE)
        os.makedirs(self._base)

    def mkdir(self, path: str) -> None:
        try:
            os.mkdir(self._base + b"/" + path.encode())
        except FileExistsError:
            pass
        except FileNotFoundError:
            self.mkdir(path.rpartition("/")[0])
            self.mkdir(path)

    def file(self, path: str, content: bytes) -> None:
        name = self._base + b"/" + path.encode()
        try:
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileNotFoundError:
            self.mkdir(path.rpartition("/")[0])
            descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        os.write(descriptor, content)
        os.close(descriptor)

    def link(self, directory: str, digest: str) -> None:
        self.file(f"{directory}/{digest.replace(':', '/')}/link", digest.encode())
        self.volume.links += 1

    def blob(self, content: bytes, media_type: str = LAYER_TYPE) -> dict[str, Any]:
        """A new blob; gives its descriptor."""
        encoded = hashlib.sha256(content).hexdigest()
        self.file(f"blobs/sha256/{encoded[:2]}/{encoded}/data", content)
        self.volume.blobs += 1
        return {"mediaType": media_type, "digest": f"sha256:{encoded}", "size": len(content)}


def main(argv: Sequence[str] | None = None) -> None:
    """Write a volume and tell what is in it."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.volumes", description="Write a volume of registry:2.")
    parser.add_argument("directory", type=Path, help="the root directory, which has no registry yet")
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=100_000, help="in all repositories together")
    chosen = parser.parse_args(argv)
    volume = write(chosen.directory, chosen.repositories, chosen.tags)
    print(f"{volume.repositories:,} repositories, {volume.tags:,} tags, {volume.manifests:,} manifests,", end=" ")
    print(f"{volume.blobs:,} blobs, {volume.links:,} links")


if __name__ == "__main__":
    main()
