"""Files and variables that are right, and the settings that they lead to."""

from pathlib import Path

import pytest

from config.cases import VERSION, Case, read, values

EFFECTIVE = [
    Case(
        "the file of the registry:2 image",
        "log:\n  fields:\n    service: registry\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\n"
        "http:\n  addr: :5000\n  headers:\n    X-Content-Type-Options: [nosniff]\n",
        {},
        {
            "log.fields.service": "registry",
            "storage.filesystem.rootdirectory": "/var/lib/registry",
            "http.addr": ":5000",
            "http.headers.X-Content-Type-Options": ["nosniff"],
        },
        {"http.addr": "file FILE line 9", "log.level": "default", "log.fields.service": "file FILE line 4"},
    ),
    Case(
        "variables win over the file",
        "http: {addr: ':1'}\ncatalog: {maxentries: 5}",
        {"REGISTRY_HTTP_ADDR": ":2"},
        {"http.addr": ":2", "catalog.maxentries": 5},
        {"http.addr": "variable REGISTRY_HTTP_ADDR", "catalog.maxentries": "file FILE line 3"},
    ),
    Case(
        "texts in the file stay texts",
        "auth: {htpasswd: {realm: 0123, path: yes}}\nmetadata: {path: 2001-01-01}\nlog: {fields: {a: 1.0, b: ~}}",
        {},
        {
            "auth.htpasswd.realm": "0123",
            "auth.htpasswd.path": "yes",
            "metadata.path": "2001-01-01",
            "log.fields.a": "1.0",
        },
    ),
    Case(
        "texts in variables stay texts",
        environ={
            "REGISTRY_AUTH": "htpasswd",
            "REGISTRY_AUTH_HTPASSWD_REALM": "123",
            "REGISTRY_AUTH_HTPASSWD_PATH": "{a: b}",
            "REGISTRY_LOG_FIELDS_A": "[x",
        },
        values={"auth.htpasswd.realm": "123", "auth.htpasswd.path": "{a: b}", "log.fields.a": "[x"},
        origins={"auth.htpasswd.realm": "variable REGISTRY_AUTH_HTPASSWD_REALM"},
    ),
    Case(
        "an empty variable empties a text",
        "http: {host: 'https://a'}",
        {"REGISTRY_HTTP_HOST": ""},
        {"http.host": ""},
    ),
    Case(
        "truth values",
        "storage: {delete: {enabled: yes}}\nhttp: {relativeurls: 'true'}\nlog: {accesslog: {disabled: On}}",
        {},
        {"storage.delete.enabled": True, "http.relativeurls": True, "log.accesslog.disabled": True},
    ),
    Case(
        "a truth value in a variable", "", {"REGISTRY_STORAGE_DELETE_ENABLED": "true"}, {"storage.delete.enabled": True}
    ),
    Case("numbers", "server: {workers: 3}", {"REGISTRY_TAGS_MAXTAGS": "7"}, {"server.workers": 3, "tags.maxtags": 7}),
    Case(
        "numbers as YAML has them",
        "catalog: {maxentries: 0x10}\nserver: {workers: 0o17}",
        {"REGISTRY_TAGS_MAXTAGS": "10_000", "REGISTRY_STORAGE_FILESYSTEM_MINFREE": str(2**60)},
        {
            "catalog.maxentries": 16,
            "server.workers": 15,
            "tags.maxtags": 10_000,
            "storage.filesystem.minfree": 2**60,
        },
    ),
    Case(
        "an empty word is the default",
        "http: {net: ''}\nlog: {formatter: ''}",
        {"REGISTRY_LOG_LEVEL": "", "REGISTRY_HTTP_NET": ""},
        {"http.net": "tcp", "log.formatter": "text", "log.level": "info"},
        {"http.net": "default"},
    ),
    Case(
        "durations",
        "server: {bodytimeout: 1m30s}",
        {"REGISTRY_HTTP_DRAINTIMEOUT": "1500ms"},
        {"server.bodytimeout": 90.0, "http.draintimeout": 1.5},
    ),
    Case("a bare duration of ours is seconds", "server: {bodytimeout: 20}", {}, {"server.bodytimeout": 20.0}),
    Case(
        "durations of registry:2",
        "storage: {maintenance: {uploadpurging: {age: 1h30m, interval: 1.5h}}}\nhttp: {draintimeout: 0}",
        {},
        {"storage.maintenance.uploadpurging.age": 5400.0, "storage.maintenance.uploadpurging.interval": 5400.0},
    ),
    Case("capitals in a word", "log: {level: DEBUG}", {}, {"log.level": "debug"}),
    Case(
        "nothing written means the default",
        "catalog: {maxentries: }\nhttp:\n  tls:\n",
        {},
        {"catalog.maxentries": 1000},
    ),
    Case(
        "the storage section replaced",
        "storage: {filesystem: {rootdirectory: /x}, delete: {enabled: true}}",
        {"REGISTRY_STORAGE": "inmemory"},
        {"storage.inmemory": {}, "storage.delete.enabled": False},
        {"storage.inmemory": "variable REGISTRY_STORAGE"},
    ),
    Case(
        "the storage section replaced and filled",
        "storage: {inmemory: , delete: {enabled: true}}",
        {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/y", "REGISTRY_STORAGE": "filesystem"},
        {"storage.filesystem.rootdirectory": "/y", "storage.delete.enabled": False},
    ),
    Case(
        "the storage section replaced by a mapping",
        "storage: {inmemory: }",
        {"REGISTRY_STORAGE": "{filesystem: {rootdirectory: /z}, delete: {enabled: true}}"},
        {"storage.filesystem.rootdirectory": "/z", "storage.delete.enabled": True},
        {"storage.filesystem.rootdirectory": "variable REGISTRY_STORAGE"},
    ),
    Case("a bare driver in the file", "storage: inmemory", {}, {"storage.inmemory": {}}),
    Case("a driver without parameters", "storage:\n  inmemory:\n", {}, {"storage.inmemory": {}}),
    Case(
        "a bare driver in the file, and a variable beside it",
        "storage: inmemory",
        {"REGISTRY_STORAGE_DELETE_ENABLED": "true"},
        {"storage.inmemory": {}, "storage.delete.enabled": True},
    ),
    Case(
        "no driver is the default directory",
        "storage: {delete: {enabled: true}}",
        {},
        {"storage.filesystem.rootdirectory": "./data", "storage.delete.enabled": True},
        {"storage.filesystem.rootdirectory": "default"},
    ),
    Case("no authentication", "", {}, {"auth": {}}, {"auth": "default"}),
    Case("authentication called none", "auth: {none: }", {}, {"auth": {}}),
    Case(
        "the auth section replaced",
        "auth: {token: {realm: x}}",
        {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/p"},
        {"auth.htpasswd.path": "/p", "auth.htpasswd.realm": "Registry Realm"},
    ),
    Case(
        "a header added to the default ones, its case kept",
        "",
        {"REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": '["*"]'},
        {"http.headers.Access-Control-Allow-Origin": ["*"], "http.headers.X-Content-Type-Options": ["nosniff"]},
        {"http.headers.X-Content-Type-Options": "default"},
    ),
    Case(
        "a header of the file changed",
        "http: {headers: {X-Foo: [a], X-Bar: [b]}}",
        {"REGISTRY_HTTP_HEADERS_X-FOO": "[c, d]"},
        {"http.headers.X-Foo": ["c", "d"], "http.headers.X-Bar": ["b"]},
        {"http.headers.X-Foo": "variable REGISTRY_HTTP_HEADERS_X-FOO", "http.headers.X-Bar": "file FILE line 2"},
    ),
    Case(
        "headers without values",
        "http: {headers: {A: , B: [c]}}",
        {},
        {"http.headers.A": None, "http.headers.B": ["c"]},
    ),
    Case("headers emptied", "http: {headers: {}}", {}, {"http.headers": {}}, {"http.headers": "file FILE line 2"}),
    Case("headers replaced", "", {"REGISTRY_HTTP_HEADERS": "{A: [b]}"}, {"http.headers.A": ["b"]}),
    Case(
        "log fields in lower case, underscores and all",
        "",
        {"REGISTRY_LOG_FIELDS_MY_SITE": "Bonn", "REGISTRY_LOG_FIELDS_PORT": "1"},
        {"log.fields.my_site": "Bonn", "log.fields.port": "1"},
    ),
    Case(
        "merge keys",
        "http: &h {addr: ':1'}\nlog: {fields: {<<: {a: 1, b: 2}, b: 3, c: 4, <<: [{c: 5, d: 6}, {d: 7}]}}",
        {},
        {"log.fields.a": "1", "log.fields.b": "3", "log.fields.c": "4", "log.fields.d": "6"},
    ),
    Case(
        "key and certificate",
        "http: {tls: {certificate: /c, key: /k, minimumtls: tls1.3}}",
        {},
        {"http.tls.certificate": "/c", "http.tls.key": "/k", "http.tls.minimumtls": "tls1.3"},
    ),
    Case("the version in a variable", "", {"REGISTRY_VERSION": "0.1"}, {"version": "0.1"}),
    Case("what asks for nothing is not mentioned", "http: {net: tcp, prefix: '', debug: {}}\nproxy:\nmiddleware: {}"),
    Case("read-only maintenance that is off", "storage: {maintenance: {readonly: {enabled: false}}}"),
    Case(
        "read-only maintenance",
        "",
        {"REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled": true}'},
        {"storage.maintenance.readonly.enabled": True},
        {"storage.maintenance.readonly.enabled": "variable REGISTRY_STORAGE_MAINTENANCE_READONLY"},
    ),
    Case(
        "a Unix socket and a prefix",
        "http: {net: unix, addr: /run/registry.sock, prefix: /registry/}",
        {},
        {"http.net": "unix", "http.addr": "/run/registry.sock", "http.prefix": "/registry/"},
    ),
    Case(
        "a driver that is named has the directory of registry:2",
        "storage: {filesystem: , delete: {enabled: true}}",
        {},
        {"storage.filesystem.rootdirectory": "/var/lib/registry", "storage.delete.enabled": True},
    ),
    Case(
        "a driver that a variable names, too",
        "storage: {filesystem: {rootdirectory: /x}}",
        {"REGISTRY_STORAGE": "filesystem"},
        {"storage.filesystem.rootdirectory": "/var/lib/registry"},
    ),
    Case(
        "a mirror without address, middleware and mail that are disabled",
        "proxy: {remoteurl: , username: u, ttl: 168h}\n"
        "middleware: {storage: [{name: redirect, disabled: true, options: {baseurl: x}}]}\n"
        "log: {hooks: [{type: mail, disabled: true, levels: [panic]}]}\n"
        "notifications: {events: {includereferences: false}, endpoints: [{name: a, disabled: true, url: x}]}\n"
        "http: {debug: {prometheus: {enabled: false, path: /metrics}}, http2: {disabled: true}, h2c: {enabled: false}}\n"
        "validation: {disabled: true}",
    ),
    Case(
        "health checks",
        "health:\n"
        "  storagedriver: {enabled: true, interval: 10s, threshold: 3}\n"
        "  file: [{file: /down}, {file: /off, interval: 1m}]\n"
        "  http:\n"
        "    - uri: https://a/b\n"
        "      headers: {Authorization: [Basic x]}\n"
        "      statuscode: 201\n"
        "  tcp: [{addr: 'redis:6379', timeout: 3s, threshold: 2}]\n",
        {},
        {
            "health.storagedriver.threshold": 3,
            "health.file.0.file": "/down",
            "health.file.0.interval": 10,
            "health.file.1.interval": 60.0,
            "health.http.0.headers.Authorization": "********",
            "health.http.0.statuscode": 201,
            "health.tcp.0.addr": "redis:6379",
            "health.tcp.0.timeout": 3.0,
        },
        {"health.file.1.file": "file FILE line 4", "health.file.0.interval": "default"},
    ),
    Case(
        "rules for manifests",
        "validation:\n"
        "  manifests:\n"
        "    urls: {allow: ['^https?://a/'], deny: []}\n"
        "    indexes: {platforms: List, platformlist: [{architecture: amd64, os: linux}]}\n",
        {},
        {
            "validation.manifests.urls.allow": ["^https?://a/"],
            "validation.manifests.urls.deny": [],
            "validation.manifests.indexes.platforms": "list",
            "validation.manifests.indexes.platformlist.0.architecture": "amd64",
        },
    ),
]


@pytest.mark.parametrize("case", EFFECTIVE, ids=str)
def test_effective(case: Case, tmp_path: Path) -> None:
    loaded = read(tmp_path, VERSION + case.file, case.environ)
    effective = values(loaded)
    assert {key: effective.get(key) for key in case.values} == case.values
    wanted = {
        key: origin.replace("file FILE", f"file {tmp_path / 'config.yml'}") for key, origin in case.origins.items()
    }
    assert {key: loaded.origins.get(key) for key in wanted} == wanted
    assert loaded.warnings == ()
    assert set(loaded.origins) == set(effective)
