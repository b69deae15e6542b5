"""Volumes made by hand, file by file: what registry:2 leaves, also when it was killed, and what people and backups make of it."""

import shutil
from pathlib import Path
from uuid import UUID

from durability.ledger import TREE
from harness.content import Content, blob, config, digest, image

LONG_AGO = "2020-01-02T03:04:05Z"


class Volume:
    """A tree of registry:2 below `root`; every method writes files and nothing else."""

    def __init__(self, root: Path) -> None:
        self.base = root / TREE
        (self.base / "repositories").mkdir(parents=True)
        self.made = 0

    def path(self, *parts: str) -> Path:
        """A place in the tree, whose directory is made."""
        found = self.base.joinpath(*parts)
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def data(self, name: str) -> Path:
        """The file of a blob, by digest."""
        algorithm, _, encoded = name.partition(":")
        return self.path("blobs", algorithm, encoded[:2], encoded, "data")

    def blob(self, content: Content) -> Content:
        """A blob's bytes, which no repository has yet."""
        self.data(content.digest).write_bytes(content.body)
        return content

    def link(self, *parts: str, target: str) -> Path:
        """A link with a target in it."""
        found = self.path(*parts, "link")
        found.write_text(target)
        return found

    def layer(self, repository: str, name: str, target: str = "") -> Path:
        """The link of a blob, by its digest, perhaps with another one in it."""
        return self.link("repositories", repository, "_layers", *name.split(":"), target=target or name)

    def revision(self, repository: str, name: str, target: str = "") -> Path:
        """The link of a manifest."""
        parts = ("repositories", repository, "_manifests", "revisions", *name.split(":"))
        return self.link(*parts, target=target or name)

    def tag(self, repository: str, tag: str, name: str, *former: str) -> Path:
        """A tag, and what it pointed to before; gives the link that counts."""
        place = ("repositories", repository, "_manifests", "tags", tag)
        for one in (*former, name):
            self.link(*place, "index", *one.split(":"), target=one)
        return self.link(*place, "current", target=name)

    def manifest(self, repository: str, content: Content, *tags: str) -> Content:
        """A manifest that is all there; what it refers to is not looked at."""
        self.blob(content)
        self.revision(repository, content.digest)
        for tag in tags:
            self.tag(repository, tag, content.digest)
        return content

    def image(self, repository: str, *tags: str, **fields: object) -> Content:
        """A new image with its config and one layer, under some tags."""
        self.made += 1
        parts = [config(f"volume {self.made}"), blob(f"volume {self.made}")]
        for part in parts:
            self.blob(part)
            self.layer(repository, part.digest)
        return self.manifest(repository, image(parts[0], parts[1:], **fields), *tags)  # type: ignore[arg-type]

    def upload(self, repository: str, octets: bytes | None, began: str | None = LONG_AGO) -> Path:
        """An upload that was left: its bytes, and when it began, None for what is missing. Gives its directory."""
        self.made += 1
        place = self.path("repositories", repository, "_uploads", str(UUID(int=self.made, version=4)), "x").parent
        for name, content in (("data", octets), ("startedat", None if began is None else began.encode())):
            if content is not None:
                (place / name).write_bytes(content)
        return place

    def remove(self, *parts: str) -> None:
        """Remove a directory, as people do."""
        shutil.rmtree(self.base.joinpath(*parts))


def sha512(content: Content) -> str:
    """The sha512 digest."""
    return digest(content.body, "sha512")
