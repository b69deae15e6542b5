"""Buckets of the session's Swift as obstore's stores and as blob stores."""

from datetime import timedelta

from obstore.store import S3Store

from holdfast.storage.object_bucket import CLIENT_OPTIONS, RETRIES, ObjectOptions
from holdfast.storage.object_store import ObjectBlobStore
from holdfast.storage.s3_multipart import S3Multipart
from holdfast.storage.s3_requests import S3Address

OPTIONS = ObjectOptions(place="the test's bucket", prefix="root/docker/registry/v2")


def s3_store(address: S3Address, patience: float | None = None) -> S3Store:
    """obstore's store for a bucket. `patience`: seconds for an answer and for all tries, if other than usual."""
    options, retries = CLIENT_OPTIONS.copy(), RETRIES.copy()
    if patience is not None:
        options["read_timeout"] = retries["retry_timeout"] = timedelta(seconds=patience)
    return S3Store(
        address.bucket,
        config={
            "access_key_id": address.access_key,
            "secret_access_key": address.secret_key,
            "endpoint": address.endpoint,
            "region": address.region,
            "virtual_hosted_style_request": address.virtual_hosted,
        },
        client_options={**options, "allow_http": True},
        retry_config=retries,
    )


def blob_store(address: S3Address, options: ObjectOptions = OPTIONS, patience: float | None = None) -> ObjectBlobStore:
    """A blob store in a bucket."""
    return ObjectBlobStore(s3_store(address, patience), options, S3Multipart(address))
