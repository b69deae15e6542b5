"""What a listing says about one repository's links. Pure: what has to be fetched is asked for, and handed in."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from holdfast.model.digests import Digest, is_digest
from holdfast.model.names import is_tag
from holdfast.storage.filesystem_links import DAMAGED, NO_CURRENT, NOT_A_DIGEST, NOT_A_TAG, UNFINISHED, UNKNOWN
from holdfast.storage.links import UNREADABLE, Link, Oddity, RepositoryLinks
from holdfast.storage.object_bucket import Found


@dataclass(slots=True)
class _Tag:
    """A tag: its link, and the digests that its index names, with when each was written."""

    current: Found | None = None
    index: dict[Digest, int] = field(default_factory=dict)


class Scan:
    """Gathers the objects of one repository, in any order.

    `place`: the repository's path. `thoroughly`: whether the links of blobs and manifests are looked into, too. `typed`: the manifests that have
    their media type in the tree.
    """

    def __init__(self, place: str, *, thoroughly: bool) -> None:
        self.typed: set[Digest] = set()
        self._place = place
        self._thoroughly = thoroughly
        self._found = RepositoryLinks()
        self._digests: dict[str, tuple[dict[Digest, Link], Digest, Found]] = {}
        self._tags: dict[str, _Tag] = {}
        self._unfinished: list[tuple[str, str]] = []
        self._odd: dict[str, str] = {}

    def take(self, found: Found) -> None:
        """Note one object that lies below the place."""
        match found.path.removeprefix(f"{self._place}/").split("/"):
            case ["_layers", algorithm, encoded, *rest]:
                self._digest(self._found.layers, found, 2, f"{algorithm}:{encoded}", rest)
            case ["_manifests", "revisions", algorithm, encoded, *rest]:
                self._digest(self._found.revisions, found, 3, f"{algorithm}:{encoded}", rest)
            case ["_manifests", "tags", tag, *rest] if rest and is_tag(tag):
                self._tag(self._tags.setdefault(tag, _Tag()), found, rest)
            case ["_manifests", "tags", _, *_]:
                self._tell(found, 2, NOT_A_TAG)
            case ["_uploads", upload, *rest] if rest and _is_upload(upload):
                self._found.uploads[upload] = max(found.modified, self._found.uploads.get(upload, 0))
            case ["_uploads", _, *_]:
                self._tell(found, 1, UNKNOWN)
            case ["_layers", *_] | ["_manifests", "revisions", *_]:
                self._odd[found.path] = UNKNOWN

    def _tell(self, found: Found, depth: int, why: str) -> None:
        """Tell once of the directory that is `depth` parts below the repository's first."""
        parts = found.path.removeprefix(f"{self._place}/").split("/")
        self._odd["/".join([self._place, *parts[: depth + 1]])] = why

    def _digest(self, links: dict[Digest, Link], found: Found, depth: int, text: str, rest: list[str]) -> None:
        if not is_digest(text) or not rest:
            self._tell(found, depth, NOT_A_DIGEST)
            return
        digest = Digest(text)
        if rest == ["link"]:
            self._digest_link(links, digest, found)
        elif rest == ["mediatype"]:
            self.typed.add(digest)
        elif rest[-1].endswith(".tmp"):
            self._unfinished.append((f"{found.path.rpartition('/')[0]}/link", found.path))

    def _digest_link(self, links: dict[Digest, Link], digest: Digest, found: Found) -> None:
        plain = digest.startswith("sha256:") and found.size == len(digest)
        if plain and (not self._thoroughly or _says(found, digest)):
            links[digest] = Link(digest, found.modified)
        else:
            self._digests[found.path] = (links, digest, found)

    def _tag(self, tag: _Tag, found: Found, rest: list[str]) -> None:
        match rest:
            case ["current", "link"]:
                tag.current = found
            case ["index", algorithm, encoded, "link"] if is_digest(f"{algorithm}:{encoded}"):
                tag.index[Digest(f"{algorithm}:{encoded}")] = found.modified
            case ["index", _, _, "link"]:
                self._tell(found, 5, NOT_A_DIGEST)
            case [*_, name] if name.endswith(".tmp"):
                self._unfinished.append((f"{found.path.rpartition('/')[0]}/link", found.path))

    def unclear(self) -> list[str]:
        """The paths of links whose contents `finish` needs."""
        tags = [tag.current.path for tag in self._tags.values() if tag.current and not _known(tag)]
        return [*self._digests, *tags]

    def finish(self, contents: Mapping[str, bytes | None]) -> RepositoryLinks:
        """Everything. `contents`: the begins of the links that are `unclear`; None for one that cannot be read."""
        for path, (links, digest, found) in self._digests.items():
            self._concluded(links, digest, found, contents[path])
        for name, tag in self._tags.items():
            if tag.current is None:
                self._odd[f"{self._place}/_manifests/tags/{name}"] = NO_CURRENT
            else:
                self._found.tags[name] = self._current(tag, tag.current, contents)
        links_there = {*self._digests, *(tag.current.path for tag in self._tags.values() if tag.current)}
        links_there |= set(self._plain_links())
        for link, path in self._unfinished:
            if link not in links_there:
                self._odd[path] = UNFINISHED
        self._found.oddities += [Oddity(path, why) for path, why in self._odd.items()]
        return self._found

    def _plain_links(self) -> Iterator[str]:
        if self._unfinished:
            for place, links in (("_layers", self._found.layers), ("_manifests/revisions", self._found.revisions)):
                yield from (f"{self._place}/{place}/{digest.replace(':', '/')}/link" for digest in links)

    def _target(self, path: str, content: bytes | None) -> tuple[Digest | None, str]:
        """The digest in a link, or what is wrong with it."""
        if content is None:
            self._odd[path] = UNREADABLE
            return None, UNREADABLE
        text = content.decode("ascii", "replace").strip()
        if not is_digest(text):
            self._odd[path] = DAMAGED
            return None, DAMAGED
        return Digest(text), ""

    def _concluded(self, links: dict[Digest, Link], digest: Digest, found: Found, content: bytes | None) -> None:
        target, damage = self._target(found.path, content)
        plain = digest.startswith("sha256:")
        if plain and damage != UNREADABLE and target != digest:  # its place says all that it should say
            links[digest] = Link(digest, found.modified, broken=True)
        elif damage != DAMAGED:
            links[digest] = Link(target, found.modified)

    def _current(self, tag: _Tag, found: Found, contents: Mapping[str, bytes | None]) -> Link:
        known = _known(tag)
        if known:
            return Link(known, found.modified)
        target, damage = self._target(found.path, contents[found.path])
        if damage == DAMAGED:
            # registry:2 writes the newest of them just before the one that is damaged.
            newest = max(((written, digest) for digest, written in tag.index.items()), default=(0, None))[1]
            return Link(newest, found.modified, broken=True)
        return Link(target, found.modified)


def _known(tag: _Tag) -> Digest | None:
    """The digest that a tag's link holds, if the listing tells it."""
    return next((digest for digest in tag.index if tag.current and _says(tag.current, digest)), None)


def _says(found: Found, digest: Digest) -> bool:
    """Whether an object certainly holds a digest, and nothing else."""
    return found.size == len(digest) and found.etag == hashlib.md5(digest.encode(), usedforsecurity=False).hexdigest()


def _is_upload(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
