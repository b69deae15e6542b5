"""A repository of any registry, filled with the few requests that all of them know."""

import re
from typing import Any

from harness.content import (
    DOCKER_CONFIG,
    DOCKER_IMAGE,
    DOCKER_LAYER,
    DOCKER_LIST,
    EMPTY,
    OCI_IMAGE,
    Content,
    config,
    digest,
    image,
    index,
    manifest,
)
from harness.http import Client
from harness.repository import Repository, pieces, with_query
from registry2.survey import Names


class AnyRepository(Repository):
    """Pushes with POST and PUT, which docker-registry 2.8.2 understands as well, and keeps every name in `names`.

    `generation`: content is new for each number.
    """

    def __init__(self, client: Client, name: str, names: Names, generation: int = 0) -> None:
        super().__init__(client, name)
        self._blobs = 10_000 * generation
        self.names = names
        names.repository(name)

    def open_upload(self, query: str = "") -> str:
        return local(super().open_upload(query))

    def push_blob(self, content: Content, algorithm: str = "sha256") -> Content:
        wanted = digest(content.body, algorithm)
        self.client.put(with_query(self.open_upload(), f"digest={wanted}"), {}, content.body).expect(201)
        self.names.blobs[self.name] |= {content.digest, wanted}
        return content

    def push_chunks(self, content: Content, size: int) -> Content:
        """Push a blob in chunks of a size."""
        self.leave_upload(content.body, size, closing=f"digest={content.digest}")
        self.names.blobs[self.name].add(content.digest)
        return content

    def leave_upload(self, octets: bytes, size: int, closing: str = "") -> str:
        """Send an upload's first bytes in chunks and leave it there, or close it; gives its location."""
        upload = self.open_upload()
        for piece in pieces(octets, size):
            upload = local(self.client.patch(upload, {}, piece).expect(202).headers["Location"])
        if closing:
            self.client.put(with_query(upload, closing)).expect(201)
        return upload

    def mount(self, content: Content, source: Repository) -> None:
        """Take a blob from another repository, which must have it."""
        self.client.post(self.url(f"blobs/uploads/?mount={content.digest}&from={source.name}")).expect(201)
        self.names.blobs[self.name].add(content.digest)

    def push_manifest(self, content: Content, *references: str) -> Content:
        self.names.manifests[self.name].add(content.digest)
        self.names.tags[self.name] |= {reference for reference in references if ":" not in reference}
        return super().push_manifest(content, *references)

    def docker_image(self) -> Content:
        """A new image of schema 2; its config and layer are pushed, it is not."""
        configuration = self.push_blob(self.blob(media_type=DOCKER_CONFIG))
        return image(configuration, [self.push_blob(self.blob(media_type=DOCKER_LAYER))], media_type=DOCKER_IMAGE)

    def artifact(self, subject: Content | None, **fields: Any) -> Content:
        """A new artifact, of an image perhaps; its blobs are pushed, it is not."""
        return image(self.push_blob(EMPTY), [self.push_blob(self.blob())], subject=subject, **fields)


def local(location: str) -> str:
    """A Location without scheme and host."""
    return re.sub("^http://[^/]*", "", location)


def every_kind(repository: AnyRepository) -> None:
    """A manifest of every kind that docker-registry takes, each under a tag of its own."""
    oci, docker = repository.image(), repository.docker_image()
    untyped = manifest(OCI_IMAGE, {**oci.json(), "mediaType": None, "annotations": {"a": "b"}})
    kinds = {"oci": oci, "docker": docker, "untyped": untyped}
    kinds |= {"index": index([oci, untyped]), "list": index([docker], media_type=DOCKER_LIST), "nothing": index([])}
    kinds["referrer"] = repository.artifact(oci, artifactType="application/x.signature")
    kinds["referring-index"] = index([oci], subject=docker)
    kinds["lonely"] = repository.artifact(repository.blob(), artifactType="application/x.lonely")
    kinds["nested"] = index([kinds["index"]])
    for tag, content in kinds.items():
        repository.push_manifest(content, tag)


def referrers_by_tag(repository: AnyRepository) -> tuple[Content, list[Content]]:
    """What a client does where there is no referrers API: an index under a tag made of the digest. Gives the image and its referrers."""
    subject = repository.push_manifest(repository.image(), "signed")
    found = [repository.artifact(subject, artifactType=f"application/x.{kind}") for kind in ("signature", "sbom")]
    for content in found:
        repository.push_manifest(content)
    entries = [content.descriptor(artifactType=content.json()["artifactType"]) for content in found]
    repository.push_manifest(index(entries), subject.digest.replace(":", "-"))
    return subject, found


def every_blob(repository: AnyRepository, other: AnyRepository) -> None:
    """Empty and not, at once and in chunks, under sha512, mounted, deleted, and an upload left half way."""
    for size in (0, 1, 100_000):
        repository.push_blob(repository.blob(size))
    repository.push_chunks(repository.blob(50_000), 20_000)
    other.mount(repository.push_blob(repository.blob(), "sha512"), repository)
    other.names.blobs[other.name] |= repository.names.blobs[repository.name]
    gone = repository.push_blob(repository.blob(), "sha512")
    repository.delete(f"blobs/{gone.digest}").expect(202)
    mounted = repository.push_blob(repository.blob())
    other.mount(mounted, repository)
    repository.leave_upload(repository.blob(3000).body, 1000)


def moves_and_deletions(repository: AnyRepository) -> None:
    """Tags moved there and back, many tags on one manifest, one without a tag; a manifest, a blob and an untagged one deleted."""
    first, second = (repository.push_manifest(repository.image(), "moving") for _ in range(2))
    repository.push_manifest(first, "moving", *(f"v{number}" for number in range(120)))
    repository.push_manifest(second, "other")
    repository.push_manifest(repository.image())
    gone = repository.push_manifest(repository.image(), "gone", "gone-too")
    repository.delete(f"manifests/{gone.digest}").expect(202)
    for layer in gone.json()["layers"]:
        repository.delete(f"blobs/{layer['digest']}").expect(202)
    again = repository.push_manifest(repository.image(), "again")
    repository.delete(f"manifests/{again.digest}").expect(202)
    repository.push_manifest(again, "again")


def nothing_left(repository: AnyRepository) -> None:
    """All that was pushed is deleted again."""
    content = repository.push_manifest(repository.image(), "latest")
    repository.delete(f"manifests/{content.digest}").expect(202)
    for part in (content.json()["config"], *content.json()["layers"]):
        repository.delete(f"blobs/{part['digest']}").expect(202)


def same_configuration(repositories: list[AnyRepository]) -> None:
    """Repositories that share a config and a layer, with names that begin like one another."""
    configuration, layer = config("shared"), repositories[0].blob()
    for repository in repositories:
        for content in (configuration, layer):
            repository.push_blob(content)
        repository.push_manifest(image(configuration, [layer]), "latest", "latest-1", "latest.1", "l")
