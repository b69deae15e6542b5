"""What every link reader must do; implementations subclass this in their tests.

Trees are made through the port of the store that the reader reads, and spoilt with `place`.
"""
# ruff: noqa: S101 - a suite of tests

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from holdfast.model.digests import Digest, digest_of
from holdfast.storage import paths
from holdfast.storage.contract import LONG
from holdfast.storage.links import LinkReader, RepositoryLinks, order
from holdfast.storage.port import BlobStore

ONE, TWO = digest_of(b"one"), digest_of(b"two")
OTHER = digest_of(b"one", "sha512")


class LinksContract:
    """Subclass with `open` and `place`."""

    directory: Path

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path: Path) -> None:
        self.directory = tmp_path

    def open(self) -> tuple[BlobStore, LinkReader]:
        """An empty store and the reader of its tree."""
        raise NotImplementedError

    async def place(self, path: str, content: bytes) -> None:
        """Put a file of any content at any path of the tree, as a registry that was interrupted would leave it."""
        raise NotImplementedError

    def run(self, work: Callable[[BlobStore, LinkReader], Awaitable[None]]) -> None:
        """Run `work` on a fresh store and close it."""

        async def whole() -> None:
            store, reader = self.open()
            try:
                async with asyncio.timeout(LONG):
                    await work(store, reader)
            finally:
                await store.close()

        asyncio.run(whole())

    def test_links_of_a_repository(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            await store.write_files(
                [
                    (paths.layer_link("a/b", ONE), ONE.encode()),
                    (paths.layer_link("a/b", OTHER), ONE.encode()),
                    (f"{paths.revision('a/b', TWO)}/mediatype", b"application/x\n"),
                    (f"{paths.revision('a/b', TWO)}/link", TWO.encode()),
                    (paths.index_link("a/b", "v1", TWO), TWO.encode()),
                    (paths.current_link("a/b", "v1"), TWO.encode()),
                ]
            )
            found = await reader.scan("a/b")
            assert {name: link.target for name, link in found.layers.items()} == {ONE: ONE, OTHER: ONE}
            assert {name: link.target for name, link in found.revisions.items()} == {TWO: TWO}
            assert await reader.media_types("a/b", [ONE, TWO]) == {TWO: "application/x"}
            assert {name: (link.target, link.broken) for name, link in found.tags.items()} == {"v1": (TWO, False)}
            assert found.readable
            assert not found.oddities
            assert await reader.scan("a") == RepositoryLinks()

        self.run(work)

    def test_what_tags_ever_pointed_to(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            links = [("v1", ONE), ("v1", TWO), ("v2", OTHER), ("v3", ONE), ("index", TWO)]
            await store.write_files([(paths.index_link("a/b", tag, digest), digest.encode()) for tag, digest in links])
            await store.write_files([(paths.current_link("a/b", tag), digest.encode()) for tag, digest in links])
            await self.place(f"{paths.tag('a/b', 'v1')}/index/sha256/short/link", b"")
            found = await reader.histories("a/b", ["v1", "v2", "index", "none"])
            assert {tag: digests for tag, digests in found.items() if digests} == {
                "v1": {ONE, TWO},
                "v2": {OTHER},
                "index": {TWO},
            }

        self.run(work)

    def test_repositories_come_in_order_each_before_those_in_it(self) -> None:
        names = ["b", "a/b/c", "a-b", "a", "a.b", "a0"]

        async def work(store: BlobStore, reader: LinkReader) -> None:
            for name in names:
                await store.write_files([(paths.layer_link(name, ONE), ONE.encode())])
            found = [name async for page in reader.repositories() for name in page.names]
            assert found == sorted(names, key=order) == ["a", "a/b/c", "a-b", "a.b", "a0", "b"]
            assert await reader.absent(["a", "a/b", "a/b/c", "c"]) == ["a/b", "c"]

        self.run(work)

    def test_what_is_no_repository_is_told(self) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            await self.place("repositories/Upper/_layers/x", b"")
            await self.place("repositories/file", b"")
            pages = [page async for page in reader.repositories()]
            assert [page.names for page in pages] == [[]]
            assert {item.path for page in pages for item in page.oddities} == {
                "repositories/Upper",
                "repositories/file",
            }

        self.run(work)

    @pytest.mark.parametrize("content", [b"", b"sha256:12", b"\xff\xfe", b"x" * 100_000])
    def test_a_damaged_link_is_concluded_from_its_place_or_told(self, content: bytes) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            await self.place(paths.layer_link("a", ONE), content)
            await self.place(paths.layer_link("a", OTHER), content)
            await self.place(f"{paths.revision('a', TWO)}/link", content)
            await self.place(paths.index_link("a", "v1", ONE), ONE.encode())
            await self.place(paths.current_link("a", "v1"), content)
            await self.place(paths.current_link("a", "v2"), content)
            found = await reader.scan("a")
            assert {name: (link.target, link.broken) for name, link in found.layers.items()} == {ONE: (ONE, True)}
            assert {name: (link.target, link.broken) for name, link in found.revisions.items()} == {TWO: (TWO, True)}
            assert {name: (link.target, link.broken) for name, link in found.tags.items()} == {
                "v1": (ONE, True),
                "v2": (None, True),
            }
            assert len(found.oddities) == 5

        self.run(work)

    def test_a_link_that_says_something_else_is_seen_by_a_thorough_look(self) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            for content in (TWO.encode(), b"\0" * len(ONE)):
                await self.place(paths.layer_link("a", ONE), content)
                assert (await reader.scan("a")).layers[ONE].target == ONE
                assert (await reader.scan("a", thoroughly=True)).layers[ONE].broken

        self.run(work)

    def test_what_was_not_finished_is_told(self) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            unfinished = f"{paths.revision('a', ONE)}/link.0b1d.tmp"
            await self.place(unfinished, b"")
            await self.place(paths.index_link("a", "v1", ONE), ONE.encode())
            upload = "0d4c0d3e-1d0f-4a5e-9f67-2b1c7e8a9b0c"
            await self.place(f"{paths.upload('a', upload)}/data", b"half")
            await self.place(f"{paths.upload('a', 'other')}/data", b"half")
            found = await reader.scan("a")
            assert not found.revisions
            assert not found.tags
            assert list(found.uploads) == [upload]
            assert found.uploads[upload] > 0
            assert {item.path for item in found.oddities} == {
                unfinished,
                paths.tag("a", "v1"),
                paths.upload("a", "other"),
            }

        self.run(work)

    def test_blobs_part_by_part(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            contents = {digest_of(b"%d" % number): b"%d" % number for number in range(20)}
            for digest, content in contents.items():
                await store.put(digest, content)
            await self.place(paths.blob(ONE), b"")
            await self.place(f"{paths.blob(TWO)}.0b1d.tmp", b"two")
            await self.place("blobs/sha256/zz/other", b"")
            shards = [shard async for shard in reader.shards()]
            assert sorted(shard.prefix for shard in shards if shard.prefix) == [
                f"sha256:{number:02x}" for number in range(256)
            ]
            digests = {digest for shard in shards for digest in shard.digests}
            assert all(digest.startswith(shard.prefix) for shard in shards for digest in shard.digests)
            assert [item.path for shard in shards for item in shard.oddities] == ["blobs/sha256/zz"]
            found, oddities = await reader.stored(sorted(digests))
            assert {digest: stored.size for digest, stored in found.items()} == {
                digest: len(content) for digest, content in contents.items()
            }
            assert {item.path for item in oddities} == {paths.blob(ONE), f"{paths.blob(TWO)}.0b1d.tmp"}

        self.run(work)

    def test_contents_up_to_a_size(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            await store.put(ONE, b"one")
            await store.put(TWO, b"two")
            absent = Digest(f"sha256:{'0' * 64}")
            assert await reader.contents([ONE, absent, TWO], 3) == {ONE: b"one", TWO: b"two"}
            assert await reader.contents([ONE], 2) == {}

        self.run(work)
