"""Object stores as the settings name them: Amazon S3 and what speaks its language, Google Cloud Storage, Azure.

obstore is imported only when a store is opened: it is an extra, and without an object store nothing needs it. Credentials that the settings
leave out are looked for by obstore, in the variables that the store's own tools have, then in the role of the workload or the machine.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from holdfast import __version__
from holdfast.config.stores import GCS, S3, Azure
from holdfast.storage import paths
from holdfast.storage.port import StorageError

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, ObjectStore, RetryConfig, S3Config, S3Credential

    from holdfast.config.settings import Storage
    from holdfast.storage.object_store import ObjectBlobStore
    from holdfast.storage.s3_requests import S3Address

SMALLEST_PART = 5 * 1024 * 1024
AZURE_PART = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """obstore's store, whose keys begin below the root directory, and what it does not hold itself.

    `signer` makes the addresses that clients are sent to. `place` is what errors and logs call the bucket, without credentials. `chunk_size`:
    bytes in one part of an upload. `storage_class`: that of what is written; empty for the store's own.
    """

    store: ObjectStore
    signer: ObjectStore
    place: str
    chunk_size: int
    storage_class: str = ""
    address: S3Address | None = None
    """How requests of S3 are made that obstore does not know; None where that is not possible."""


def described(storage: Storage) -> str:
    """The object store in words, such as `s3://images/registry at https://s3.example.com`; empty where none is named."""
    if storage.s3:
        return _place("s3", storage.s3.bucket, storage.s3.rootdirectory) + f" at {_endpoint(storage.s3)}"
    if storage.gcs:
        return _place("gs", storage.gcs.bucket, storage.gcs.rootdirectory)
    if storage.azure:
        return _place("az", storage.azure.container, storage.azure.rootdirectory) + f" at {_service(storage.azure)}"
    return ""


def open_store(storage: Storage) -> OpenedStore:
    """Open the object store that is named; nothing is asked of it yet. Raises `StorageError`, saying what to do."""
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra
    except ImportError:
        raise StorageError("an object store needs obstore: pip install 'holdfast[s3]'") from None
    try:
        if storage.s3:
            return _open_s3(storage.s3, described(storage))
        if storage.gcs:
            return _open_gcs(storage.gcs, described(storage))
        if storage.azure:
            return _open_azure(storage.azure, described(storage))
    except (BaseError, ValueError, OSError) as error:
        # The texts of obstore can hold what was given to it; these settings are no secrets, but the credentials are.
        raise StorageError(
            f"{described(storage)} cannot be used ({type(error).__name__}): check the settings of the store, its credentials among them"
        ) from None
    raise StorageError("no object store is named: write storage.s3, storage.gcs or storage.azure")


def open_blobs(storage: Storage) -> tuple[ObjectBlobStore, ObjectStore]:
    """The blob store in the object store that is named, and obstore's store, which `ObjectLinkReader` reads. Raises `StorageError`."""
    opened = open_store(storage)
    from holdfast.storage.object_bucket import ObjectOptions  # noqa: PLC0415 - an extra
    from holdfast.storage.object_store import ObjectBlobStore  # noqa: PLC0415
    from holdfast.storage.s3_multipart import S3Multipart  # noqa: PLC0415

    options = ObjectOptions(
        place=opened.place,
        prefix=paths.ROOT,
        chunk_size=opened.chunk_size,
        signer=opened.signer,
        storage_class=opened.storage_class,
    )
    unfinished = S3Multipart(opened.address) if opened.address else None
    return ObjectBlobStore(opened.store, options, unfinished), opened.store


def _open_s3(s3: S3, place: str) -> OpenedStore:
    from holdfast.storage.s3_requests import S3Address  # noqa: PLC0415 - with obstore only

    endpoint = _endpoint(s3)
    hosted = s3.accelerate or not s3.forcepathstyle
    address = S3Address(
        endpoint,
        s3.bucket,
        s3.region or "us-east-1",
        s3.accesskey,
        s3.secretkey,
        s3.sessiontoken,
        hosted,
        "",
        not s3.skipverify,
    )
    return OpenedStore(
        store=_s3_store(s3, endpoint),
        signer=_s3_store(s3, _with_scheme(s3.redirectendpoint or endpoint, secure=s3.secure)),
        place=place,
        chunk_size=s3.chunksize,
        storage_class="" if s3.storageclass in ("standard", "none") else s3.storageclass.upper(),
        address=address if s3.accesskey else None,
    )


def _s3_store(s3: S3, endpoint: str) -> ObjectStore:
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    hosted = s3.accelerate or not s3.forcepathstyle
    config: S3Config = {
        "region": s3.region or "us-east-1",
        "endpoint": _with_bucket(endpoint, s3.bucket) if hosted else endpoint,
        "virtual_hosted_style_request": hosted,
    }
    if s3.encrypt:
        config["server_side_encryption"] = "aws:kms" if s3.keyid else "AES256"
        if s3.keyid:
            config["sse_kms_key_id"] = s3.keyid
    options = _client_options(s3.useragent)
    options["allow_http"] = endpoint.startswith("http://")
    options["allow_invalid_certificates"] = s3.skipverify
    return S3Store(
        s3.bucket,
        prefix=_prefix(s3.rootdirectory),
        config=config,
        client_options=options,
        retry_config=_retries(),
        credential_provider=_Keys(s3) if s3.accesskey else None,
    )


class _Keys:
    """Static credentials. obstore takes the session token from the environment otherwise, which belongs to other keys."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    def __call__(self) -> S3Credential:
        token = self._s3.sessiontoken or None
        return {
            "access_key_id": self._s3.accesskey,
            "secret_access_key": self._s3.secretkey,
            "token": token,
            "expires_at": None,
        }


def _endpoint(s3: S3) -> str:
    """The address of the store, without the bucket."""
    if s3.regionendpoint:
        return _with_scheme(s3.regionendpoint, secure=s3.secure)
    domain = "amazonaws.com.cn" if s3.region.startswith("cn-") else "amazonaws.com"
    stack = ".dualstack" if s3.usedualstack else ""
    if s3.accelerate:
        return _with_scheme(f"s3-accelerate{stack}.{domain}", secure=s3.secure)
    fips = "-fips" if s3.usefipsendpoint else ""
    return _with_scheme(f"s3{fips}{stack}.{s3.region}.{domain}", secure=s3.secure)


def _with_scheme(text: str, *, secure: bool) -> str:
    text = text.rstrip("/")
    return text if "://" in text else f"{'https' if secure else 'http'}://{text}"


def _with_bucket(endpoint: str, bucket: str) -> str:
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{bucket}.{parts.netloc}"


def _open_gcs(gcs: GCS, place: str) -> OpenedStore:
    from obstore.store import GCSStore  # noqa: PLC0415 - an extra

    config: GCSConfig = {}
    if gcs.keyfile:
        config["service_account"] = gcs.keyfile
    elif gcs.credentials:
        config["service_account_key"] = json.dumps(gcs.credentials)
    store = GCSStore(
        gcs.bucket,
        prefix=_prefix(gcs.rootdirectory),
        config=config,
        client_options=_client_options(gcs.useragent),
        retry_config=_retries(),
    )
    return OpenedStore(store, store, place, max(gcs.chunksize, SMALLEST_PART))


def _open_azure(azure: Azure, place: str) -> OpenedStore:
    from obstore.store import AzureStore  # noqa: PLC0415 - an extra

    service = _service(azure)
    config: AzureConfig = {"account_name": azure.accountname, "endpoint": service}
    credentials = azure.credentials
    if credentials.type == "client_secret":
        config["client_id"] = credentials.clientid
        config["tenant_id"] = credentials.tenantid
        config["client_secret"] = credentials.secret
        config["credential_type"] = "client_secret"
    elif credentials.type == "shared_key" and azure.accountkey:
        config["account_key"] = azure.accountkey
        config["credential_type"] = "access_key"
    options = _client_options("")
    options["allow_http"] = service.startswith("http://")
    store = AzureStore(
        azure.container,
        prefix=_prefix(azure.rootdirectory),
        config=config,
        client_options=options,
        retry_config=_retries(),
    )
    return OpenedStore(store, store, place, AZURE_PART)


def _service(azure: Azure) -> str:
    return azure.serviceurl.rstrip("/") or f"https://{azure.accountname}.blob.{azure.realm}"


def _client_options(user_agent: str) -> ClientConfig:
    from holdfast.storage.object_bucket import CLIENT_OPTIONS  # noqa: PLC0415 - imports obstore

    own = f"holdfast/{__version__} ({platform.system()})"
    return {**CLIENT_OPTIONS, "user_agent": f"{user_agent} {own}".strip()}


def _retries() -> RetryConfig:
    from holdfast.storage.object_bucket import RETRIES  # noqa: PLC0415 - imports obstore

    return RETRIES


def _prefix(root: str) -> str | None:
    return root.strip("/") or None


def _place(scheme: str, bucket: str, root: str) -> str:
    prefix = _prefix(root)
    return f"{scheme}://{bucket}" + (f"/{prefix}" if prefix else "")
