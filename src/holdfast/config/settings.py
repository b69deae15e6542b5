"""Every setting: its place, type, default and help, declared once.

The structure is that of registry:2's configuration file; each field's place in it is its key, and its `REGISTRY_*`
variable is that key in upper case. `setting` carries the words for the documents. Everything else (reading,
`holdfast config`, the documents) walks these classes through `holdfast.config.declared`.
"""

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, Struct


def setting(
    help: str,
    *,
    secret: bool = False,
    ours: bool = False,
    duration: bool = False,
    lowered: bool = False,
    retired: dict[str, str] | None = None,
    **limits: Any,
) -> Meta:
    """Describe a field by its `help`, one or two sentences for the documents.

    `secret` masks it, `ours` marks what registry:2 does not have, `duration` lets it be written as `1m30s` (seconds in
    the settings), `lowered` turns names that variables add to a mapping into lower case, `retired` maps values that
    registry:2 accepts to the ones used in their place, with a warning. `limits` are those of `msgspec.Meta`.
    """
    extra = {"secret": secret, "ours": ours, "duration": duration, "lowered": lowered, "retired": retired or {}}
    return Meta(description=help, extra=extra, **limits)


class Section(Struct, frozen=True, kw_only=True):
    """A mapping of the configuration file.

    A field of the form `SomeSection | None` is one of several alternatives, of which at most one may be given.
    """

    strict: ClassVar[bool] = False
    """Whether an unknown key in the file stops the start; otherwise it warns, since registry:2 ignores it."""
    fallback: ClassVar[str] = ""
    """The alternative that is taken if none is given; empty for none."""


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
    fields: Annotated[dict[str, str], setting("Fields added to every log line.", lowered=True)] = {}
    accesslog: AccessLog = AccessLog()


class Filesystem(Section, frozen=True, kw_only=True):
    rootdirectory: Annotated[
        str,
        setting(
            "The directory that holds everything; registry:2's tree lies in docker/registry/v2 below it.", min_length=1
        ),
    ] = "./data"
    minfree: Annotated[
        int,
        setting("Refuse pushes with 507 while less than this many bytes are free on the disk.", ours=True, ge=0),
    ] = 64 * 1024 * 1024


class InMemory(Section, frozen=True, kw_only=True):
    """registry:2's test driver: nothing is kept."""


class Delete(Section, frozen=True, kw_only=True):
    enabled: Annotated[bool, setting("Allow deleting tags, manifests, blobs and repositories over HTTP.")] = False


class Storage(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True  # a misspelt driver must not lead to the default directory
    fallback: ClassVar[str] = "filesystem"

    filesystem: Filesystem | None = None
    inmemory: InMemory | None = None
    delete: Delete = Delete()


class Metadata(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    path: Annotated[
        str,
        setting(
            "Directory of the embedded database; empty means holdfast/ in the root directory. "
            "Set it to a local disk when the root is on a network file system.",
            ours=True,
        ),
    ] = ""


class Htpasswd(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

    realm: Annotated[str, setting("The realm named in the challenge.", min_length=1)] = "Registry Realm"
    path: Annotated[
        str, setting("The htpasswd file; bcrypt entries only. It is read again when it changes.", min_length=1)
    ]


class Auth(Section, frozen=True, kw_only=True):
    strict: ClassVar[bool] = True

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
        setting("Address and port to listen on; an empty host means every address.", min_length=1),
    ] = ":5000"
    host: Annotated[
        str,
        setting(
            "The address under which clients reach the registry, such as https://registry.example.com; "
            "used in absolute Locations."
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
    maxentries: Annotated[int, setting("The most repositories that one page of the catalog holds.", ge=1)] = 1000


class Tags(Section, frozen=True, kw_only=True):
    maxtags: Annotated[int, setting("The most tags that one page of a tag list holds.", ge=1)] = 1000


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


def decode(tree: object) -> Settings:
    """Make settings of plain mappings, lists and scalars. Raises `msgspec.ValidationError`, naming the place."""
    return msgspec.convert(tree, Settings, strict=False)
