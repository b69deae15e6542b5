"""Files and variables with something that is not followed, and what is said about it."""

from pathlib import Path

import pytest

from config.cases import VERSION, Case, read, values
from holdfast.config.declared import variable_name
from holdfast.config.foreign import FOREIGN
from holdfast.config.load import ConfigurationError

WARNING = [
    Case(
        "an empty variable of a driver that was not chosen",
        "storage: inmemory",
        {"REGISTRY_STORAGE_FILESYSTEM_MINFREE": "", "REGISTRY_AUTH_HTPASSWD_FOO": "x"},
        {"storage.inmemory": {}, "auth": {}},
        warnings=("REGISTRY_STORAGE_FILESYSTEM_MINFREE: ignored", "REGISTRY_AUTH_HTPASSWD_FOO: ignored"),
    ),
    Case(
        "a secret that is not YAML",
        "",
        {"REGISTRY_HTTP_SECRET": "*{@: !", "REGISTRY_REDIS_PASSWORD": "\ta: b: c"},
        warnings=("http.secret (variable REGISTRY_HTTP_SECRET): it has", "redis (variable REGISTRY_REDIS_PASSWORD)"),
    ),
    Case(
        "an unknown section",
        "htp: {addr: x}",
        warnings=("htp (file FILE line 2): ignored, there is no such setting; did you mean http?",),
    ),
    Case(
        "an unknown key",
        "http: {adr: x}",
        warnings=("http.adr (file FILE line 2): ignored, there is no such setting; did you mean http.addr?",),
    ),
    Case("a key of registry:2 that is misspelt", "http: {debgu: {addr: x}}", warnings=("did you mean http.debug?",)),
    Case(
        "a variable of registry:2 that is misspelt",
        "",
        {"REGISTRY_NOTIFICATION": "x"},
        warnings=("REGISTRY_NOTIFICATION: ignored, no setting has this name; did you mean REGISTRY_NOTIFICATIONS?",),
    ),
    Case("a section one level too low", "htpasswd: {path: x}", warnings=("did you mean auth.htpasswd?",)),
    Case(
        "a key like no other",
        "log: {zzzz: x}",
        warnings=("log.zzzz (file FILE line 2): ignored, there is no such setting",),
    ),
    Case(
        "an unknown variable",
        "",
        {"REGISTRY_HTTP_ADR": "x"},
        warnings=("REGISTRY_HTTP_ADR: ignored, no setting has this name; did you mean REGISTRY_HTTP_ADDR?",),
    ),
    Case(
        "a variable like no other",
        "",
        {"REGISTRY_FOO": "x"},
        warnings=("REGISTRY_FOO: ignored, no setting has this name",),
    ),
    Case(
        "a variable below a value",
        "",
        {"REGISTRY_HTTP_ADDR_X": "x"},
        {"http.addr": ":5000"},
        warnings=("REGISTRY_HTTP_ADDR_X: ignored",),
    ),
    Case(
        "a variable in small letters",
        "",
        {"REGISTRY_http_addr": ":1"},
        {"http.addr": ":5000"},
        warnings=("REGISTRY_http_addr: ignored",),
    ),
    Case(
        "a service of Kubernetes",
        "",
        {
            "REGISTRY_PORT": "tcp://10.0.0.1:5000",
            "REGISTRY_SERVICE_HOST": "10.0.0.1",
            "REGISTRY_SERVICE_PORT_HTTP": "5000",
            "REGISTRY_PORT_5000_TCP_ADDR": "10.0.0.1",
            "REGISTRY_AUTH_PORT_5000_TCP": "tcp://10.0.0.2:5000",
            "REGISTRY_PROXY_SERVICE_HOST": "10.0.0.3",
        },
        warnings=(
            "REGISTRY_AUTH_PORT_5000_TCP, REGISTRY_PORT, REGISTRY_PORT_5000_TCP_ADDR, REGISTRY_PROXY_SERVICE_HOST, "
            "REGISTRY_SERVICE_HOST, REGISTRY_SERVICE_PORT_HTTP: ignored; Kubernetes or Docker sets such",
        ),
    ),
    Case("a variable of clients on the same machine", "", {"REGISTRY_AUTH_FILE": "/root/auth.json"}, {"auth": {}}),
    Case(
        "an empty number",
        "catalog: {maxentries: 3}",
        {"REGISTRY_CATALOG_MAXENTRIES": ""},
        {"catalog.maxentries": 3},
        warnings=("REGISTRY_CATALOG_MAXENTRIES: ignored, it is empty",),
    ),
    Case(
        "empty authentication keeps the file's",
        "auth: {htpasswd: {path: p}}",
        {"REGISTRY_AUTH": " "},
        {"auth.htpasswd.path": "p"},
        warnings=("REGISTRY_AUTH: ignored, it is empty",),
    ),
    Case(
        "a secret for uploads",
        "",
        {"REGISTRY_HTTP_SECRET": "s"},
        warnings=("http.secret (variable REGISTRY_HTTP_SECRET): it has no effect here",),
    ),
    Case(
        "a cache",
        "storage: {cache: {blobdescriptor: inmemory}}",
        warnings=("storage.cache (file FILE line 2): it has no effect here",),
    ),
    Case(
        "a cache by variable",
        "",
        {"REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "redis"},
        {"storage.filesystem.rootdirectory": "./data"},
        warnings=("storage.cache (variable REGISTRY_STORAGE_CACHE",),
    ),
    Case(
        "redis",
        "redis: {addr: 'x:6379', pool: {maxidle: 1}}",
        {"REGISTRY_REDIS_PASSWORD": "p"},
        warnings=("redis (file FILE line 2): it has no effect here",),
    ),
    Case(
        "a duration of registry:2 without its unit",
        "http: {draintimeout: 20}",
        {},
        {"http.draintimeout": 20.0},
        warnings=(
            "http.draintimeout (file FILE line 2): 20 has no unit and is taken for seconds; write 20s (registry",
        ),
    ),
    Case(
        "settings without effect",
        "storage: {tag: {concurrencylimit: 5}}",
        warnings=("storage.tag.concurrencylimit (file FILE line 2): it has no effect here: tags are looked up",),
    ),
    Case(
        "a database server beside a directory",
        "metadata: {path: /x, url: 'postgresql://me@h/d'}",
        warnings=("metadata.path (file FILE line 2): it has no effect beside metadata.url",),
    ),
    Case(
        "an object store that shares its objects",
        "storage: {s3aws: {bucket: b, region: r, objectacl: public-read, keyid: k, loglevel: debug, v4auth: false}}",
        {},
        {"storage.s3.bucket": "b", "storage.s3.forcepathstyle": True},
        warnings=(
            "storage.s3.objectacl (file FILE line 2): it has no effect here: objects are written without an access list",
            "storage.s3.keyid (file FILE line 2): it has no effect without storage.s3.encrypt",
            "storage.s3.loglevel (file FILE line 2): it has no effect here",
            "storage.s3.v4auth (file FILE line 2): it has no effect here",
        ),
    ),
    Case(
        "unknown maintenance",
        "storage: {maintenance: }\nlog: {hooks: []}\nhttp: {tls: {ciphersuites: [x]}}",
        warnings=("http.tls.ciphersuites (file FILE line 4): it has no effect here",),
    ),
    Case(
        "an old TLS version",
        "http: {tls: {minimumtls: tls1.0}}",
        {},
        {"http.tls.minimumtls": "tls1.2"},
        warnings=("http.tls.minimumtls (file FILE line 2): tls1.0 is refused; tls1.2 is used",),
    ),
    Case(
        "a key written twice",
        "http:\n  addr: :1\n  addr: :2\n",
        {},
        {"http.addr": ":2"},
        warnings=("addr (file FILE line 4): written twice; this last one counts",),
    ),
]


@pytest.mark.parametrize("case", WARNING, ids=str)
def test_warnings(case: Case, tmp_path: Path) -> None:
    loaded = read(tmp_path, VERSION + case.file, case.environ)
    for wanted in case.warnings:
        assert [
            line for line in loaded.warnings if wanted.replace("file FILE", f"file {tmp_path / 'config.yml'}") in line
        ]
    assert len(loaded.warnings) == len(case.warnings), loaded.warnings
    effective = values(loaded)
    assert {key: effective.get(key) for key in case.values} == case.values


@pytest.mark.parametrize("key", FOREIGN)
def test_every_key_of_registry_2_is_known_in_file_and_variable(key: str, tmp_path: Path) -> None:
    """Each leads to exactly one line that names it, and to no other."""
    names, sub = key.split("."), FOREIGN[key].switch or "sub"
    text = "".join("  " * depth + f"{name}:\n" for depth, name in enumerate(names)) + "  " * len(names) + f"{sub}: x\n"
    variable = variable_name(f"{key}.{sub}")
    origins = {text: f"file {tmp_path / 'config.yml'} line {len(names) + 1}", "": f"variable {variable}"}
    for file, origin in origins.items():
        environ = {} if file else {variable: "x"}
        if FOREIGN[key].verdict == "stop":
            with pytest.raises(ConfigurationError) as caught:
                read(tmp_path, VERSION + file, environ)
            (message,) = caught.value.messages
        else:
            (message,) = read(tmp_path, VERSION + file, environ).warnings
        assert message.startswith(f"{key} ({origin}): ")
