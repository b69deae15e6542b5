"""Every key that registry:2 and registry:3 have is known, in the file and in variables."""

from pathlib import Path

import pytest

from config.cases import VERSION, read
from holdfast.config.declared import Declared, Setting, Table, declarations, variable_name
from holdfast.config.foreign import FOREIGN
from holdfast.config.load import ConfigurationError, load

SETTINGS = {
    "version": "0.1",
    "log.level": "debug",
    "log.formatter": "logstash",
    "log.fields": "{service: registry, count: 1}",
    "log.accesslog.disabled": "true",
    "storage.filesystem.rootdirectory": "/var/lib/registry",
    "storage.inmemory": "",
    "storage.s3.bucket": "images",
    "storage.s3.region": "eu-central-1",
    "storage.s3.regionendpoint": "http://s3.example.com:9000",
    "storage.s3.redirectendpoint": "https://s3.example.com",
    "storage.s3.accesskey": "AKIAIOSFODNN7EXAMPLE",
    "storage.s3.secretkey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "storage.s3.rootdirectory": "/registry/one",
    "storage.s3.secure": "true",
    "storage.s3.skipverify": "true",
    "storage.s3.forcepathstyle": "false",
    "storage.s3.encrypt": "true",
    "storage.s3.keyid": "arn:aws:kms:eu-central-1:1:key/2",
    "storage.s3.storageclass": "STANDARD_IA",
    "storage.s3.chunksize": "5242880",
    "storage.s3.useragent": "registry",
    "storage.s3.accelerate": "true",
    "storage.s3.usedualstack": "true",
    "storage.s3.usefipsendpoint": "true",
    "storage.s3.v4auth": "false",
    "storage.s3.objectacl": "bucket-owner-full-control",
    "storage.s3.multipartcopychunksize": "33554431",
    "storage.s3.multipartcopymaxconcurrency": "10",
    "storage.s3.multipartcopythresholdsize": "1",
    "storage.s3.loglevel": "debug",
    "storage.gcs.bucket": "images",
    "storage.gcs.keyfile": "/path/to/keyfile",
    "storage.gcs.credentials": "{type: service_account, project_id: p, private_key_id: 1}",
    "storage.gcs.rootdirectory": "/gcs/object/name/prefix",
    "storage.gcs.chunksize": "524288",
    "storage.gcs.useragent": "registry",
    "storage.gcs.disablekeepalives": "true",
    "storage.gcs.maxconcurrency": "10",
    "storage.azure.accountname": "account",
    "storage.azure.container": "images",
    "storage.azure.accountkey": "a2V5",
    "storage.azure.credentials.type": "client_secret",
    "storage.azure.credentials.clientid": "id",
    "storage.azure.credentials.tenantid": "tenant",
    "storage.azure.credentials.secret": "secret",
    "storage.azure.realm": "core.chinacloudapi.cn",
    "storage.azure.serviceurl": "http://localhost:10000/account",
    "storage.azure.rootdirectory": "x",
    "storage.azure.max_retries": "3",
    "storage.azure.retry_delay": "1s",
    "storage.azure.copy_status_poll_max_retry": "10",
    "storage.azure.copy_status_poll_delay": "1s",
    "storage.delete.enabled": "true",
    "storage.redirect.disable": "true",
    "storage.maintenance.uploadpurging.enabled": "true",
    "storage.maintenance.uploadpurging.age": "168h",
    "storage.maintenance.uploadpurging.interval": "24h",
    "storage.maintenance.uploadpurging.dryrun": "false",
    "storage.maintenance.readonly.enabled": "false",
    "storage.tag.concurrencylimit": "5",
    "auth.htpasswd.realm": "basic-realm",
    "auth.htpasswd.path": "/path/to/htpasswd",
    "http.addr": "localhost:5000",
    "http.net": "tcp",
    "http.prefix": "/my/nested/registry/",
    "http.host": "https://myregistryaddress.org:5000",
    "http.secret": "asecretforlocaldevelopment",
    "http.relativeurls": "false",
    "http.draintimeout": "60s",
    "http.headers": "{X-Content-Type-Options: [nosniff]}",
    "http.tls.certificate": "/path/to/x509/public",
    "http.tls.key": "/path/to/x509/private",
    "http.tls.minimumtls": "tls1.2",
    "health.storagedriver.enabled": "true",
    "health.storagedriver.interval": "10s",
    "health.storagedriver.threshold": "3",
    "health.file": "[{file: /path/to/checked/file, interval: 10s}]",
    "health.http": "[{uri: 'http://a/b', headers: {Authorization: [Basic x]}, statuscode: 200, timeout: 3s,"
    " interval: 10s, threshold: 3}]",
    "health.tcp": "[{addr: 'redis.example.com:6379', timeout: 3s, interval: 10s, threshold: 3}]",
    "catalog.maxentries": "100",
    "tags.maxtags": "100",
    "validation.disabled": "true",
    "validation.enabled": "true",
    "validation.manifests.urls.allow": "['^https?://([^/]+\\.)*example\\.com/']",
    "validation.manifests.urls.deny": "['^https?://www\\.example\\.com/']",
    "validation.manifests.indexes.platforms": "list",
    "validation.manifests.indexes.platformlist": "[{architecture: amd64, os: linux}]",
}
"""Keys that have a setting, with a value that registry:2 or registry:3 takes."""

BESIDE = {
    "http.tls.certificate": ["http.tls.key"],
    "http.tls.key": ["http.tls.certificate"],
    "auth.htpasswd.realm": ["auth.htpasswd.path"],
    "storage.s3.accesskey": ["storage.s3.secretkey"],
    "storage.s3.secretkey": ["storage.s3.accesskey"],
    "storage.s3.keyid": ["storage.s3.encrypt"],
    "storage.s3": ["storage.s3.bucket", "storage.s3.region"],
    "storage.gcs": ["storage.gcs.bucket"],
    "storage.azure": ["storage.azure.accountname", "storage.azure.container"],
    "storage.azure.credentials": [f"storage.azure.credentials.{name}" for name in ("clientid", "tenantid", "secret")],
}
"""Settings and sections that need other settings."""

IDLE = [
    "storage.tag.concurrencylimit",
    "http.secret",
    "storage.s3.v4auth",
    "storage.s3.objectacl",
    "storage.s3.multipartcopychunksize",
    "storage.s3.multipartcopymaxconcurrency",
    "storage.s3.multipartcopythresholdsize",
    "storage.s3.loglevel",
    "storage.gcs.disablekeepalives",
    "storage.gcs.maxconcurrency",
    "storage.azure.max_retries",
    "storage.azure.retry_delay",
    "storage.azure.copy_status_poll_max_retry",
    "storage.azure.copy_status_poll_delay",
]
"""Settings that warn where they differ from the default."""

REDIS = (
    "addr addrs username password db clientname protocol sentinelusername sentinelpassword mastername maxretries"
    " minretrybackoff maxretrybackoff dialtimeout readtimeout writetimeout contexttimeoutenabled poolfifo poolsize"
    " pooltimeout minidleconns maxidleconns maxactiveconns connmaxidletime connmaxlifetime maxredirects readonly"
    " routebylatency routerandomly disableidentity identitysuffix unstableresp3 tls.certificate tls.key tls.rootcas"
    " pool.maxidle pool.maxactive pool.idletimeout"
)


def below(parent: str, names: str) -> list[str]:
    return [f"{parent}.{name}" for name in names.split()]


STOPPING = [
    *below("storage.swift", "username password authurl container"),
    *below("storage.oss", "accesskeyid accesskeysecret region bucket"),
    *below("auth.token", "realm service issuer rootcertbundle jwks autoredirect autoredirectpath signingalgorithms"),
    *below("auth.silly", "realm service"),
    *below("middleware", "registry repository storage"),
    *below("http.tls", "clientcas clientauth"),
    *below("http.tls.letsencrypt", "cachefile email hosts directoryurl"),
    "proxy.remoteurl",
]
"""What would be unsafe to leave out."""

WARNING = [
    "loglevel",
    "log.reportcaller",
    "log.hooks",
    "storage.filesystem.maxthreads",
    *below("storage.cache", "blobdescriptor blobdescriptorsize layerinfo"),
    "auth.none",
    *below("http", "debug.addr debug.prometheus.enabled http2.disabled h2c.enabled tls.ciphersuites"),
    "notifications.events.includereferences",
    "notifications.endpoints",
    *below("redis", REDIS),
    "policy.repository.classes",
    *below("compatibility.schema1", "enabled signingkeyfile trustkey"),
    *below("reporting.bugsnag", "apikey releasestage endpoint"),
    *below("reporting.newrelic", "licensekey name verbose"),
]
"""What is accepted with a line."""

SILENT = [
    *below("proxy", "username password ttl cachewritetimeout exec.command exec.lifetime"),
    "http.debug.prometheus.path",
]
"""What asks for nothing while its switch is off."""

VALUES = {"http.http2.disabled": "false", "proxy.remoteurl": "https://registry-1.example.com"}


def as_file(values: dict[str, str]) -> str:
    """A file that holds these values and nothing else; each must be the only one of its parent, or stand beside it."""
    tree: dict[str, object] = {}
    for key, value in values.items():
        *parents, name = key.split(".")
        at = tree
        for parent in parents:
            at = at.setdefault(parent, {})  # type: ignore[assignment]
        at[name] = value
    return "\n".join(lines(tree, ""))


def lines(tree: dict[str, object], indent: str) -> list[str]:
    written = []
    for name, value in tree.items():
        if isinstance(value, dict):
            written += [f"{indent}{name}:", *lines(value, indent + "  ")]
        else:
            written.append(f"{indent}{name}: {value}")
    return written


def leaves(declared: Declared) -> list[str]:
    if not isinstance(declared, Table):
        return [declared.key]
    return [key for child in declared.children.values() for key in leaves(child)] or [declared.key]


def is_ours(key: str) -> bool:
    declared: Declared = declarations()
    for part in key.split("."):
        assert isinstance(declared, Table)
        declared = declared.children[part]
    return isinstance(declared, Setting) and declared.marked("ours")


def test_the_table_of_settings_is_complete() -> None:
    assert [key for key in leaves(declarations()) if not is_ours(key)] == [
        *sorted(SETTINGS, key=leaves(declarations()).index)
    ]


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_is_accepted_in_file_and_variable(key: str, tmp_path: Path) -> None:
    others = [name for place, names in BESIDE.items() if f"{key}.".startswith(f"{place}.") for name in names]
    values = {name: SETTINGS[name] for name in (key, *others)}
    idle = [key] if key in IDLE else []
    if key != "version":
        assert [line.split(" ")[0] for line in read(tmp_path, VERSION + as_file(values), {}).warnings] == idle
    if values[key]:
        environ = {variable_name(name): value for name, value in values.items()}
        assert [line.split(" ")[0] for line in load(None, environ).warnings] == idle
    else:
        assert load(None, {variable_name(key): "{}"}).warnings == ()


@pytest.mark.parametrize("key", STOPPING + WARNING + SILENT)
def test_a_key_without_setting_is_known_in_file_and_variable(key: str, tmp_path: Path) -> None:
    """Each leads to exactly one line, which begins with the key that says what is done, or to none."""
    value = VALUES.get(key, "x")
    attempts = [(VERSION + as_file({key: value}), {}), (VERSION, {variable_name(key): value})]
    for text, environ in attempts:
        said: list[str] = []
        try:
            said += read(tmp_path, text, environ).warnings
            assert key not in STOPPING
        except ConfigurationError as error:
            assert key in STOPPING
            said += [*error.messages, *error.warnings]
        assert [name for name in FOREIGN for line in said if line.startswith(f"{name} (")] == (
            [] if key in SILENT else [next(name for name in FOREIGN if f"{key}.".startswith(f"{name}."))]
        )
        assert len(said) == (key not in SILENT)


def test_every_key_that_is_done_without_is_in_a_table() -> None:
    tables = STOPPING + WARNING
    assert not [name for name in FOREIGN if not any(f"{key}.".startswith(f"{name}.") for key in tables)]


REGISTRY_2 = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""

REGISTRY_3 = """\
version: 0.1
log:
  level: debug
  fields:
    service: registry
    environment: development
storage:
  delete:
    enabled: true
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  debug:
    addr: :5001
    prometheus:
      enabled: true
      path: /metrics
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def test_what_the_image_of_registry_2_ships_gives_one_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path, REGISTRY_2, {})
    place = tmp_path / "config.yml"
    assert loaded.warnings == (
        f"storage.cache (file {place} line 6): it has no effect here: metadata is kept in a database and needs no cache",
    )
    assert loaded.settings.health.storagedriver.threshold == 3
    assert not loaded.settings.storage.delete.enabled


def test_what_the_image_of_registry_3_ships_gives_three_warnings(tmp_path: Path) -> None:
    environ = {"OTEL_TRACES_EXPORTER": "none", "REGISTRY_CONFIGURATION_PATH": "/nowhere"}
    loaded = read(tmp_path, REGISTRY_3, environ)
    assert sorted(warning.split(" ")[0] for warning in loaded.warnings) == [
        "http.debug.addr",
        "http.debug.prometheus",
        "storage.cache",
    ]
    assert loaded.settings.log.level == "debug"
    assert loaded.settings.storage.delete.enabled


IN_THE_WILD: dict[str, str] = {
    "REGISTRY_AUTH": "htpasswd",
    "REGISTRY_AUTH_HTPASSWD_REALM": "Registry Realm",
    "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd",
    "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/data",
    "REGISTRY_STORAGE_DELETE_ENABLED": "true",
    "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR": "inmemory",
    "REGISTRY_STORAGE_REDIRECT_DISABLE": "false",
    "REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled": false}',
    "REGISTRY_HTTP_ADDR": "0.0.0.0:443",
    "REGISTRY_HTTP_TLS_CERTIFICATE": "/certs/domain.crt",
    "REGISTRY_HTTP_TLS_KEY": "/certs/domain.key",
    "REGISTRY_HTTP_SECRET": "placeholder",
    "REGISTRY_HTTP_HOST": "https://registry.example.com",
    "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": '["https://ui.example.com"]',
    "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Methods": "['HEAD', 'GET', 'OPTIONS', 'DELETE']",
    "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Credentials": "[true]",
    "REGISTRY_HTTP_RELATIVEURLS": "true",
    "REGISTRY_NOTIFICATIONS_ENDPOINTS": "[]",
    "REGISTRY_LOG_LEVEL": "warn",
    "REGISTRY_HTTP_DEBUG_ADDR": "localhost:5001",
    "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED": "true",
    "REGISTRY_CATALOG_MAXENTRIES": "5000",
    "REGISTRY_PROXY_REMOTEURL": "",
}


def test_variables_of_compose_files_work_over_the_file_of_registry_2(tmp_path: Path) -> None:
    loaded = read(tmp_path, REGISTRY_2, IN_THE_WILD)
    settings = loaded.settings
    assert sorted(warning.split(" ")[0] for warning in loaded.warnings) == [
        "REGISTRY_PROXY_REMOTEURL:",
        "http.debug.addr",
        "http.debug.prometheus",
        "http.secret",
        "storage.cache",
    ]
    assert settings.storage.filesystem is not None
    assert settings.storage.filesystem.rootdirectory == "/data"
    assert settings.auth.htpasswd is not None
    assert settings.auth.htpasswd.path == "/auth/htpasswd"
    assert settings.http.headers["Access-Control-Allow-Credentials"] == ["true"]
    assert len(settings.http.headers) == 4
