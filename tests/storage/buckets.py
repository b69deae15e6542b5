"""Buckets of the session's Swift as obstore's stores and as blob stores."""

from dataclasses import replace

from obstore.store import S3Store

from harness.swift import Swift
from holdfast.storage.object_bucket import CLIENT_OPTIONS, RETRIES, ObjectOptions
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.s3_multipart import S3Multipart
from holdfast.storage.s3_requests import S3Address

OPTIONS = ObjectOptions(place="the test's bucket", prefix="root/docker/registry/v2")


def s3_store(address: S3Address) -> S3Store:
    """obstore's store for a bucket."""
    return S3Store(
        address.bucket,
        config={
            "access_key_id": address.access_key,
            "secret_access_key": address.secret_key,
            "endpoint": address.endpoint,
            "region": address.region,
            "virtual_hosted_style_request": address.virtual_hosted,
        },
        client_options={**CLIENT_OPTIONS, "allow_http": True},
        retry_config=RETRIES,
    )


def blob_store(address: S3Address, options: ObjectOptions = OPTIONS) -> ObjectBlobStore:
    """A blob store in a bucket."""
    return ObjectBlobStore(s3_store(address), options, S3Multipart(address))


def in_new_bucket(swift: Swift, **changes: object) -> ObjectBlobStore:
    """A blob store in a bucket of its own, with other options than usual."""
    return blob_store(swift.bucket_address(swift.new_bucket()), replace(OPTIONS, **changes))  # type: ignore[arg-type]
