"""Files and variables that stop the start, and what is said about them."""

from pathlib import Path

import pytest

from config.cases import VERSION, Case, read
from holdfast.config.load import ConfigurationError

FAILING = [
    Case("a wrong version", "version: 0.2", errors=("version (file FILE line 2): found '0.2', expected 0.1",)),
    Case(
        "a scalar for a section",
        "http: 5",
        errors=("http (file FILE line 2): found '5', expected a section with addr",),
    ),
    Case(
        "a list for a section",
        "auth: [htpasswd]",
        errors=("auth (file FILE line 2): found a list, expected a section",),
    ),
    Case(
        "a scalar for a section that a variable goes into",
        "http: 5",
        {"REGISTRY_HTTP_ADDR": ":1"},
        errors=("http (file FILE line 2): found '5', expected a mapping",),
    ),
    Case("a mapping for a text", "http: {addr: {a: b}}", errors=("http.addr (file FILE line 2): found a mapping",)),
    Case("a list for a text", "http: {addr: [a]}", errors=("http.addr (file FILE line 2): found a list",)),
    Case(
        "a scalar for headers",
        "http: {headers: x}",
        errors=("http.headers (file FILE line 2): found 'x', expected a map",),
    ),
    Case(
        "a scalar for one header",
        "",
        {"REGISTRY_HTTP_HEADERS_X": "y"},
        errors=("http.headers.X (variable REGISTRY_HTTP_HEADERS_X): found 'y', expected a list of texts",),
    ),
    Case("a header with nothing in it", "http: {headers: {X: [~]}}", errors=("http.headers.X (file FILE line 2)",)),
    Case(
        "everything at once",
        "storage: {delete: {enabled: maybe}}\ncatalog: {maxentries: -1}\nserver:\n  workers: 999\n  engine: apache",
        {"REGISTRY_TAGS_MAXTAGS": "many", "REGISTRY_HTTP_DRAINTIMEOUT": "1 s", "REGISTRY_LOG_LEVEL": "loud"},
        errors=(
            "storage.delete.enabled (file FILE line 2): found 'maybe', expected true or false",
            "catalog.maxentries (file FILE line 3): found '-1', expected a whole number, 1 or more",
            "server.workers (file FILE line 5): found '999', expected a whole number from 0 to 256",
            "server.engine (file FILE line 6): found 'apache', expected one of granian, uvicorn",
            "tags.maxtags (variable REGISTRY_TAGS_MAXTAGS): found 'many', expected a whole number",
            "http.draintimeout (variable REGISTRY_HTTP_DRAINTIMEOUT): found '1 s', expected a duration such as 30s",
            "log.level (variable REGISTRY_LOG_LEVEL): found 'loud', expected one of error, warn, info, debug",
        ),
    ),
    Case(
        "no time at all", "server: {bodytimeout: 0}", errors=("expected a duration such as 30s or 1m30s, more than 0",)
    ),
    Case(
        "endless time", "server: {bodytimeout: .inf}", errors=("server.bodytimeout (file FILE line 2): found '.inf'",)
    ),
    Case(
        "an empty directory",
        "",
        {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": ""},
        errors=("found '', expected a text that",),
    ),
    Case(
        "a variable that is not YAML",
        "",
        {"REGISTRY_HTTP_HEADERS_X": "*", "REGISTRY_STORAGE": "{a: "},
        errors=("REGISTRY_HTTP_HEADERS_X: its value is not YAML", "REGISTRY_STORAGE: its value is not YAML"),
    ),
    Case(
        "two drivers",
        "storage: {filesystem: {rootdirectory: /x}}",
        {"REGISTRY_STORAGE_INMEMORY": "{}"},
        errors=(
            "storage.filesystem (file FILE line 2) and storage.inmemory (variable REGISTRY_STORAGE_INMEMORY) exclude",
        ),
    ),
    Case(
        "two drivers by variables",
        "",
        {"REGISTRY_STORAGE": "inmemory", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/x"},
        errors=("storage.filesystem (variable REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY) and storage.inmemory (var",),
    ),
    Case(
        "a misspelt driver",
        "storage: {filesytem: {rootdirectory: /x}}",
        errors=("storage.filesytem (file FILE line 2): there is no such setting; did you mean storage.filesystem?",),
    ),
    Case(
        "a misspelt driver in variables",
        "",
        {"REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY": "/x"},
        errors=("REGISTRY_STORAGE_FILESYTEM_ROOTDIRECTORY: there is no such setting; storage has filesystem, inmem",),
    ),
    Case(
        "a bare misspelt driver",
        "",
        {"REGISTRY_STORAGE": "disk"},
        errors=("storage (variable REGISTRY_STORAGE): 'disk' is",),
    ),
    Case(
        "a driver of the cloud beside a file",
        "storage: {filesystem: {rootdirectory: /x}}",
        {"REGISTRY_STORAGE_S3_BUCKET": "b"},
        errors=(
            "storage.filesystem (file FILE line 2) and storage.s3 (variable REGISTRY_STORAGE_S3_BUCKET) exclude each",
            "storage.s3.region: it is needed without regionendpoint",
        ),
    ),
    Case(
        "a bare driver of the cloud",
        "",
        {"REGISTRY_STORAGE": "s3"},
        errors=(
            "storage.s3.bucket: it is needed (variable REGISTRY_STORAGE); write it there or set REGISTRY_STORAGE_S3_",
        ),
    ),
    Case(
        "a driver under two names",
        "storage: {s3: {bucket: b, region: r}, s3aws: {bucket: b, region: r}}",
        errors=("storage.s3aws (file FILE line 2): storage.s3 is the same; give one of them only",),
    ),
    Case(
        "an object store",
        "storage: {s3: {bucket: b, accesskey: a, regionendpoint: 'http://s/path', redirectendpoint: 'ftp://s', "
        "rootdirectory: a//b, accelerate: true, usefipsendpoint: true, chunksize: 5242880}}",
        errors=(
            "storage.s3.regionendpoint (file FILE line 2): found 'http://s/path', expected an address without a path",
            "storage.s3.redirectendpoint (file FILE line 2): found 'ftp://s', expected an address",
            "storage.s3.rootdirectory (file FILE line 2): found 'a//b', expected names with single slashes",
            "storage.s3.accesskey (file FILE line 2): it needs storage.s3.secretkey beside it",
            "storage.s3.accelerate (file FILE line 2): only Amazon has it; remove it or regionendpoint",
            "storage.s3.usefipsendpoint (file FILE line 2): only Amazon has it",
            "storage.s3.accelerate (file FILE line 2): Amazon has no such addresses with usefipsendpoint",
        ),
    ),
    Case(
        "accelerated dots",
        "storage: {s3: {bucket: a.b, region: r, accelerate: true, rootdirectory: ../b}}",
        errors=("only for buckets without dots", "storage.s3.rootdirectory (file FILE line 2): found '../b'"),
    ),
    Case(
        "small parts",
        "storage: {s3: {bucket: b, chunksize: 1048576}}",
        errors=("storage.s3.chunksize (file FILE line 2): found '1048576', expected a whole number from 5242880 to",),
    ),
    Case(
        "another object store",
        "storage: {gcs: {bucket: b, keyfile: f, credentials: {type: service_account}, chunksize: 262145}}",
        errors=(
            "storage.gcs.keyfile (file FILE line 2) and storage.gcs.credentials exclude",
            "found 262145, expected a",
        ),
    ),
    Case(
        "a third object store",
        "storage: {azure: {accountname: a, container: c, serviceurl: a.example.com, credentials: {type: client_secret, "
        "clientid: i}}}",
        errors=(
            "storage.azure.credentials.tenantid: it is needed, since storage.azure.credentials.type is client_secret",
            "storage.azure.credentials.secret: it is needed",
            "storage.azure.serviceurl (file FILE line 2): found 'a.example.com', expected an address",
        ),
    ),
    Case(
        "an address of no database",
        "metadata: {url: 'mysql://me:hunter2@x/y'}\nstorage: {links: {disabled: true}}",
        errors=(
            "metadata.url (file FILE line 2): found a value that is not shown, expected an address such as postgresql",
        ),
    ),
    Case(
        "too many connections",
        "metadata: {connections: 101}",
        errors=("metadata.connections (file FILE line 2): found '101', expected a whole number from 1 to 100",),
    ),
    Case(
        "no links with an embedded database",
        "storage: {links: {disabled: true}}",
        errors=(
            "storage.links.disabled (file FILE line 2): it needs metadata.url, since the links replace an embedded",
        ),
    ),
    Case(
        "a pattern that is none",
        "validation: {manifests: {urls: {allow: ['^https:'], deny: ['(']}}}",
        errors=(
            "validation.manifests.urls.deny (file FILE line 2): found '(', which is no regular expression: missing ),",
        ),
    ),
    Case(
        "misspelt authentication",
        "auth: {htpaswd: {path: x}}",
        errors=("there is no such setting; did you mean auth.htpasswd?",),
    ),
    Case(
        "misspelt authentication by variable",
        "",
        {"REGISTRY_AUTH": "htpaswd"},
        errors=("'htpaswd' is not known; write htpasswd",),
    ),
    Case(
        "misspelt authentication in a variable",
        "",
        {"REGISTRY_AUTH_HTPASWD_PATH": "x"},
        errors=(
            "REGISTRY_AUTH_HTPASWD_PATH: there is no such setting; auth has htpasswd; did you mean REGISTRY_AUTH_HTP",
        ),
    ),
    Case(
        "authentication that is not built", "auth: {token: }", errors=("auth.token (file FILE line 2): token authent",)
    ),
    Case("silly authentication", "auth: {silly: {realm: a, service: b}}", errors=("auth.silly (file FILE line 2)",)),
    Case(
        "token authentication by variable", "", {"REGISTRY_AUTH_TOKEN_REALM": "x"}, errors=("auth.token (variable REG",)
    ),
    Case(
        "htpasswd without a path", "auth: {htpasswd: }", errors=("auth.htpasswd.path: it is needed (file FILE line 2)",)
    ),
    Case(
        "htpasswd without a path by variable",
        "",
        {"REGISTRY_AUTH": "htpasswd"},
        errors=("set REGISTRY_AUTH_HTPASSWD_PATH",),
    ),
    Case(
        "an unknown key under htpasswd",
        "auth: {htpasswd: {path: x, pth: y}}",
        errors=("auth.htpasswd.pth (file FILE line 2)",),
    ),
    Case(
        "an unknown key under tls", "http: {tls: {cert: x}}", errors=("http.tls.cert (file FILE line 2): there is no",)
    ),
    Case(
        "a misspelt key under tls that registry:2 has",
        "http: {tls: {clientca: [x]}}",
        errors=("http.tls.clientca (file FILE line 2): there is no such setting; did you mean http.tls.clientcas?",),
    ),
    Case(
        "a misspelt driver of the cloud",
        "",
        {"REGISTRY_STORAGE_GSC_BUCKET": "x"},
        errors=("there is no such setting; storage has filesystem, inmemory, s3, gcs, azure, delete, maint",),
    ),
    Case(
        "numbers and times beyond all use",
        "catalog: {maxentries: 99999999999999999999}\nhealth: {storagedriver: {interval: 9999999h}}",
        errors=(
            "catalog.maxentries (file FILE line 2): found",
            "health.storagedriver.interval (file FILE line 3): found",
        ),
    ),
    Case(
        "an unknown key of ours",
        "server:\n  worker: 3",
        errors=("server.worker (file FILE line 3): there is no such setting; did you mean server.workers?",),
    ),
    Case(
        "a key put into the wrong section",
        "metadata: {rootdirectory: /x}",
        errors=("did you mean storage.filesystem.rootdirectory?",),
    ),
    Case(
        "a certificate without key",
        "http: {tls: {certificate: c}}",
        errors=("http.tls.certificate (file FILE line 2): it needs http.tls.key",),
    ),
    Case(
        "a key without certificate",
        "",
        {"REGISTRY_HTTP_TLS_KEY": "k"},
        errors=("http.tls.key (variable REGISTRY_HTTP_TLS_KEY): it needs",),
    ),
    Case(
        "client certificates",
        "http: {tls: {clientcas: [a]}}",
        errors=("http.tls.clientcas (file FILE line 2): client",),
    ),
    Case(
        "an address without port",
        "http: {addr: localhost}",
        errors=("http.addr (file FILE line 2): found 'localhost'; it needs a port",),
    ),
    Case(
        "a host without scheme",
        "http: {host: example.com}",
        errors=("http.host (file FILE line 2): found 'example.com'",),
    ),
    Case("a host with a line break", 'http: {host: "https://a\\nb"}', errors=("http.host (file FILE line 2)",)),
    Case(
        "a header's name",
        "http: {headers: {a b: [x]}}",
        errors=("http.headers (file FILE line 2): no header can be called 'a b'",),
    ),
    Case(
        "a header's content",
        'http: {headers: {a: ["x\\r\\nb: c"]}}',
        errors=("http.headers.a (file FILE line 2): a header cannot",),
    ),
    Case(
        "a realm's content",
        'auth: {htpasswd: {path: p, realm: "x\\ny"}}',
        errors=("auth.htpasswd.realm (file FILE line 2)",),
    ),
    Case(
        "a mirror",
        "proxy: {remoteurl: 'https://example.com'}",
        errors=("proxy (file FILE line 2): the registry cannot mirror",),
    ),
    Case(
        "a Unix socket without a path",
        "http: {net: unix}",
        errors=("http.addr (default): found ':5000', expected the path of a socket, such as /run/registry.sock",),
    ),
    Case(
        "a prefix that is no path",
        "http: {prefix: registry}",
        errors=("http.prefix (file FILE line 2): found 'registry', expected a path such as /registry/",),
    ),
    Case(
        "health checks that cannot be read",
        "health:\n  file: /down\n  http: [{uri: x, statuscode: 99}, x]\n  tcp: [{}]\n",
        errors=(
            "health.file (file FILE line 3): found '/down', expected a list of sections with file, interval",
            "health.http.0.statuscode (file FILE line 4): found '99', expected a whole number from 100 to 599",
            "health.http.1 (file FILE line 4): found 'x', expected a section with uri, headers,",
            "health.tcp.0.addr: it is needed (file FILE line 5); write it there or set REGISTRY_HEALTH_TCP_0_ADDR",
        ),
    ),
]


@pytest.mark.parametrize("case", FAILING, ids=str)
def test_failing(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, VERSION + case.file, case.environ)
    messages = caught.value.messages
    for wanted in case.errors:
        assert [
            message for message in messages if wanted.replace("file FILE", f"file {tmp_path / 'config.yml'}") in message
        ]
    assert len(messages) == len(case.errors), messages
    assert str(caught.value) == "\n".join(messages)
