"""Reads the links of a tree in an object store, as registry:2 or Holdfast wrote them. `paths` draws the tree.

A bucket has no directories, so listings are all there is to find things by: a thousand objects each, in the order of their keys. They also
tell most of what links say: where the store gives the MD5 sum of an object as its ETag, as S3 and Google's do, that tells which of the digests
in question is written in it. Only where that tells nothing a link is fetched, many at once.

A store that does not answer raises `StorageUnavailable`, and a bucket that cannot be listed `StorageError`: that concerns all links, not one.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import TypeVar

from holdfast.model.digests import EMPTY, Digest, is_digest
from holdfast.model.names import is_repository
from holdfast.storage import paths
from holdfast.storage.filesystem_links import (
    EMPTY_BLOB,
    LONGEST_LINK,
    NOT_A_DIGEST,
    NOT_A_NAME,
    PAGE,
    REPOSITORY_PARTS,
    UNFINISHED,
    UNKNOWN,
)
from holdfast.storage.links import Oddity, RepositoryLinks, RepositoryPage, Shard, Stored, order
from holdfast.storage.object_bucket import Bucket, Found, Stream
from holdfast.storage.object_parts import decoded
from holdfast.storage.object_scan import Scan
from holdfast.storage.port import StorageError, StorageUnavailable

TOGETHER = 32
"""Requests under way at once."""

FEW = 4
"""So many blobs are looked for one by one; more, of one shard, by listing it."""

REMEMBERED = 64
"""Repositories of which it is remembered which manifests have their media type in the tree."""

NOT_A_NOTE = "not a list of parts"
PARTS_GONE = "parts of the blob are gone"

_PREFIX = re.compile("[0-9a-f]{2}")

T = TypeVar("T")
R = TypeVar("R")


class ObjectLinkReader:
    """The tree in a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._typed: dict[str, frozenset[Digest]] = {}

    async def repositories(self) -> AsyncIterator[RepositoryPage]:
        """As the port says. Requests: one for each thousand objects, and never more than two for each repository."""
        page = RepositoryPage()
        group: list[str] = []
        names = self._names(page.oddities.append)
        async for name in names:
            if group and _stem(group[0]) != _stem(name):
                page.names += sorted(group, key=order)
                group.clear()
            group.append(name)
            while len(page.names) >= PAGE:
                yield RepositoryPage(page.names[:PAGE], page.oddities[:])
                del page.names[:PAGE], page.oddities[:]
        page.names += sorted(group, key=order)
        for start in range(0, max(len(page.names), 1), PAGE):
            yield RepositoryPage(page.names[start : start + PAGE], page.oddities[:])
            page.oddities.clear()

    async def _names(self, tell: Callable[[Oddity], None]) -> AsyncIterator[str]:
        """Names of repositories in the order of the keys. A repository that fills a listing is left behind with the next one."""
        names = _Names(tell)
        after: str | None = ""
        while after is not None:
            start, after = after, None
            async with aclosing(self._bucket.list("repositories", start)) as pages:
                async for found in pages:
                    for each in found:
                        name = names.new(each.path)
                        if name:
                            yield name
                    if found and _owner(found[0].path) == _owner(found[-1].path) != "":
                        after = f"repositories/{_owner(found[-1].path)}/_zzz"
                        break

    async def absent(self, names: Sequence[str]) -> list[str]:
        """As the port says. Requests: one for each name."""
        there = await _together(names, self._is_there)
        return [name for name in names if not there[name]]

    async def _is_there(self, name: str) -> bool:
        place = paths.repository(name)
        async with aclosing(self._own(place)) as objects:
            async for found in objects:
                if found.path.startswith(tuple(f"{place}/{part}/" for part in REPOSITORY_PARTS)):
                    return True
        return False

    async def _own(self, place: str) -> AsyncGenerator[Found, None]:
        """What belongs to the repository at a place, and not to those below it. Requests: one for each thousand objects."""
        async with aclosing(self._bucket.list(place, f"{place}/_")) as pages:
            async for page in pages:
                for found in page:
                    if not found.path.startswith(f"{place}/_"):
                        return
                    yield found

    async def scan(self, repository: str, *, thoroughly: bool = False) -> RepositoryLinks:
        """As the port says. Requests: one for each thousand objects, and one for each link that the listing does not tell."""
        scan = Scan(paths.repository(repository), thoroughly=thoroughly)
        async with aclosing(self._own(paths.repository(repository))) as objects:
            async for found in objects:
                scan.take(found)
        contents = await _together(scan.unclear(), self._link)
        self._typed.pop(repository, None)
        self._typed[repository] = frozenset(scan.typed)
        if len(self._typed) > REMEMBERED:
            del self._typed[next(iter(self._typed))]
        return scan.finish(contents)

    async def _link(self, path: str) -> bytes | None:
        """The begin of an object; empty if it is gone, None where it cannot be read."""
        try:
            stream = await self._bucket.stream(path)
            return (await stream.next())[:LONGEST_LINK] if stream else b""
        except StorageUnavailable:
            raise
        except StorageError:
            return None

    async def media_types(self, repository: str, manifests: Sequence[Digest]) -> dict[Digest, str]:
        """As the port says. Requests: one for each type that the last scan of the repository saw; without a scan, one for each manifest."""
        typed = self._typed.get(repository)
        asked = [digest for digest in manifests if typed is None or digest in typed]
        contents = await _together(asked, lambda digest: self._link(f"{paths.revision(repository, digest)}/mediatype"))
        return {digest: content.decode("ascii", "replace").strip() for digest, content in contents.items() if content}

    async def histories(self, repository: str, tags: Sequence[str]) -> dict[str, set[Digest]]:
        """As the port says. Requests: one for each thousand objects of the repository's tags."""
        found: dict[str, set[Digest]] = {tag: set() for tag in tags}
        place = f"{paths.repository(repository)}/_manifests/tags"
        async for page in self._bucket.list(place):
            for each in page:
                parts = each.path.removeprefix(f"{place}/").split("/")
                text = ":".join(parts[2:4])
                if parts[0] in found and parts[1:2] == ["index"] and parts[4:] == ["link"] and is_digest(text):
                    found[parts[0]].add(Digest(text))
        return found

    async def shards(self) -> AsyncIterator[Shard]:
        """As the port says. Requests: one for each thousand blobs."""
        odd = Shard("")
        noted = _Noted(self._bucket, odd)
        number, told = 0, ""
        shard = Shard("sha256:00")
        async with aclosing(self._bucket.list("blobs")) as pages:
            async for page in pages:
                for found in page:
                    place = found.path.split("/")
                    if place[1] != "sha256" or len(place) < 4 or not _PREFIX.fullmatch(place[2]):
                        outside = "/".join(place[: 3 if place[1] == "sha256" else 2])
                        odd.oddities += [Oddity(outside, NOT_A_DIGEST)] if outside != told else []
                        told = outside
                        continue
                    while number < int(place[2], 16):
                        yield await noted.added(shard)
                        number += 1
                        shard = Shard(f"sha256:{number:02x}")
                    told = _take_blob(shard, place, told)
        for following in range(number + 1, 257):
            yield await noted.added(shard)
            shard = Shard(f"sha256:{following:02x}")
        yield odd

    async def stored(self, digests: Sequence[Digest]) -> tuple[dict[Digest, Stored], list[Oddity]]:
        """As the port says. Requests: one for each blob while they are few, otherwise one for each thousand blobs of the shards that they are
        in; for each blob that is not at its own place, one more and one for each of its parts.
        """
        found: dict[Digest, Stored] = {}
        odd: dict[Digest, list[Oddity]] = {}
        await _together(_looks(digests), lambda group: self._look(group, found, odd))
        missing = [digest for digest in digests if digest not in found]
        for digest, parted in (await _together(missing, self._parted)).items():
            if isinstance(parted, Stored):
                found[digest] = parted
            elif parted:
                odd.setdefault(digest, []).append(parted)
        return found, [oddity for digest, told in odd.items() if digest not in found for oddity in told]

    async def _look(
        self, group: Sequence[Digest], found: dict[Digest, Stored], odd: dict[Digest, list[Oddity]]
    ) -> None:
        """List the blobs of one shard, from the first to the last of `group`."""
        wanted = set(group)
        directory = paths.blob(group[0]).removesuffix("/data")
        shard = directory.rpartition("/")[0]
        last = f"{paths.blob(group[-1]).removesuffix('data')}~"
        where, after = (directory, "") if len(group) == 1 else (shard, directory)
        async with aclosing(self._bucket.list(where, after)) as pages:
            async for page in pages:
                for each in page:
                    if each.path > last:
                        return
                    digest = Digest(f"sha256:{each.path.removeprefix(f'{shard}/').partition('/')[0]}")
                    if digest not in wanted:
                        continue
                    why = _wrong(each, digest)
                    if why:
                        odd.setdefault(digest, []).append(Oddity(each.path, why))
                    else:
                        found[digest] = Stored(each.size, each.modified)

    async def _parted(self, digest: Digest) -> Stored | Oddity | None:
        """A blob that is not at its own place: where its parts are, if that is noted."""
        path = paths.parted(digest)
        try:
            note = await self._bucket.stream(path)
            text = (await _whole(note)).decode() if note else ""
            parts = decoded(text)
        except StorageUnavailable:
            raise
        except (StorageError, UnicodeDecodeError):
            return Oddity(path, NOT_A_NOTE)
        if not note:
            return None
        if not parts or [await self._bucket.head(part.path) for part in parts] != [part.size for part in parts]:
            return Oddity(path, PARTS_GONE if parts else NOT_A_NOTE)
        return Stored(sum(part.size for part in parts), note.modified, text)

    async def contents(self, digests: Sequence[Digest], most: int) -> dict[Digest, bytes]:
        """As the port says. Requests: one for each blob; for one in parts, two more and one for each part."""
        contents = await _together(digests, lambda digest: self._content(digest, most))
        return {digest: content for digest, content in contents.items() if content is not None}

    async def _content(self, digest: Digest, most: int) -> bytes | None:
        try:
            whole = await self._bucket.stream(paths.blob(digest))
            if whole:
                return await _whole(whole) if whole.size <= most else None
            parted = await self._parted(digest)
            if not isinstance(parted, Stored) or parted.size > most:
                return None
            streams = [await self._bucket.stream(part.path) for part in decoded(parted.parts)]
            return b"".join([await _whole(stream) for stream in streams if stream])
        except StorageUnavailable:
            raise
        except StorageError:
            return None


class _Names:
    """Finds the names of repositories in paths that come in order."""

    def __init__(self, tell: Callable[[Oddity], None]) -> None:
        self._tell = tell
        self._last = ""
        self._told = ""

    def new(self, path: str) -> str:
        """The name that a path tells, if the paths before did not; empty otherwise. What is odd is told."""
        name, _, rest = _split(path)
        if name == self._last and rest:
            return ""
        odd = _no_repository(name)
        if odd or not rest:
            self._odd(Oddity(f"repositories/{odd}", NOT_A_NAME) if odd else Oddity(path, UNKNOWN))
            return ""
        if rest.partition("/")[0] not in REPOSITORY_PARTS:
            return ""
        self._last = name
        return name

    def _odd(self, oddity: Oddity) -> None:
        if oddity.path != self._told:
            self._tell(oddity)
        self._told = oddity.path


class _Noted:
    """The blobs in parts, for one shard after the other."""

    def __init__(self, bucket: Bucket, odd: Shard) -> None:
        self._odd = odd
        self._digests = self._all(bucket)
        self._next: Digest | None = None

    async def _all(self, bucket: Bucket) -> AsyncIterator[Digest]:
        async for page in bucket.list(paths.PARTED):
            for found in page:
                text = found.path.removeprefix(f"{paths.PARTED}/").replace("/", ":", 1)
                if is_digest(text) and text.startswith("sha256:"):
                    yield Digest(text)
                else:
                    self._odd.oddities.append(Oddity(found.path, UNKNOWN))

    async def added(self, shard: Shard) -> Shard:
        """The shard, with its blobs in parts; shards come in order."""
        self._next = self._next or await anext(self._digests, None)
        while self._next and self._next.startswith(shard.prefix):
            shard.digests.add(self._next)
            self._next = await anext(self._digests, None)
        return shard


def _split(path: str) -> tuple[str, str, str]:
    """A path below `repositories`: the name, a slash, and what follows from the first part that begins with `_`, which ends names."""
    whole = path.removeprefix("repositories/")
    cut = 0 if whole.startswith("_") else whole.find("/_") + 1
    return (whole[: max(cut - 1, 0)], "/", whole[cut:]) if cut or whole.startswith("_") else (whole, "", "")


def _owner(path: str) -> str:
    """The repository that a path belongs to; empty for none."""
    name, _, rest = _split(path)
    return name if rest else ""


def _no_repository(name: str) -> str:
    """The begin of a name up to the first part that makes it none; empty if it is one."""
    parts = name.split("/")
    names = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
    return "" if is_repository(name) else next((name for name in names if not is_repository(name)), name)


def _stem(name: str) -> str:
    """Names with the same stem follow on each other both in the order of keys and in the `order` of their parts, and their stems do too; among
    them the orders differ.
    """
    return re.split("[-./]", name, maxsplit=1)[0]


def _take_blob(shard: Shard, place: list[str], told: str) -> str:
    """Add what the parts of a path say to a shard; returns the path of what was last found odd."""
    text = f"sha256:{place[3]}"
    if len(place) > 4 and is_digest(text) and text.startswith(shard.prefix):
        shard.digests.add(Digest(text))
        return told
    directory = "/".join(place[:4])
    if directory != told:
        shard.oddities.append(Oddity(directory, NOT_A_DIGEST))
    return directory


def _looks(digests: Sequence[Digest]) -> list[tuple[Digest, ...]]:
    """The digests that are looked for with one listing each, in order."""
    looks: list[tuple[Digest, ...]] = []
    for _, group in groupby(sorted(digests), key=lambda digest: digest[: len("sha256:00")]):
        shard = tuple(group)
        looks += [shard] if len(shard) >= FEW else [(digest,) for digest in shard]
    return looks


def _wrong(found: Found, digest: Digest) -> str:
    """What is wrong with an object in a blob's place; empty for nothing."""
    if found.path != paths.blob(digest):
        return UNFINISHED
    return "" if found.size or digest in EMPTY else EMPTY_BLOB


async def _whole(stream: Stream) -> bytes:
    pieces = []
    while piece := await stream.next():
        pieces.append(piece)
    return b"".join(pieces)


async def _together(items: Sequence[T], work: Callable[[T], Awaitable[R]]) -> dict[T, R]:
    """The results of `work` for each item, `TOGETHER` at once. Raises what the first that fails raises."""
    found: dict[T, R] = {}
    todo = iter(items)

    async def take() -> None:
        for item in todo:
            found[item] = await work(item)

    tasks = [asyncio.create_task(take()) for _ in range(min(TOGETHER, len(items)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return {item: found[item] for item in items}
