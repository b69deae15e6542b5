"""The reader of links in buckets keeps the port's contract, on Swift's S3 interface and on obstore's memory."""

from dataclasses import replace
from uuid import uuid4

import pytest
from obstore.store import MemoryStore, ObjectStore

from harness.swift import Swift
from holdfast.model.digests import digest_of
from holdfast.storage import paths
from holdfast.storage.contract_links import ONE, TWO, LinksContract
from holdfast.storage.links import LinkReader, order
from holdfast.storage.object_bucket import Bucket
from holdfast.storage.object_links import ObjectLinkReader
from holdfast.storage.object_parts import Part, encoded
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.port import BlobStore
from holdfast.storage.s3_requests import S3Address
from storage.buckets import OPTIONS, s3_store


class InBucket(LinksContract):
    """Each test has a prefix of its own."""

    store: ObjectStore

    def open(self) -> tuple[BlobStore, LinkReader]:
        options = replace(OPTIONS, prefix=f"{uuid4()}/{paths.ROOT}")
        self.bucket = Bucket(self.store, options)
        return ObjectBlobStore(self.store, options), ObjectLinkReader(self.bucket)

    async def place(self, path: str, content: bytes) -> None:
        await self.bucket.write(path, content)


class TestMemoryLinks(InBucket):
    """On obstore's memory, which gives no sums of contents."""

    @pytest.fixture(autouse=True)
    def _store(self) -> None:
        self.store = MemoryStore()

    def test_more_than_one_listing_holds(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            tags = [f"t{number}" for number in range(1500)]
            await store.write_files([(paths.current_link("big", tag), ONE.encode()) for tag in tags])
            names = [f"{first}{rest}" for first in "abc" for rest in ("", "-x", ".x", "0", "_x", "/x", "/x/y", "-x/y")]
            names += [f"big/x{number}" for number in range(600)] + ["bif", "bih"]
            await store.write_files([(paths.layer_link(name, TWO), TWO.encode()) for name in names])
            pages = [page async for page in reader.repositories()]
            assert all(not page.oddities for page in pages)
            assert [name for page in pages for name in page.names] == sorted([*names, "big"], key=order)
            assert sorted((await reader.scan("big")).tags) == sorted(tags)
            assert list((await reader.scan("big/x1")).layers) == [TWO]

        self.run(work)

    def test_blobs_in_parts(self) -> None:
        async def work(store: BlobStore, reader: LinkReader) -> None:
            many = {digest_of(b"%d" % number): b"%d" % number for number in range(50)}
            notes = {}
            for digest, content in many.items():
                parts = [Part(paths.segment(str(uuid4())), 1), Part(paths.segment(str(uuid4())), len(content) - 1)]
                for part, piece in zip(parts, (content[:1], content[1:]), strict=True):
                    await self.place(part.path, piece)
                notes[digest] = encoded([part for part in parts if part.size])
                await self.place(paths.parted(digest), notes[digest].encode())
            joined = next(iter(many))
            await store.put(joined, many[joined])
            await self.place(f"{paths.PARTED}/other", b"")
            shards = [shard async for shard in reader.shards()]
            assert {digest for shard in shards for digest in shard.digests} == {*many}
            assert all(digest.startswith(shard.prefix) for shard in shards for digest in shard.digests)
            assert [item.path for shard in shards for item in shard.oddities] == [f"{paths.PARTED}/other"]
            found, odd = await reader.stored(list(many))
            assert not odd
            assert all(stored.written > 0 for stored in found.values())
            assert {digest: (stored.size, stored.parts) for digest, stored in found.items()} == {
                digest: (len(content), "" if digest == joined else notes[digest]) for digest, content in many.items()
            }
            assert await reader.contents(list(many), 100) == many

        self.run(work)

    def test_notes_of_parts_that_cannot_be_used_are_told(self) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            await self.place(paths.parted(ONE), encoded([Part(paths.segment(str(uuid4())), 3)]).encode())
            await self.place(paths.parted(TWO), b"\xff")
            found, odd = await reader.stored([ONE, TWO])
            assert not found
            assert sorted((item.path, item.why) for item in odd)[::-1] == [
                (paths.parted(ONE), "parts of the blob are gone"),
                (paths.parted(TWO), "not a list of parts"),
            ]
            assert await reader.contents([ONE, TWO], 3) == {}

        self.run(work)

    def test_what_does_not_belong_into_a_repository_is_told(self) -> None:
        async def work(_store: BlobStore, reader: LinkReader) -> None:
            odd = [
                "repositories/a/_layers/note",
                "repositories/a/_layers/sha256/short",
                "repositories/a/_manifests/revisions/sha256/short",
                "repositories/a/_manifests/tags/-bad",
                "repositories/a/_manifests/tags/v1/index/md5/x",
            ]
            for path, below in zip(odd, ("", "/link", "/link", "/current/link", "/link"), strict=True):
                await self.place(path + below, ONE.encode())
            await self.place(paths.current_link("a", "v1"), ONE.encode())
            found = await reader.scan("a")
            assert sorted(item.path for item in found.oddities) == odd
            assert (list(found.tags), found.layers, found.revisions) == (["v1"], {}, {})

        self.run(work)


class TestSwiftLinks(InBucket):
    """On a real engine, which gives MD5 sums, so that most links need not be fetched."""

    @pytest.fixture(autouse=True)
    def _store(self, swift_bucket: S3Address) -> None:
        self.store = s3_store(swift_bucket)


@pytest.fixture(scope="module")
def swift_bucket(swift: Swift) -> S3Address:
    """One bucket for all tests of the contract."""
    return swift.bucket_address(swift.new_bucket())
