"""Every setting: its place, type, default and help, declared once.

The structure is that of registry:2's configuration file; each field's place in it is its key, and its `REGISTRY_*`
variable is that key in upper case. `setting` carries the words for the documents. Everything else (reading,
`holdfast config`, the documents) walks these classes through `holdfast.config.declared`.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from holdfast.config.section import Section, setting
from holdfast.config.stores import GCS, S3, Azure


class AccessLog(Section, frozen=True, kw_only=True):
    disabled: Annotated[bool, setting("Write no line for each request.")] = False


class Log(Section, frozen=True, kw_only=True):
    level: Annotated[
        Literal["error", "warn", "info", "debug"], setting("The least severe messages that are logged.")
    ] = "info"
    formatter: Annotated[
        Literal["text", "json", "logstash"],
        setting("How log lines look: text, or one JSON object a line (logstash is the same as json)."),
    ] = "text"
    fields: Annotated[dict[str, str], setting("Fields added to every log line.", free=True)] = {}
    accesslog: AccessLog = AccessLog()


class Filesystem(Section, frozen=True, kw_only=True):
    rootdirectory: Annotated[
        str,
        setting(
            "The directory that holds everything; registry:2's tree lies in docker/registry/v2 below it. "
            "Where no storage driver is named at all, it is ./data.",
            min_length=1,
        ),
    ] = "/var/lib/registry"
    minfree: Annotated[
        int,
        setting("Refuse pushes with 507 while less than this many bytes are free on the disk.", ours=True, ge=0),
    ] = 64 * 1024 * 1024


class InMemory(Section, frozen=True, kw_only=True):
    """registry:2's test driver: nothing is kept."""


class Delete(Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, setting("Allow deleting tags, manifests, blobs and repositories over HTTP.")] = False


class Redirect(Section, frozen=True, kw_only=True):
    disable: Annotated[
        bool,
        setting(
            "Send the bytes of blobs through the registry. Otherwise pulls of blobs in an object store are redirected (307) "
            "to an address there that works for a short time.",
        ),
    ] = False


class Links(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    disabled: Annotated[
        bool,
        setting(
            "Do not write registry:2's links, by which it would find repositories and tags; "
            "`holdfast export` writes them. Only with metadata.url, since they replace a lost embedded database.",
            ours=True,
        ),
    ] = False


class TagLookup(Section, frozen=True, kw_only=True):
    concurrencylimit: Annotated[
        int,
        setting(
            "How many tags are looked up at once.",
            newer=True,
            ge=0,
            idle="tags are looked up in a database, not file by file",
        ),
    ] = 0


class UploadPurging(Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, setting("Remove old uploads that nobody goes on with.")] = True
    age: Annotated[
        float, setting("How long nothing was added to an upload before it is removed.", duration=True, gt=0)
    ] = 168 * 3600
    interval: Annotated[float, setting("Time between two looks for old uploads.", duration=True, gt=0)] = 24 * 3600
    dryrun: Annotated[bool, setting("Only log which uploads would be removed.")] = False


class ReadOnly(Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, setting("Serve pulls only; pushes and deletions are refused.")] = False


class Maintenance(Section, frozen=True, kw_only=True):
    uploadpurging: UploadPurging = UploadPurging()
    readonly: ReadOnly = ReadOnly()


class Storage(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True  # a misspelt driver must not lead to the default directory
    chooses: ClassVar[bool] = True
    fallback: ClassVar[str] = "filesystem"
    assumed: ClassVar[dict[str, str]] = {"rootdirectory": "./data"}  # registry:2 has no start without configuration
    aliases: ClassVar[dict[str, str]] = {"s3aws": "s3"}

    filesystem: Filesystem | None = None
    inmemory: InMemory | None = None
    s3: S3 | None = None
    gcs: GCS | None = None
    azure: Azure | None = None
    delete: Delete = Delete()
    maintenance: Maintenance = Maintenance()
    redirect: Redirect = Redirect()
    links: Links = Links()
    tag: TagLookup = TagLookup()


class Metadata(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    path: Annotated[
        str,
        setting(
            "Directory of the embedded database; empty means holdfast/ in the root directory, or "
            "/var/lib/registry/holdfast with an object store. "
            "Set it to a local disk when the root is on a network file system.",
            ours=True,
        ),
    ] = ""
    url: Annotated[
        str,
        setting(
            "The PostgreSQL database (13 or newer) that keeps the names, in place of the embedded one, such as "
            "postgresql://user:password@host:5432/registry; any number of nodes may share it.",
            ours=True,
            secret=True,
        ),
    ] = ""
    connections: Annotated[
        int,
        setting("The most connections to PostgreSQL that one worker process has.", ours=True, ge=1, le=100),
    ] = 8


class Htpasswd(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    realm: Annotated[str, setting("The realm named in the challenge.", min_length=1)] = "Registry Realm"
    path: Annotated[
        str, setting("The htpasswd file; bcrypt entries only. It is read again when it changes.", min_length=1)
    ]


class Auth(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True
    chooses: ClassVar[bool] = True

    htpasswd: Htpasswd | None = None


class TLS(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    certificate: Annotated[str, setting("PEM file with the certificate and its chain; read again when it changes.")] = (
        ""
    )
    key: Annotated[str, setting("PEM file with the private key.")] = ""
    minimumtls: Annotated[
        Literal["tls1.2", "tls1.3"],
        setting("The oldest TLS version that is accepted.", retired={"tls1.0": "tls1.2", "tls1.1": "tls1.2"}),
    ] = "tls1.2"


class HTTP(Section, frozen=True, kw_only=True):
    addr: Annotated[
        str,
        setting(
            "Address and port to listen on; an empty host means every address. With http.net unix, the path of a socket. "
            "Where it is not set, but the variable PORT is, as hosting platforms do, that port is taken.",
            min_length=1,
        ),
    ] = ":5000"
    net: Annotated[Literal["tcp", "unix"], setting("Listen on a TCP port or on a Unix socket.")] = "tcp"
    prefix: Annotated[
        str,
        setting("The path in front of /v2/, such as /registry/, where the registry is not at the root of its host."),
    ] = ""
    host: Annotated[
        str,
        setting(
            "The address under which clients reach the registry, such as https://registry.example.com; "
            "used in absolute Locations."
        ),
    ] = ""
    secret: Annotated[
        str,
        setting(
            "The secret that signs the state of uploads.",
            secret=True,
            idle="uploads are kept in the database, so no secret has to be shared",
        ),
    ] = ""
    relativeurls: Annotated[bool, setting("Answer relative Locations even when http.host is set.")] = False
    headers: Annotated[dict[str, list[str]], setting("Headers added to every answer.")] = msgspec.field(
        default_factory=lambda: {"X-Content-Type-Options": ["nosniff"]}
    )
    draintimeout: Annotated[
        float,
        setting(
            "How long running requests have to finish when the server is told to stop; 0 means the default.",
            duration=True,
            ge=0,
        ),
    ] = 0
    tls: TLS = TLS()


class Server(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    workers: Annotated[int, setting("Worker processes; 0 means one for each processor.", ours=True, ge=0, le=256)] = 0
    engine: Annotated[
        Literal["granian", "uvicorn"], setting("The HTTP server that carries the registry.", ours=True)
    ] = "granian"
    bodytimeout: Annotated[
        float,
        setting(
            "Time without a byte, either way, after which a request's body is given up.",
            ours=True,
            duration=True,
            gt=0,
        ),
    ] = 60


class Catalog(Section, frozen=True, kw_only=True):
    maxentries: Annotated[
        int, setting("The most repositories that one page of the catalog holds.", ge=1, retired={"0": "1000"})
    ] = 1000


class Tags(Section, frozen=True, kw_only=True):
    maxtags: Annotated[
        int, setting("The most tags that one page of a tag list holds.", newer=True, ge=1, retired={"0": "1000"})
    ] = 1000


class StorageDriverCheck(Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, setting("Look at the storage regularly.")] = False
    interval: Annotated[float, setting("Time between two looks.", duration=True, gt=0, retired={"0": "10s"})] = 10
    threshold: Annotated[
        int, setting("How many looks have to fail in a row before the registry is unhealthy; 0 means one.", ge=0)
    ] = 0


class FileCheck(Section, frozen=True, kw_only=True):
    file: Annotated[str, setting("The file that makes the registry unhealthy while it exists.", min_length=1)]
    interval: Annotated[float, setting("Time between two looks.", duration=True, gt=0, retired={"0": "10s"})] = 10


class HTTPCheck(Section, frozen=True, kw_only=True):
    uri: Annotated[str, setting("The address that is asked with HEAD.", min_length=1)]
    headers: Annotated[dict[str, list[str]], setting("Headers added to the request.", secret=True)] = {}
    statuscode: Annotated[
        int, setting("The status that the answer has to have.", ge=100, le=599, retired={"0": "200"})
    ] = 200
    timeout: Annotated[float, setting("How long one check may take; 0 means the interval.", duration=True, ge=0)] = 0
    interval: Annotated[float, setting("Time between two checks.", duration=True, gt=0, retired={"0": "10s"})] = 10
    threshold: Annotated[
        int, setting("How many checks have to fail in a row before the registry is unhealthy; 0 means one.", ge=0)
    ] = 0


class TCPCheck(Section, frozen=True, kw_only=True):
    addr: Annotated[str, setting("Host and port that have to accept a connection.", min_length=1)]
    timeout: Annotated[float, setting("How long one check may take; 0 means the interval.", duration=True, ge=0)] = 0
    interval: Annotated[float, setting("Time between two checks.", duration=True, gt=0, retired={"0": "10s"})] = 10
    threshold: Annotated[
        int, setting("How many checks have to fail in a row before the registry is unhealthy; 0 means one.", ge=0)
    ] = 0


class Health(Section, frozen=True, kw_only=True):
    storagedriver: StorageDriverCheck = StorageDriverCheck()
    file: Annotated[list[FileCheck], setting("Files whose existence takes the registry out of service.")] = []
    http: Annotated[list[HTTPCheck], setting("Addresses on the web that have to answer.")] = []
    tcp: Annotated[list[TCPCheck], setting("Ports that have to accept connections.")] = []


class ManifestURLs(Section, frozen=True, kw_only=True):
    allow: Annotated[
        list[str],
        setting(
            "Regular expressions of which each URL of a layer has to match one. "
            "Where the section is there, but allow and deny are empty, no URL is allowed."
        ),
    ] = []
    deny: Annotated[list[str], setting("Regular expressions of which no URL of a layer may match any.")] = []


class Platform(Section, frozen=True, kw_only=True):
    os: Annotated[str, setting("The operating system, such as linux.", newer=True, min_length=1)]
    architecture: Annotated[str, setting("The processor, such as amd64.", newer=True, min_length=1)]


class ManifestIndexes(Section, frozen=True, kw_only=True):
    platforms: Annotated[
        Literal["all", "none", "list"],
        setting(
            "The platforms whose images have to exist when an index that names them is pushed; registry:3 wants all unless told otherwise.",
            newer=True,
        ),
    ] = "none"
    platformlist: Annotated[list[Platform], setting("The platforms, if `platforms` is `list`.", newer=True)] = []


class ManifestRules(Section, frozen=True, kw_only=True):
    urls: ManifestURLs | None = None
    indexes: ManifestIndexes = ManifestIndexes()


class Validation(Section, frozen=True, kw_only=True):
    disabled: Annotated[bool, setting("Follow none of the rules in this section.")] = False
    enabled: Annotated[
        bool,
        setting("Follow the rules in this section as registry:2 does: then no URL is allowed unless `urls` allows it."),
    ] = False
    manifests: ManifestRules = ManifestRules()


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration file."""

    version: Annotated[Literal["0.1"], setting("The version of the file's grammar; a file must name it.")] = "0.1"
    log: Log = Log()
    storage: Storage = Storage()
    metadata: Metadata = Metadata()
    auth: Auth = Auth()
    http: HTTP = HTTP()
    server: Server = Server()
    catalog: Catalog = Catalog()
    tags: Tags = Tags()
    health: Health = Health()
    validation: Validation = Validation()


def decode(tree: object) -> Settings:
    """Make settings of plain mappings, lists and scalars. Raises `msgspec.ValidationError`, naming the place."""
    return msgspec.convert(tree, Settings, strict=False)
