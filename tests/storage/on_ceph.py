"""The object store keeps the port's contract on Ceph's radosgw too. Runs only when it is named: `./test tests/storage/on_ceph.py`."""

import pytest

from harness.ceph import Ceph, ceph  # noqa: F401 - a fixture
from holdfast.storage.contract import BlobStoreContract, UploadContract
from holdfast.storage.contract_parts import PartsContract
from holdfast.storage.s3_multipart import S3Multipart
from storage import test_object_store_faults as faults
from storage.buckets import s3_store
from storage.test_object_store import InBucket


class OnCeph(InBucket):
    """A bucket of the session's engine."""

    rounds = 8

    @pytest.fixture(autouse=True)
    def _bucket(self, ceph: Ceph) -> None:  # noqa: F811
        address = ceph.bucket_address(ceph.new_bucket())
        self.bucket = s3_store(address)
        self.unfinished = S3Multipart(address)


class TestCephBlobStore(OnCeph, BlobStoreContract):
    """Blobs and small files."""


class TestCephUpload(OnCeph, UploadContract):
    """Uploads."""


class TestCephParts(OnCeph, PartsContract):
    """Aims and parts."""


class TestCephFaults:
    """What is left behind, and what is said."""

    @pytest.fixture
    def swift(self, ceph: Ceph) -> Ceph:  # noqa: F811
        """In the place of the other engine."""
        return ceph

    @pytest.fixture
    def address(self, ceph: Ceph) -> object:  # noqa: F811
        """A bucket of the test's own."""
        return ceph.bucket_address(ceph.new_bucket())


for _name, _test in vars(faults).items():
    if _name.startswith("test_"):
        setattr(TestCephFaults, _name, staticmethod(_test))
