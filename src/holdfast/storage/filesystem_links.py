"""Reads the links of a tree of files, as registry:2 or Holdfast wrote them. `paths` draws the tree.

The links of tags are read. Of the link of a blob or manifest only the length is looked at: what it has to say is in its path.
"""

import asyncio
import os
import re
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from holdfast.model.digests import EMPTY, Digest, is_digest
from holdfast.model.names import is_repository, is_tag
from holdfast.storage import paths
from holdfast.storage.links import UNREADABLE, Link, Oddity, RepositoryLinks, RepositoryPage, Shard, Stored

PAGE = 500
LONGEST_LINK = 256
"""Bytes of a link that are looked at; a digest has 135 at most."""

NOT_A_NAME = "not the name of a repository"
NOT_A_TAG = "not the name of a tag"
NOT_A_DIGEST = "not named by a digest that is supported"
UNFINISHED = "left over from a write that was not finished"
DAMAGED = "the link is empty or damaged"
NO_CURRENT = "the tag points to nothing"
UNKNOWN = "nothing that a registry writes"
EMPTY_BLOB = "the file is empty"

REPOSITORY_PARTS = ("_manifests", "_layers", "_uploads")
"""A directory with one of these is a repository."""

_PREFIX = re.compile("[0-9a-f]{2}")

T = TypeVar("T")


class FilesystemLinkReader:
    """The tree below `<root>/docker/registry/v2`."""

    def __init__(self, root: Path) -> None:
        self._root = str(root / paths.ROOT)

    async def repositories(self) -> AsyncIterator[RepositoryPage]:
        async for page in _stepwise(_pages(f"{self._root}/repositories")):
            yield page

    async def absent(self, names: Sequence[str]) -> list[str]:
        return await asyncio.to_thread(lambda: [name for name in names if self._is_absent(name)])

    def _is_absent(self, name: str) -> bool:
        return all(_is_gone(self._root, f"{paths.repository(name)}/{part}") for part in REPOSITORY_PARTS)

    async def scan(self, repository: str, *, thoroughly: bool = False) -> RepositoryLinks:
        return await asyncio.to_thread(_Scan(self._root, repository, thoroughly=thoroughly).run)

    async def media_types(self, repository: str, manifests: Sequence[Digest]) -> dict[Digest, str]:
        return await asyncio.to_thread(self._media_types, repository, manifests)

    def _media_types(self, repository: str, manifests: Sequence[Digest]) -> dict[Digest, str]:
        found = {}
        for digest in manifests:
            content = _read(f"{self._root}/{paths.revision(repository, digest)}/mediatype", LONGEST_LINK)
            if content:
                found[digest] = content.decode("ascii", "replace").strip()
        return found

    async def histories(self, repository: str, tags: Sequence[str]) -> dict[str, set[Digest]]:
        return await asyncio.to_thread(_Scan(self._root, repository, thoroughly=False).histories, tags)

    async def shards(self) -> AsyncIterator[Shard]:
        async for shard in _stepwise(_shards(f"{self._root}/blobs")):
            yield shard

    async def stored(self, digests: Sequence[Digest]) -> tuple[dict[Digest, Stored], list[Oddity]]:
        return await asyncio.to_thread(self._stored, digests)

    def _stored(self, digests: Sequence[Digest]) -> tuple[dict[Digest, Stored], list[Oddity]]:
        found, odd = {}, []
        for digest in digests:
            place = paths.blob(digest)
            try:
                state = os.stat(f"{self._root}/{place}")
            except FileNotFoundError:
                odd += [Oddity(entry.path.removeprefix(f"{self._root}/"), UNFINISHED) for entry in self._beside(place)]
            except OSError:
                odd.append(Oddity(place, UNREADABLE))
            else:
                if not stat.S_ISREG(state.st_mode):
                    odd.append(Oddity(place, UNKNOWN))
                elif not state.st_size and digest not in EMPTY:
                    odd.append(Oddity(place, EMPTY_BLOB))
                else:
                    found[digest] = Stored(state.st_size, state.st_mtime_ns // 1_000_000)
        return found, odd

    def _beside(self, place: str) -> list["os.DirEntry[str]"]:
        return _listed(os.path.dirname(f"{self._root}/{place}"))[0]

    async def contents(self, digests: Sequence[Digest], most: int) -> dict[Digest, bytes]:
        return await asyncio.to_thread(self._contents, digests, most)

    def _contents(self, digests: Sequence[Digest], most: int) -> dict[Digest, bytes]:
        found = {}
        for digest in digests:
            content = _read(f"{self._root}/{paths.blob(digest)}", most + 1)
            if content is not None and len(content) <= most:
                found[digest] = content
        return found


async def _stepwise(items: Iterator[T]) -> AsyncIterator[T]:
    """Take items one by one, each in a thread."""
    done = object()
    while (item := await asyncio.to_thread(next, items, done)) is not done:
        yield item  # type: ignore[misc]


def _pages(root: str) -> Iterator[RepositoryPage]:
    page = RepositoryPage()
    for name in _walk(root, "", page.oddities.append):
        page.names.append(name)
        if len(page.names) == PAGE:
            full = RepositoryPage(page.names[:], page.oddities[:])
            page.names.clear()
            page.oddities.clear()
            yield full
    yield page


def _walk(root: str, above: str, tell: Callable[[Oddity], None]) -> Iterator[str]:
    """Names of repositories below a directory, each before those that begin with it."""
    entries, problem = _listed(f"{root}/{above}" if above else root)
    if problem:
        tell(Oddity(f"repositories/{above}", problem))
    if above and any(entry.name in REPOSITORY_PARTS for entry in entries):
        yield above
    for entry in entries:
        if entry.name.startswith("_"):
            continue
        name = f"{above}/{entry.name}" if above else entry.name
        directory = _is_directory(entry)
        if not directory:
            tell(Oddity(f"repositories/{name}", UNKNOWN if directory is False else UNREADABLE))
        elif not is_repository(name):
            tell(Oddity(f"repositories/{name}", NOT_A_NAME))
        elif entry.is_symlink() and f"{os.path.realpath(root)}/{above}/".startswith(f"{os.path.realpath(entry.path)}/"):
            tell(Oddity(f"repositories/{name}", "a symbolic link to a directory above it"))
        else:
            yield from _walk(root, name, tell)


def _listed(path: str) -> tuple[list["os.DirEntry[str]"], str]:
    """What is in a directory, sorted; nothing, and why, where it cannot be listed."""
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name), ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError:
        return [], UNREADABLE


def _is_directory(entry: "os.DirEntry[str]") -> bool | None:
    """Whether it is a directory; None where nobody can tell, as with a link to a disk that is not mounted."""
    try:
        if entry.is_dir():
            return True
        return None if entry.is_symlink() and not os.path.exists(entry.path) else False
    except OSError:
        return None


def _is_gone(root: str, place: str) -> bool:
    """Whether there is certainly nothing at a place below `root`."""
    path = root
    for part in place.split("/"):
        path = f"{path}/{part}"
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return not os.path.islink(path)
        except OSError:
            return False
    return False


def _is_upload(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _written(path: str) -> int:
    """When a file or directory was written last; 0 where there is none."""
    try:
        return os.stat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0


def _read(path: str, most: int) -> bytes | None:
    """The begin of a file; None where there is none that can be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(file, most)
    except OSError:
        return None
    finally:
        os.close(file)


class _Scan:
    """Looks at one repository."""

    def __init__(self, root: str, repository: str, *, thoroughly: bool) -> None:
        self._root = root
        self._thoroughly = thoroughly
        self._place = paths.repository(repository)
        self._found = RepositoryLinks()

    def run(self) -> RepositoryLinks:
        """Everything."""
        found = self._found
        for digest, path in self._digests("_layers"):
            self._digest_link(found.layers, digest, path)
        for digest, path in self._digests("_manifests/revisions"):
            self._digest_link(found.revisions, digest, path)
        for entry in self._list("_manifests/tags"):
            if is_tag(entry.name) and self._may_be_directory(entry):
                self._tag(entry.name, entry.path)
            else:
                self._tell(entry.path, NOT_A_TAG)
        for entry in self._list("_uploads"):
            if _is_upload(entry.name) and _is_directory(entry):
                found.uploads[entry.name] = max(_written(entry.path), _written(f"{entry.path}/data"))
            else:
                self._tell(entry.path, UNKNOWN)
        return found

    def _tell(self, path: str, why: str) -> None:
        self._found.oddities.append(Oddity(path.removeprefix(f"{self._root}/"), why))

    def _list(self, place: str) -> list["os.DirEntry[str]"]:
        path = f"{self._root}/{self._place}/{place}"
        entries, problem = _listed(path)
        if problem:
            self._found.readable = False
            self._tell(path, problem)
        return entries

    def _may_be_directory(self, entry: "os.DirEntry[str]") -> bool:
        directory = _is_directory(entry)
        if directory is None:
            self._found.readable = False
        return directory is True

    def _digests(self, place: str) -> Iterator[tuple[Digest, str]]:
        """What is named by digest below a directory."""
        for algorithm in self._list(place):
            for entry in self._list(f"{place}/{algorithm.name}"):
                text = f"{algorithm.name}:{entry.name}"
                if is_digest(text) and self._may_be_directory(entry):
                    yield Digest(text), entry.path
                else:
                    self._tell(entry.path, NOT_A_DIGEST)

    def _state(self, directory: str) -> os.stat_result | None:
        """The state of the link in a directory; None where there is none."""
        try:
            return os.stat(f"{directory}/link")
        except FileNotFoundError:
            self._leftovers(directory)
        except OSError:
            self._found.readable = False
            self._tell(f"{directory}/link", UNREADABLE)
        return None

    def _leftovers(self, directory: str) -> None:
        for entry in _listed(directory)[0]:
            if entry.name.endswith(".tmp"):
                self._tell(entry.path, UNFINISHED)

    def _digest_link(self, links: dict[Digest, Link], digest: Digest, directory: str) -> None:
        state = self._state(directory)
        if state is None:
            return
        written = state.st_mtime_ns // 1_000_000
        plain = digest.startswith("sha256:")
        if plain and not self._thoroughly and state.st_size == len(digest) and stat.S_ISREG(state.st_mode):
            links[digest] = Link(digest, written)
            return
        target, damage = self._target(f"{directory}/link")
        if plain and not damage and target != digest:
            damage = DAMAGED
        if damage == DAMAGED and plain:  # its place says all that it should say
            links[digest] = Link(digest, written, broken=True)
        elif not damage or damage == UNREADABLE:
            links[digest] = Link(target, written)

    def _target(self, path: str) -> tuple[Digest | None, str]:
        """The digest in a link, or what is wrong with it."""
        content = _read(path, LONGEST_LINK)
        if content is None:
            self._tell(path, UNREADABLE)
            return None, UNREADABLE
        text = content.decode("ascii", "replace").strip()
        if not is_digest(text):
            self._tell(path, DAMAGED)
            return None, DAMAGED
        return Digest(text), ""

    def _tag(self, tag: str, directory: str) -> None:
        state = self._state(f"{directory}/current")
        if state is None:
            self._tell(directory, NO_CURRENT)
            return
        written = state.st_mtime_ns // 1_000_000
        target, damage = self._target(f"{directory}/current/link")
        if damage == UNREADABLE:
            self._found.tags[tag] = Link(None, written)
        elif damage:
            # registry:2 writes the newest of them just before the one that is damaged.
            self._found.tags[tag] = Link(self._newest(tag), written, broken=True)
        else:
            self._found.tags[tag] = Link(target, written)

    def histories(self, tags: Sequence[str]) -> dict[str, set[Digest]]:
        """What the indexes of tags name."""
        return {
            tag: {digest for digest, path in self._digests(f"_manifests/tags/{tag}/index") if self._state(path)}
            for tag in tags
        }

    def _newest(self, tag: str) -> Digest | None:
        """The digest that a tag was moved to last, by its index."""
        found = []
        for digest, path in self._digests(f"_manifests/tags/{tag}/index"):
            state = self._state(path)
            if state:
                found.append((state.st_mtime_ns, digest))
        return max(found)[1] if found else None


def _shards(root: str) -> Iterator[Shard]:
    algorithms, problem = _listed(root)
    if problem:
        yield Shard("", oddities=[Oddity("blobs", problem)])
    for algorithm in algorithms:
        place = f"blobs/{algorithm.name}"
        if algorithm.name != "sha256":
            yield Shard("", oddities=[Oddity(place, NOT_A_DIGEST)])
            continue
        entries, problem = _listed(f"{root}/sha256")
        odd = [Oddity(f"{place}/{entry.name}", NOT_A_DIGEST) for entry in entries if not _PREFIX.fullmatch(entry.name)]
        yield Shard("", oddities=odd + ([Oddity(place, problem)] if problem else []))
        if not problem:
            for prefix in range(256):
                yield _shard(f"{root}/sha256", f"{prefix:02x}")


def _shard(root: str, prefix: str) -> Shard:
    shard = Shard(f"sha256:{prefix}")
    entries, problem = _listed(f"{root}/{prefix}")
    if problem:
        return Shard("", oddities=[Oddity(f"blobs/sha256/{prefix}", problem)])
    for entry in entries:
        text = f"sha256:{entry.name}"
        if is_digest(text) and entry.name.startswith(prefix) and _is_directory(entry) is not False:
            shard.digests.add(Digest(text))
        else:
            shard.oddities.append(Oddity(f"blobs/sha256/{prefix}/{entry.name}", NOT_A_DIGEST))
    return shard
