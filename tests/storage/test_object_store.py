"""The object store keeps the port's contract: on Swift's S3 interface, and on obstore's memory."""

from dataclasses import replace
from uuid import uuid4

import pytest
from obstore.store import MemoryStore, ObjectStore

from harness.swift import Swift
from holdfast.storage.contract import BlobStoreContract, StoreContract, UploadContract
from holdfast.storage.contract_parts import PartsContract
from holdfast.storage.object_bucket import Bucket
from holdfast.storage.object_parts import decoded
from holdfast.storage.object_store import ObjectBlobStore, Unfinished
from holdfast.storage.port import BlobStore, Progress, UploadKey
from holdfast.storage.s3_multipart import S3Multipart
from storage.buckets import OPTIONS, s3_store


class InBucket(StoreContract):
    """Each store has a prefix of its own; another store on the same prefix stands for another node."""

    bucket: ObjectStore
    unfinished: Unfinished | None = None

    def store(self, before: BlobStore | None = None) -> BlobStore:
        if not before:
            self.options = replace(OPTIONS, prefix=f"{uuid4()}/docker/registry/v2", chunk_size=5 * 1024 * 1024)
        return ObjectBlobStore(self.bucket, self.options, self.unfinished)

    async def shorten(self, _store: BlobStore, _key: UploadKey, progress: Progress, size: int | None) -> None:
        bucket = Bucket(self.bucket, self.options)
        for part in decoded(progress.parts):
            if size is None:
                await bucket.remove([part.path])
            else:
                await bucket.write(part.path, bytes(size))


class OnSwift(InBucket):
    """A bucket of the session's engine."""

    rounds = 8

    @pytest.fixture(autouse=True)
    def _bucket(self, swift: Swift, swift_bucket: str) -> None:
        address = swift.bucket_address(swift_bucket)
        self.bucket = s3_store(address)
        self.unfinished = S3Multipart(address)


@pytest.fixture(scope="module")
def swift_bucket(swift: Swift) -> str:
    """One bucket for all tests of the contract."""
    return swift.new_bucket()


class TestSwiftBlobStore(OnSwift, BlobStoreContract):
    """Blobs and small files."""


class TestSwiftUpload(OnSwift, UploadContract):
    """Uploads."""


class TestSwiftParts(OnSwift, PartsContract):
    """Aims and parts."""


class InMemory(InBucket):
    """obstore's memory: what holds for every store that obstore knows, without a network."""

    @pytest.fixture(autouse=True)
    def _bucket(self) -> None:
        self.bucket = MemoryStore()


class TestMemoryBlobStore(InMemory, BlobStoreContract):
    """Blobs and small files."""


class TestMemoryUpload(InMemory, UploadContract):
    """Uploads."""


class TestMemoryParts(InMemory, PartsContract):
    """Aims and parts."""
