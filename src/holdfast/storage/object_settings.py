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
    from holdfast.storage.object_bucket import Bucket, ObjectOptions
    from holdfast.storage.object_store import ObjectBlobStore
    from holdfast.storage.s3_requests import S3Address

SMALLEST_PART = 5 * 1024 * 1024
AZURE_PART = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """obstore's store, how it is used, and the `address` for requests of S3 that obstore does not know; None where there is no such."""

    store: ObjectStore
    options: ObjectOptions
    address: S3Address | None = None


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
        raise StorageError("an object store needs obstore: in a checkout of Holdfast, pip install '.[s3]'") from None
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


def open_blobs(storage: Storage) -> tuple[ObjectBlobStore, Bucket]:
    """The blob store in the object store that is named, and the bucket, which `ObjectLinkReader` reads. Raises `StorageError`."""
    opened = open_store(storage)
    from holdfast.storage.object_bucket import Bucket  # noqa: PLC0415 - an extra
    from holdfast.storage.object_store import ObjectBlobStore  # noqa: PLC0415
    from holdfast.storage.s3_multipart import S3Multipart  # noqa: PLC0415

    unfinished = S3Multipart(opened.address) if opened.address else None
    return ObjectBlobStore(opened.store, opened.options, unfinished), Bucket(opened.store, opened.options)


def _open_s3(s3: S3, place: str) -> OpenedStore:
    from holdfast.storage.object_bucket import ObjectOptions  # noqa: PLC0415 - an extra
    from holdfast.storage.s3_requests import S3Address  # noqa: PLC0415 - with obstore only

    endpoint = _endpoint(s3)
    signer = _s3_store(s3, _with_scheme(s3.redirectendpoint, secure=s3.secure)) if s3.redirectendpoint else None
    options = ObjectOptions(
        place,
        prefix=_prefix(s3.rootdirectory),
        chunk_size=s3.chunksize,
        signer=signer,
        storage_class="" if s3.storageclass in ("standard", "none") else s3.storageclass.upper(),
    )
    address = S3Address(
        endpoint,
        s3.bucket,
        s3.region or "us-east-1",
        s3.accesskey,
        s3.secretkey,
        s3.sessiontoken,
        virtual_hosted=_is_hosted(s3),
        verify=not s3.skipverify,
    )
    return OpenedStore(_s3_store(s3, endpoint), options, address if s3.accesskey else None)


def _is_hosted(s3: S3) -> bool:
    return s3.accelerate or not s3.forcepathstyle


def _s3_store(s3: S3, endpoint: str) -> ObjectStore:
    from obstore.store import S3Store  # noqa: PLC0415 - an extra

    hosted = _is_hosted(s3)
    config: S3Config = {
        "region": s3.region or "us-east-1",
        "endpoint": _with_bucket(endpoint, s3.bucket) if hosted else endpoint,
        "virtual_hosted_style_request": hosted,
        # TLS protects what is sent, as a signature of it would; computing that takes as long as everything else.
        "unsigned_payload": endpoint.startswith("https://"),
    }
    if s3.encrypt:
        config["server_side_encryption"] = "aws:kms" if s3.keyid else "AES256"
        if s3.keyid:
            config["sse_kms_key_id"] = s3.keyid
    client = _client_options(s3.useragent)
    client["allow_http"] = endpoint.startswith("http://")
    client["allow_invalid_certificates"] = s3.skipverify
    return S3Store(
        s3.bucket,
        config=config,
        client_options=client,
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

    from holdfast.storage.object_bucket import ObjectOptions  # noqa: PLC0415 - imports obstore

    config: GCSConfig = {}
    if gcs.keyfile:
        config["service_account"] = gcs.keyfile
    elif gcs.credentials:
        config["service_account_key"] = json.dumps(gcs.credentials)
    store = GCSStore(
        gcs.bucket,
        config=config,
        client_options=_client_options(gcs.useragent),
        retry_config=_retries(),
    )
    options = ObjectOptions(place, _prefix(gcs.rootdirectory), max(gcs.chunksize, SMALLEST_PART))
    return OpenedStore(store, options)


def _open_azure(azure: Azure, place: str) -> OpenedStore:
    from obstore.store import AzureStore  # noqa: PLC0415 - an extra

    from holdfast.storage.object_bucket import ObjectOptions  # noqa: PLC0415 - imports obstore

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
    client = _client_options("")
    client["allow_http"] = service.startswith("http://")
    store = AzureStore(
        azure.container,
        config=config,
        client_options=client,
        retry_config=_retries(),
    )
    return OpenedStore(store, ObjectOptions(place, _prefix(azure.rootdirectory), AZURE_PART))


def _service(azure: Azure) -> str:
    return azure.serviceurl.rstrip("/") or f"https://{azure.accountname}.blob.{azure.realm}"


def _client_options(user_agent: str) -> ClientConfig:
    from holdfast.storage.object_bucket import CLIENT_OPTIONS  # noqa: PLC0415 - imports obstore

    own = f"holdfast/{__version__} ({platform.system()})"
    return {**CLIENT_OPTIONS, "user_agent": f"{user_agent} {own}".strip()}


def _retries() -> RetryConfig:
    from holdfast.storage.object_bucket import RETRIES  # noqa: PLC0415 - imports obstore

    return RETRIES


def _prefix(root: str) -> str:
    """What all keys start with."""
    return f"{root.strip('/')}/{paths.ROOT}".lstrip("/")


def _place(scheme: str, bucket: str, root: str) -> str:
    return f"{scheme}://{bucket}/{root.strip('/')}".rstrip("/")
