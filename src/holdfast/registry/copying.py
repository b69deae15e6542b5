"""Copying the bytes and links of one store to another, again and again while the first is served: each run copies what is new.

Blobs come before links. While a copy is under way the target says so in place of the id of its database, so that no server takes it for whole.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from holdfast.model.digests import Digest
from holdfast.registry.copying_links import Files, files_of, group_of, removable
from holdfast.registry.report import Report, Tell
from holdfast.storage import paths
from holdfast.storage.links import UNREADABLE, LinkReader, Oddity, Shard, Stored
from holdfast.storage.port import BlobReader, BlobStore, StorageError, StorageUnavailable, UploadKey

MIB = 1024 * 1024
SMALL = MIB
"""Blobs up to this size are copied with one write."""

TOGETHER = 500
"""Blobs that are looked for at once, at least."""

WAIT = 5.0
SETTLED = 0.2
"""Seconds after which a repository in which something is odd is looked at again: a server may have been in the middle of a push."""

INCOMPLETE = "incomplete copy of"
"""The begin of what stands in the place of the id of a tree's database while it is copied."""

COPIES = "_copies"
"""What uploads into the target belong to: no repository can be called so."""

DAMAGED = "a blob whose bytes do not have its digest"

T = TypeVar("T")


class NoCopy(Exception):
    """The target is not a copy of the source; the text says what to do."""


@dataclass(frozen=True, slots=True)
class End:
    """A store, what reads its links, and where it is, in words."""

    store: BlobStore
    links: LinkReader
    words: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to copy. `parallel`: how many blobs, and repositories, at once. `verify`: read again what the target has already. `prune`: remove from
    the target what the source has no more.
    """

    parallel: int = 4
    verify: bool = False
    prune: bool = False


class _Unreadable(Exception):
    """The source's bytes cannot be read."""


class StoreCopier:
    """One run. `tell` is called for each blob and repository. Memory is bounded by what `Wanted.parallel` uploads take."""

    def __init__(self, source: End, target: End, wanted: Wanted, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._wanted = wanted
        self._tell = tell
        self._report = Report()
        self._started = time.time()

    async def run(self) -> Report:
        """Copy what is new; gives what was done, and what could not be copied. Interrupted at any moment, the next run goes on.

        Raises `NoCopy`, `StorageError`.
        """
        instance = await self._begin()
        await self._tidy()
        await in_parallel(self._blobs(), self._copy, self._wanted.parallel)
        await in_parallel(_names(self._source.links), self._copy_links, self._wanted.parallel)
        if UNREADABLE not in self._report.skipped:  # of what cannot be read nobody knows whether it is gone
            await in_parallel(self._gone_repositories(), self._remove_repository, self._wanted.parallel)
            await in_parallel(self._gone_blobs(), self._remove_blob, self._wanted.parallel)
        await self._tidy()
        if instance:
            await self._target.store.write_files([(paths.INSTANCE, f"{instance}\n".encode())])
        else:
            await self._target.store.write_files([(paths.COPY, self._source.words.encode())])
            await self._target.store.remove([paths.INSTANCE])
        return self._report

    async def _was_copied(self) -> bool:
        """Whether the target is a copy of a source that belongs to no database either."""
        return await self._target.store.read_file(paths.COPY) == self._source.words.encode()

    async def _begin(self) -> str:
        """See that the target is empty or a copy, and mark it; gives the id of the source's database, or nothing."""
        ours, theirs = [await _instance(end.store) for end in (self._source, self._target)]
        mark = f"{INCOMPLETE} {ours or 'a tree without one'}"
        known = theirs == mark or (theirs == ours and (ours or await self._was_copied()))
        if not known and (theirs or await _holds_something(self._target.links)):
            raise NoCopy(
                f"{self._target.words} holds another registry, or one that is no copy of {self._source.words}: name an empty place"
            )
        if self._wanted.prune and not ours:
            raise NoCopy(
                f"nothing tells that {self._target.words} is a copy of {self._source.words}, since that belongs to no database: copy without"
                " --prune, or let a server start on it once"
            )
        await self._target.store.write_files([(paths.INSTANCE, f"{mark}\n".encode())])
        return ours

    async def _tidy(self) -> None:
        """Remove what runs that were killed have left."""
        store = self._target.store
        await store.remove([paths.repository(COPIES)])
        await store.sweep(int(self._started * 1000), _all_known)

    def _count(self, name: str, by: int = 1) -> None:
        self._report.count(name, by)

    # Blobs

    async def _blobs(self) -> AsyncIterator[tuple[Digest, Stored, Stored | None]]:
        """All blobs of the source, with what the target has of them."""
        there = _InOrder(self._target.links.shards())
        ours: set[Digest] = set()
        theirs: set[Digest] = set()
        async for shard in self._source.links.shards():
            self._told(shard.oddities)
            ours |= shard.digests
            theirs |= shard.digests & await there.digests(shard.prefix)
            if len(ours) >= TOGETHER:  # shards with few blobs are not worth a look each
                async for item in self._compared(ours, theirs):
                    yield item
                ours, theirs = set(), set()
        async for item in self._compared(ours, theirs):
            yield item

    async def _compared(
        self, ours: set[Digest], theirs: set[Digest]
    ) -> AsyncIterator[tuple[Digest, Stored, Stored | None]]:
        found, odd = await self._source.links.stored(sorted(ours))
        self._told(odd)
        have = (await self._target.links.stored(sorted(theirs)))[0] if theirs else {}
        for digest, stored in found.items():
            self._tell(f"blobs {digest[:9]}", self._report.numbers)
            yield digest, stored, have.get(digest)

    def _told(self, oddities: Sequence[Oddity]) -> None:
        for oddity in oddities:
            self._report.skip(oddity.why, oddity.path)

    async def _copy(self, item: tuple[Digest, Stored, Stored | None]) -> None:
        digest, stored, have = item
        if have and have.size == stored.size and (not self._wanted.verify or await self._is_right(digest, have)):
            self._count("blobs there already")
            return
        try:
            reader = await self._opened(digest, stored)
            if reader is None:  # deleted meanwhile
                return
            try:
                copied = await self._send(digest, reader)
            finally:
                reader.close()
        except _Unreadable as error:
            self._report.skip(UNREADABLE, f"{digest}: {error}")
            return
        if copied:
            self._count("blobs copied")
        else:
            self._report.skip(DAMAGED, digest)

    async def _opened(self, digest: Digest, stored: Stored) -> BlobReader | None:
        try:
            return await self._source.store.open(digest, stored.parts)
        except StorageUnavailable:
            raise
        except StorageError as error:
            raise _Unreadable(str(error)) from None

    async def _send(self, digest: Digest, reader: BlobReader) -> bool:
        """Copy the bytes of a blob; tells whether they are what they should be."""
        store = self._target.store
        store.check_room(reader.size)
        if reader.size <= SMALL:
            content = b"".join([piece async for piece in self._pieces(reader)])
            if f"sha256:{hashlib.sha256(content, usedforsecurity=False).hexdigest()}" != digest:
                return False
            await store.put(digest, content)
            return True
        key = UploadKey(COPIES, str(uuid4()), datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        upload = await store.hold(key, WAIT)
        try:
            await upload.rewind(None)
            upload.aim(digest, _ready)
            await upload.append(self._pieces(reader))
            if (await upload.sync()).digest != digest:
                return False
            await upload.commit(digest)
            return True
        finally:
            await upload.close()
            await store.discard(key)

    async def _pieces(self, reader: BlobReader) -> AsyncIterator[bytes]:
        for offset in range(0, reader.size, MIB):
            try:
                piece = await reader.read(offset, min(MIB, reader.size - offset))
            except StorageUnavailable:
                raise
            except StorageError as error:
                raise _Unreadable(str(error)) from None
            self._count("bytes", len(piece))
            yield piece

    async def _is_right(self, digest: Digest, stored: Stored) -> bool:
        """Whether the target's bytes are what they should be."""
        reader = await self._target.store.open(digest, stored.parts)
        if reader is None:
            return False
        hasher = hashlib.sha256(usedforsecurity=False)
        try:
            async for piece in self._pieces(reader):
                await asyncio.to_thread(hasher.update, piece)
        except _Unreadable:
            return False
        finally:
            reader.close()
        return f"sha256:{hasher.hexdigest()}" == digest

    # Links

    async def _copy_links(self, name: str) -> None:
        self._tell(name, self._report.numbers)
        there = await self._files(self._target, name)
        ours = await self._files(self._source, name)
        if ours.oddities:
            await asyncio.sleep(SETTLED)
            ours = await self._files(self._source, name)
        self._told(ours.oddities)
        self._count("repositories")
        new = [
            (path, text)
            for path, text in ours.contents.items()
            if text is not None and there.contents.get(path) != text
        ]
        await self._write(new)
        if ours.readable:
            await self._remove_links(removable(there.contents, ours.contents))

    async def _files(self, end: End, name: str) -> Files:
        return await files_of(end.links, name, thoroughly=self._wanted.verify)

    async def _write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Write links, those of blobs before those of manifests, and these before those of tags."""
        for group in group_of(files):
            several = [group[first :: self._wanted.parallel] for first in range(self._wanted.parallel)]
            await asyncio.gather(*(self._target.store.write_files(some) for some in several if some))
            self._count("links written", len(group))

    async def _remove_links(self, places: Sequence[str]) -> None:
        if places and self._wanted.prune:
            await self._target.store.remove(list(places))
        if places:
            self._count("links removed" if self._wanted.prune else "links gone from the source", len(places))

    # What is gone

    async def _gone_repositories(self) -> AsyncIterator[str]:
        async for page in self._target.links.repositories():
            for name in await self._source.links.absent(page.names):
                yield name

    async def _remove_repository(self, name: str) -> None:
        if self._wanted.prune:
            await self._target.store.remove(list(paths.own_directories(name)))
        self._count("repositories removed" if self._wanted.prune else "repositories gone from the source")

    async def _gone_blobs(self) -> AsyncIterator[tuple[Digest, Stored]]:
        ours = _InOrder(self._source.links.shards())
        async for shard in self._target.links.shards():
            gone = shard.digests - await ours.digests(shard.prefix)
            found, _ = await self._target.links.stored(sorted(gone)) if gone else ({}, [])
            for digest, stored in found.items():
                yield digest, stored

    async def _remove_blob(self, item: tuple[Digest, Stored]) -> None:
        digest, stored = item
        if self._wanted.prune:
            await self._target.store.delete(digest, stored.parts)
        self._count("blobs removed" if self._wanted.prune else "blobs gone from the source")


class _InOrder:
    """Looks up shards, asked for in order, in a sequence of them."""

    def __init__(self, shards: AsyncIterator[Shard]) -> None:
        self._shards = shards
        self._next: Shard | None = None

    async def digests(self, prefix: str) -> set[Digest]:
        """The digests with a prefix; nothing for an empty one."""
        while prefix and (self._next is None or self._next.prefix < prefix):
            self._next = await anext(self._shards, Shard("~"))
        return self._next.digests if self._next and self._next.prefix == prefix else set()


async def in_parallel(items: AsyncIterator[T], work: Callable[[T], Awaitable[None]], most: int) -> None:
    """Run `work` for each item, `most` at once. Raises what the first that fails raises, when all others have stopped."""
    done = object()
    turn = asyncio.Lock()

    async def take() -> None:
        while True:
            async with turn:
                item = await anext(items, done)
            if item is done:
                return
            await work(item)  # type: ignore[arg-type]

    tasks = [asyncio.create_task(take()) for _ in range(most)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _names(links: LinkReader) -> AsyncIterator[str]:
    async for page in links.repositories():
        for name in page.names:
            yield name


async def _instance(store: BlobStore) -> str:
    return (await store.read_file(paths.INSTANCE) or b"").decode("ascii", "replace").strip()


async def _holds_something(links: LinkReader) -> bool:
    async for page in links.repositories():
        if page.names:
            return True
    async for shard in links.shards():
        if shard.digests:
            return True
    return False


async def _ready(_size: int) -> None:
    """Nothing has to be recorded before a blob of the target becomes visible."""


async def _all_known(names: Sequence[str]) -> set[str]:
    """Segments of uploads are left alone: of those that a copy writes none is in parts."""
    return set(names)
