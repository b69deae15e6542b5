"""What `holdfast config --explain` says."""

import pytest

from holdfast.config.declared import settings
from holdfast.config.explain import UnknownKey, explain
from holdfast.config.foreign import FOREIGN
from holdfast.config.load import load

LOADED = load(
    None,
    {
        "REGISTRY_STORAGE_DELETE_ENABLED": "true",
        "REGISTRY_HTTP_SECRET": "hunter2",
        "REGISTRY_HEALTH_FILE_0_FILE": "/down",
        "REGISTRY_HEALTH_FILE_1_FILE": "/off",
        "REGISTRY_REDIS_ADDRS": "[a]",
        "REGISTRY_LOG_FIELDS_SITE": "Bonn",
        "PORT": "8080",
    },
)


def test_a_setting() -> None:
    assert explain("storage.delete.enabled", LOADED) == [
        "storage.delete.enabled",
        "",
        "  Allow deleting tags, manifests, blobs and repositories over HTTP.",
        "",
        "  Type:      true or false",
        "  Default:   false",
        "  Variable:  REGISTRY_STORAGE_DELETE_ENABLED",
        "  Known to:  Holdfast and registry:2",
        "",
        "  Now:",
        "    storage.delete.enabled: true  # variable REGISTRY_STORAGE_DELETE_ENABLED",
    ]


SAID = [
    ("http.secret", '    http.secret: "********"  # variable REGISTRY_HTTP_SECRET'),
    ("http.secret", "  Variable:  REGISTRY_HTTP_SECRET, or REGISTRY_HTTP_SECRET_FILE for a file that holds it"),
    ("http.secret", "  Effect:    none here: uploads are kept in the database, so no secret has to be shared"),
    ("REGISTRY_HTTP_SECRET_FILE", "http.secret"),
    ("HTTP.Addr", "http.addr"),
    ("http.addr", "    http.addr: :8080  # variable PORT"),
    ("PORT", "http.addr"),
    ("REGISTRY_CONFIGURATION_PATH", "  The path of the configuration file, where the command names none."),
    ("server.workers", "  Known to:  Holdfast only"),
    ("tags.maxtags", "  Known to:  Holdfast and registry:3"),
    ("auth.htpasswd.path", "  Default:   none; it must be given where its section is"),
    ("auth.htpasswd.path", "  Now:       not given"),
    ("health.file", "  Type:      a list of sections with file, interval"),
    ("health.file", "    health.file.1.file: /off  # variable REGISTRY_HEALTH_FILE_1_FILE"),
    ("health.file.N.file", "    health.file.1.file: /off  # variable REGISTRY_HEALTH_FILE_1_FILE"),
    ("health.file.1.file", "    health.file.1.file: /off  # variable REGISTRY_HEALTH_FILE_1_FILE"),
    ("REGISTRY_HEALTH_FILE_1_FILE", "    health.file.1.file: /off  # variable REGISTRY_HEALTH_FILE_1_FILE"),
    ("REGISTRY_HEALTH_FILE_N_FILE", "health.file.0.file"),
    ("health.file.7.file", "  Now:       not given"),
    ("health.file.0", "  - interval"),
    ("health.http", "    health.http: []  # default"),
    ("validation.manifests.urls.allow.0", "  Type:      a text"),
    ("log.fields", "  Variable:  REGISTRY_LOG_FIELDS, or REGISTRY_LOG_FIELDS_NAME for one entry"),
    ("log.fields.site", "    log.fields.site: Bonn  # variable REGISTRY_LOG_FIELDS_SITE"),
    ("http.headers.X-Content-Type-Options", '    http.headers.X-Content-Type-Options: ["nosniff"]  # default'),
    ("http", "  - addr"),
    ("http", "  - tls  (a section)"),
    ("http", "  - debug.addr  (of registry:2; accepted, without effect)"),
    ("http", "    http.addr: :8080  # variable PORT"),
    ("REGISTRY_HTTP", "  Variable:  REGISTRY_HTTP replaces the whole section"),
    ("storage", "  At most one of filesystem, inmemory, s3, gcs, azure; without any: filesystem."),
    ("storage", "  - swift  (of registry:2; stops the start)"),
    ("storage.s3aws.bucket", "  Variable:  REGISTRY_STORAGE_S3_BUCKET"),
    ("REGISTRY_STORAGE_S3AWS_BUCKET", "storage.s3.bucket"),
    ("REGISTRY_STORAGE_AZURE_MAX_RETRIES", "storage.azure.max_retries"),
    ("redis.addrs", "  redis: accepted, without effect: redis is not used."),
    ("redis", "  Now:       redis (variable REGISTRY_REDIS_ADDRS): it has no effect here: redis is not used"),
    (
        "REGISTRY_STORAGE_SWIFT_CONTAINER",
        "  storage.swift: stops the start: this storage driver is not available; Swift speaks S3, use s3 with regionendpoint.",
    ),
    ("proxy.remoteurl", "  Now:       nothing is asked of it"),
    ("http.debug", "  http.debug.prometheus: accepted, without effect yet: no metrics are published."),
]


@pytest.mark.parametrize(("name", "line"), SAID)
def test_lines(name: str, line: str) -> None:
    said = explain(name, LOADED)
    assert line in said
    assert "hunter2" not in "\n".join(said)


def test_every_setting_and_key_of_registry_2_is_explained_by_key_and_variable() -> None:
    for setting in settings():
        assert explain(setting.key, LOADED)[0] == setting.key
        assert explain(setting.variable, LOADED)[0] == setting.key.replace(".N.", ".0.")
    for key, foreign in FOREIGN.items():
        assert foreign.words in "\n".join(explain(key, LOADED))


def test_without_a_configuration_that_can_be_used() -> None:
    assert explain("http.addr", None)[-1] == "  Now:       not known, since the configuration cannot be used"
    assert explain("proxy", None)[-1] == "  Variable:  REGISTRY_PROXY"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http.adr", "there is no key or variable called 'http.adr'; did you mean http.addr?"),
        ("rootdirectory", "did you mean storage.filesystem.rootdirectory?"),
        ("storage.filesytem", "did you mean storage.filesystem?"),
        ("redsi", "did you mean redis?"),
        ("REGISTRY_HTTP_ADR", "did you mean REGISTRY_HTTP_ADDR?"),
        ("REGISTRY_HTTP_ADDR_FILE", "did you mean REGISTRY_HTTP_ADDR?"),
        ("REGISTRY_http_addr", "there is no key"),
        ("http.addr.x", "there is no key"),
        ("health.file.x", "there is no key"),
        ("", "there is no key or variable called ''"),
        ("REGISTRY_", "there is no key or variable called 'REGISTRY_'"),
        (".", "there is no key"),
        ("\x1b[31m", r"'\x1b[31m'"),
    ],
)
def test_what_is_not_known(name: str, words: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        explain(name, LOADED)
    assert words in str(caught.value)
