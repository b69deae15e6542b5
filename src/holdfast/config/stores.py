"""The settings of object stores: registry:2's `storage.s3`, `storage.gcs` and `storage.azure`."""

from typing import Annotated, Literal

from holdfast.config.section import Section, setting

MEBIBYTE = 1024 * 1024

_PREFIX = "The start of all keys; registry:2's tree lies in docker/registry/v2 below it."
_COPIES = "stored bytes are put together in the background, one request for each object"


class S3(Section, frozen=True, kw_only=True):
    bucket: Annotated[str, setting("The bucket, which has to exist.", min_length=1)]
    region: Annotated[
        str, setting("The region of the bucket; needed unless regionendpoint is given, and us-east-1 there.")
    ] = ""
    regionendpoint: Annotated[
        str,
        setting(
            "The address of a store that is not Amazon's, such as https://s3.example.com:9000. Leave it out for S3."
        ),
    ] = ""
    redirectendpoint: Annotated[
        str,
        setting("The address of the store as clients reach it, for redirects, where it is not the same.", newer=True),
    ] = ""
    accesskey: Annotated[
        str,
        setting(
            "The access key. Where it is empty, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN count, "
            "then the role of the service account, the container or the machine.",
            secret=True,
        ),
    ] = ""
    secretkey: Annotated[str, setting("The secret key that belongs to accesskey.", secret=True)] = ""
    sessiontoken: Annotated[
        str, setting("The session token, where accesskey is a temporary one.", ours=True, secret=True)
    ] = ""
    rootdirectory: Annotated[str, setting(_PREFIX)] = ""
    secure: Annotated[bool, setting("Use HTTPS where regionendpoint names no scheme.")] = True
    skipverify: Annotated[bool, setting("Do not check the certificate of the store.")] = False
    forcepathstyle: Annotated[
        bool,
        setting(
            "Name the bucket in the path of the address, not in its host. As in registry:2 it is on unless "
            "switched off; registry:3 has it off."
        ),
    ] = True
    encrypt: Annotated[bool, setting("Ask the store to encrypt what is written.")] = False
    keyid: Annotated[str, setting("The KMS key for encrypt; empty means a key of the store's own.")] = ""
    storageclass: Annotated[
        Literal[
            "standard",
            "reduced_redundancy",
            "standard_ia",
            "onezone_ia",
            "intelligent_tiering",
            "outposts",
            "glacier_ir",
            "express_onezone",
            "none",
        ],
        setting("The storage class of what is written; standard and none leave it to the store."),
    ] = "standard"
    chunksize: Annotated[
        int,
        setting("Bytes in one part of a multipart upload.", ge=5 * MEBIBYTE, le=5 * 1024 * MEBIBYTE),
    ] = 10 * MEBIBYTE
    useragent: Annotated[str, setting("Put in front of the User-Agent of requests to the store.")] = ""
    accelerate: Annotated[bool, setting("Use S3 Transfer Acceleration.")] = False
    usedualstack: Annotated[bool, setting("Use the addresses of S3 that have IPv6 too.")] = False
    usefipsendpoint: Annotated[bool, setting("Use the addresses of S3 with FIPS cryptography.", newer=True)] = False
    v4auth: Annotated[
        bool, setting("Sign requests with version 4.", idle="requests are always signed with version 4")
    ] = True
    objectacl: Annotated[
        Literal[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ],
        setting(
            "The canned access list of what is written.",
            idle="objects are written without an access list; set the bucket's ownership to the bucket owner, enforced",
        ),
    ] = "private"
    multipartcopychunksize: Annotated[
        int, setting("Bytes in one part of a copy.", idle=_COPIES, ge=5 * MEBIBYTE, le=5 * 1024 * MEBIBYTE)
    ] = 32 * MEBIBYTE
    multipartcopymaxconcurrency: Annotated[int, setting("Parts copied at once.", idle=_COPIES, ge=1)] = 100
    multipartcopythresholdsize: Annotated[
        int, setting("Bytes from which on copies are made in parts.", idle=_COPIES, ge=0, le=5 * 1024 * MEBIBYTE)
    ] = 32 * MEBIBYTE
    loglevel: Annotated[
        str, setting("What the client of the store logs.", idle="the client of the store logs nothing")
    ] = "off"


class GCS(Section, frozen=True, kw_only=True):
    bucket: Annotated[str, setting("The bucket, which has to exist.", min_length=1)]
    keyfile: Annotated[
        str,
        setting(
            "The JSON file with the key of a service account. Where neither it nor credentials is given, "
            "Google's application default credentials count."
        ),
    ] = ""
    credentials: Annotated[
        dict[str, str], setting("The contents of such a file, as a mapping.", secret=True, free=True)
    ] = {}
    rootdirectory: Annotated[str, setting(_PREFIX)] = ""
    chunksize: Annotated[
        int,
        setting(
            "Bytes in one part of an upload, a multiple of 262144; fewer than 5 MiB are taken for 5 MiB.", ge=256 * 1024
        ),
    ] = 5 * MEBIBYTE
    useragent: Annotated[str, setting("Put in front of the User-Agent of requests to the store.", newer=True)] = ""
    disablekeepalives: Annotated[
        bool, setting("Use a connection for one request only.", newer=True, idle="connections are used again")
    ] = False
    maxconcurrency: Annotated[
        int, setting("Requests under way at once.", newer=True, idle="requests need no limit", ge=0)
    ] = 50


class AzureCredentials(Section, frozen=True, kw_only=True):
    type: Annotated[
        Literal["shared_key", "client_secret", "default_credentials"],
        setting(
            "How to sign in: with accountkey, as an application with its secret, or with what AZURE_* variables, the "
            "workload or the machine have. The last is done, too, where shared_key has no accountkey.",
            newer=True,
        ),
    ] = "shared_key"
    clientid: Annotated[str, setting("The application's id, for client_secret.", newer=True)] = ""
    tenantid: Annotated[str, setting("The directory's id, for client_secret.", newer=True)] = ""
    secret: Annotated[str, setting("The application's secret, for client_secret.", newer=True, secret=True)] = ""


class Azure(Section, frozen=True, kw_only=True):
    accountname: Annotated[str, setting("The storage account.", min_length=1)]
    container: Annotated[str, setting("The container, which has to exist.", min_length=1)]
    accountkey: Annotated[str, setting("A key of the storage account.", secret=True)] = ""
    credentials: AzureCredentials = AzureCredentials()
    realm: Annotated[str, setting("The end of the store's address, such as core.chinacloudapi.cn.", min_length=1)] = (
        "core.windows.net"
    )
    serviceurl: Annotated[
        str, setting("The whole address of the store, where it is not made of accountname and realm.", newer=True)
    ] = ""
    rootdirectory: Annotated[str, setting(_PREFIX, newer=True)] = ""
    max_retries: Annotated[
        int, setting("How often a request is repeated.", newer=True, idle="requests are repeated for 15 seconds")
    ] = 5
    retry_delay: Annotated[
        str, setting("Time between two attempts.", newer=True, idle="requests are repeated for 15 seconds")
    ] = "100ms"
    copy_status_poll_max_retry: Annotated[int, setting("How often the state of a copy is asked for.", idle=_COPIES)] = 5
    copy_status_poll_delay: Annotated[str, setting("Time between two looks at the state of a copy.", idle=_COPIES)] = (
        "100ms"
    )
