"""Variables: entries of lists, sections replaced, secrets in files, and the port of a hosting platform."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from config.cases import VERSION, read, values
from holdfast.config.check import Check
from holdfast.config.declared import declare
from holdfast.config.load import ConfigurationError, load
from holdfast.config.merge import overlay
from holdfast.config.problems import Findings
from holdfast.config.section import Section, setting
from holdfast.config.tree import Branch

FILE_LIST = "health: {file: [{file: /a}, {file: /b, interval: 1m}]}\nvalidation: {manifests: {urls: {allow: [x, y]}}}\n"
ALLOW = "REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW"
CHECKS = "REGISTRY_HEALTH_FILE"

EFFECTIVE: list[tuple[str, dict[str, str], dict[str, object]]] = [
    ("", {f"{ALLOW}_0": "a"}, {"validation.manifests.urls.allow": ["a"]}),
    (FILE_LIST, {f"{ALLOW}_0": "a"}, {"validation.manifests.urls.allow": ["a", "y"]}),
    (FILE_LIST, {f"{ALLOW}_2": "123"}, {"validation.manifests.urls.allow": ["x", "y", "123"]}),
    (
        "",
        {f"{ALLOW}_{place}": str(place) for place in range(12)},
        {"validation.manifests.urls.allow": [str(place) for place in range(12)]},
    ),
    (FILE_LIST, {ALLOW: "[p, q]", f"{ALLOW}_2": "r"}, {"validation.manifests.urls.allow": ["p", "q", "r"]}),
    (FILE_LIST, {f"{ALLOW}_0": "{a"}, {"validation.manifests.urls.allow": ["{a", "y"]}),
    (FILE_LIST, {"REGISTRY_VALIDATION_MANIFESTS_URLS": "{}"}, {"validation.manifests.urls.allow": []}),
    (FILE_LIST, {"REGISTRY_VALIDATION_MANIFESTS_URLS": "{deny: [z]}"}, {"validation.manifests.urls.deny": ["z"]}),
    (
        FILE_LIST,
        {f"{CHECKS}_1_FILE": "/c", f"{CHECKS}_0_INTERVAL": "2m"},
        {
            "health.file.0.file": "/a",
            "health.file.0.interval": 120.0,
            "health.file.1.file": "/c",
            "health.file.1.interval": 60.0,
        },
    ),
    (
        FILE_LIST,
        {f"{CHECKS}_1": "{file: /new}"},
        {"health.file.1.file": "/new", "health.file.1.interval": 10, "health.file.0.file": "/a"},
    ),
    (
        "storage: {s3: {bucket: b, region: r, accesskey: ''}}",
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        {f"storage.s3.{name}": "********" for name in ("accesskey", "secretkey", "sessiontoken")},
    ),
    (
        "storage: {s3: {bucket: b, region: r, accesskey: a, secretkey: s}}",
        {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        {"storage.s3.sessiontoken": ""},
    ),
    (
        "storage: {s3: {bucket: b, region: r}}",
        {"AWS_ACCESS_KEY_ID": "a"},
        {"storage.s3.accesskey": ""},
    ),
    (
        "storage: {s3aws: {bucket: b, region: r}}",
        {"REGISTRY_STORAGE_S3_SECURE": "false", "REGISTRY_STORAGE_S3AWS_ENCRYPT": "true"},
        {"storage.s3.bucket": "b", "storage.s3.secure": False, "storage.s3.encrypt": True},
    ),
    (
        "",
        {"REGISTRY_STORAGE": "s3aws", "REGISTRY_STORAGE_S3AWS_BUCKET": "b", "REGISTRY_STORAGE_S3_REGION": "r"},
        {"storage.s3.bucket": "b", "storage.s3.region": "r"},
    ),
    (
        "",
        {f"{CHECKS}_{place}_FILE": f"/{place}" for place in range(11)} | {f"{CHECKS}_10_INTERVAL": "3s"},
        {"health.file.10.file": "/10", "health.file.10.interval": 3.0, "health.file.2.file": "/2"},
    ),
    (FILE_LIST, {CHECKS: "[{file: /x}]"}, {"health.file.0.file": "/x", "health.file.1.file": None}),
    (FILE_LIST, {CHECKS: "[]"}, {"health.file": []}),
    (
        "",
        {"REGISTRY_HEALTH_HTTP_0_URI": "http://a", "REGISTRY_HEALTH_HTTP_0_HEADERS_X-Key": "[k]"},
        {"health.http.0.uri": "http://a", "health.http.0.headers.X-Key": "********", "health.http.0.statuscode": 200},
    ),
    ("", {"REGISTRY_HTTP_HEADERS_X-A_0": "b", "REGISTRY_HTTP_HEADERS_X-A_1": "c"}, {"http.headers.X-A": ["b", "c"]}),
    (
        "",
        {"REGISTRY_HTTP_HEADERS_X-CONTENT-TYPE-OPTIONS_1": "z"},
        {"http.headers.X-Content-Type-Options": ["nosniff", "z"]},
    ),
    ("", {"REGISTRY_LOG_FIELDS_A_0": "b"}, {"log.fields.a_0": "b"}),
    (
        "log: {fields: {a: {b: c}, d: [1, ~, [e]]}}",
        {},
        {"log.fields.a": '{"b": "c"}', "log.fields.d": '["1", null, ["e"]]'},
    ),
    (
        "",
        {"REGISTRY_STORAGE_MAINTENANCE": "{uploadpurging: {enabled: false}}"},
        {"storage.maintenance.uploadpurging.enabled": False},
    ),
    ("", {"REGISTRY_VALIDATION": "", "REGISTRY_HTTP_NET": "TCP"}, {"http.net": "tcp"}),
    ("catalog: {maxentries: 0}", {"REGISTRY_TAGS_MAXTAGS": "0"}, {"catalog.maxentries": 1000, "tags.maxtags": 1000}),
]


@pytest.mark.parametrize(("file", "environ", "wanted"), EFFECTIVE)
def test_effective(file: str, environ: dict[str, str], wanted: dict[str, object], tmp_path: Path) -> None:
    loaded = read(tmp_path, VERSION + file, environ)
    effective = values(loaded)
    assert {key: effective.get(key) for key in wanted} == wanted
    assert set(loaded.origins) == set(effective)


def test_the_origin_of_a_list_names_the_variables_that_changed_it(tmp_path: Path) -> None:
    key = "validation.manifests.urls.allow"
    loaded = read(tmp_path, VERSION + FILE_LIST, {f"{ALLOW}_1": "b", f"{ALLOW}_2": "c"})
    assert loaded.origins[key] == f"file {tmp_path / 'config.yml'} line 3, variable {ALLOW}_1, variable {ALLOW}_2"
    assert load(None, {f"{ALLOW}_0": "b"}).origins[key] == f"variable {ALLOW}_0"


FAILING = [
    (
        {f"{ALLOW}_1": "b"},
        f"{ALLOW}_1: there is no entry 0 before it; number the entries from 0 without a gap",
    ),
    (
        {f"{CHECKS}_0_FILE": "a", f"{CHECKS}_2_FILE": "b"},
        f"{CHECKS}_2_FILE: there is no entry 1 before it; number the entries from 0 without a gap",
    ),
    (
        {f"{CHECKS}_0_INTERVAL": "1s"},
        f"health.file.0.file: it is needed (variable {CHECKS}_0_INTERVAL); write it there",
    ),
    (
        {f"{ALLOW}_0": "a", ALLOW: "b"},
        f"validation.manifests.urls.allow (variable {ALLOW}): found 'b', expected a list",
    ),
    ({CHECKS: "a"}, f"health.file (variable {CHECKS}): found 'a', expected a list of sections with file, interval"),
    (
        {ALLOW: "{a: b}"},
        f"validation.manifests.urls.allow (variable {ALLOW}): found a mapping, expected a list of texts",
    ),
    ({"REGISTRY_STORAGE_MAINTENANCE_READONLY": "true"}, "found 'true', expected a section with enabled"),
    ({"REGISTRY_HTTP": "[a]"}, "http (variable REGISTRY_HTTP): found a list, expected a section with addr"),
]


@pytest.mark.parametrize(("environ", "words"), FAILING)
def test_failing(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, environ)
    (message,) = caught.value.messages
    assert words in message


def test_a_list_below_something_else_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"health\.file \(file .* line 2\): found 'x', expected a list"):
        read(tmp_path, VERSION + "health: {file: x}", {f"{CHECKS}_0_FILE": "a"})


@pytest.mark.parametrize(
    "name",
    [f"{ALLOW}_X", f"{ALLOW}_0_1", f"{ALLOW}_-1", f"{CHECKS}_A_FILE", f"{CHECKS}_0_X", f"{ALLOW}_9999999", f"{ALLOW}_"],
)
def test_a_name_that_is_no_place_is_ignored_with_a_warning(name: str) -> None:
    (warning, *_) = load(None, {name: "x", f"{CHECKS}_0_FILE": "y"}).warnings
    assert warning.startswith(f"{name}: ignored")


def test_variables_reach_into_lists_of_registry_2_too(tmp_path: Path) -> None:
    file = "middleware: {storage: [{name: a, disabled: true}, {name: b, disabled: true}]}"
    switch = "REGISTRY_MIDDLEWARE_STORAGE_{}_DISABLED"
    assert read(tmp_path, VERSION + file, {switch.format(1): "true"}).warnings == ()
    with pytest.raises(ConfigurationError, match="middleware"):
        read(tmp_path, VERSION + file, {switch.format(1): "false"})
    with pytest.raises(ConfigurationError, match="there is no entry 2 before it"):
        read(tmp_path, VERSION + file, {switch.format(3): "true"})
    for name in ("REGISTRY_MIDDLEWARE_STORAGE_X_DISABLED", "REGISTRY_MIDDLEWARE_STORAGE_X"):
        (warning,) = read(tmp_path, VERSION + file, {name: "true"}).warnings
        assert warning.startswith(f"{name}: ignored")
    (warning,) = load(None, {"REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL": "http://x"}).warnings
    assert warning.startswith("notifications (variable REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL): it has no effect yet")


def test_a_name_of_very_many_parts_is_ignored() -> None:
    for start in ("REGISTRY_NOTIFICATIONS", "REGISTRY_LOG_FIELDS", ALLOW, "REGISTRY"):
        (warning,) = load(None, {start + "_A" * 20_000: "x"}).warnings
        assert warning.startswith(f"{start}_A_A")
        assert "ignored, no setting has this name" in warning


def test_headers_of_a_health_check_are_not_shown() -> None:
    loaded = load(None, {"REGISTRY_HEALTH_HTTP": "[{uri: x, headers: {Authorization: [hunter2]}}]"})
    assert loaded.settings.health.http[0].headers == {"Authorization": ["hunter2"]}
    assert values(loaded)["health.http.0.headers.Authorization"] == "********"


SECRET = "REGISTRY_HTTP_SECRET"


@pytest.mark.parametrize("text", ["hunter2", "hunter2\n", "hunter2\r\n\n", "\ufeffhunter2"])
def test_a_secret_is_read_from_a_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(text, encoding="utf-8", newline="")
    loaded = load(None, {f"{SECRET}_FILE": str(tmp_path / "secret"), SECRET: ""})
    assert loaded.settings.http.secret == "hunter2"
    assert loaded.origins["http.secret"] == f"variable {SECRET}_FILE"
    assert "hunter2" not in str((loaded.warnings, values(loaded)))


def test_a_secret_wins_over_the_file_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" spaces stay ")
    loaded = read(tmp_path, VERSION + "http: {secret: x}", {f"{SECRET}_FILE": str(tmp_path / "secret")})
    assert loaded.settings.http.secret == " spaces stay "


def test_a_secret_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    name, path = f"{SECRET}_FILE", tmp_path / "secret"
    cases: list[tuple[bytes | None, dict[str, str], str]] = [
        (None, {}, f"{name}: file '{path}': there is no such file; correct the path"),
        (b"\n", {}, f"{name}: file '{path}' is empty; write the secret into it"),
        (b"\xff", {}, f"{name}: file '{path}': line 1 is not UTF-8 text"),
        (b"a" * 1_100_000, {}, f"{name}: file '{path}': it is larger than 1048576 bytes"),
        (b"a", {SECRET: "b"}, f"{name} and {SECRET}: give one of them only"),
    ]
    for content, beside, words in cases:
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ConfigurationError) as caught:
            load(None, {name: str(path), **beside})
        (message,) = caught.value.messages
        assert message.startswith(words)
    with pytest.raises(ConfigurationError, match="it is a directory"):
        load(None, {name: str(tmp_path)})
    assert load(None, {name: ""}).warnings == (f"{name}: ignored, it is empty",)


def test_only_secrets_are_read_from_files(tmp_path: Path) -> None:
    (warning,) = load(None, {"REGISTRY_HTTP_ADDR_FILE": str(tmp_path / "x")}).warnings
    assert warning.startswith("REGISTRY_HTTP_ADDR_FILE: ignored, no setting has this name")


class Door(Section, frozen=True, kw_only=True):
    """A section with a secret that is a number."""

    code: Annotated[int, setting("A code.", secret=True)] = 0
    words: Annotated[list[str], setting("Words.")] = msgspec.field(default_factory=lambda: ["x", "y"])


class House(Section, frozen=True, kw_only=True):
    """A file with a list that has a default and a list of sections with secrets."""

    doors: Annotated[list[Door], setting("Doors.")] = msgspec.field(default_factory=list)
    words: Annotated[list[str], setting("Words.")] = msgspec.field(default_factory=lambda: ["x", "y"])


def read_house(environ: dict[str, str]) -> dict[str, Any]:
    findings, root, house = Findings(), Branch("default"), declare(House)
    overlay(root, environ, findings, house)
    read = Check(findings).whole(root, house)
    assert (findings.problems, findings.warnings) == ([], [])
    return read


def test_secrets_in_lists_and_defaults_of_lists(tmp_path: Path) -> None:
    (tmp_path / "code").write_text("7\n")
    given = {"REGISTRY_DOORS_0_CODE_FILE": str(tmp_path / "code"), "REGISTRY_DOORS_1_WORDS_2": "z"}
    door, other = read_house({**given, "REGISTRY_WORDS_1": "w"})["doors"]
    assert (door, other) == ({"code": 7, "words": ["x", "y"]}, {"code": 0, "words": ["x", "y", "z"]})
    assert read_house({"REGISTRY_WORDS_2": "z"})["words"] == ["x", "y", "z"]


PORTS: list[tuple[str, dict[str, str], str, str]] = [
    ("", {"PORT": "8080"}, ":8080", "variable PORT"),
    ("http: {host: 'http://a'}\n", {"PORT": " 08080 "}, ":8080", "variable PORT"),
    ("http:\n", {"PORT": "1"}, ":1", "variable PORT"),
    ("http: {addr: }\n", {"PORT": "65535"}, ":65535", "variable PORT"),
    ("", {"PORT": ""}, ":5000", "default"),
    ("", {"PORT": "8080", "REGISTRY_HTTP_ADDR": ":7"}, ":7", "variable REGISTRY_HTTP_ADDR"),
    ("http: {addr: ':7'}", {"PORT": "8080"}, ":7", "file FILE line 2"),
    ("http: {addr: ':7'}", {"PORT": "nonsense"}, ":7", "file FILE line 2"),
    ("http: {addr: ':7'}", {"PORT": "8080", "REGISTRY_HTTP": "{net: tcp}"}, ":8080", "variable PORT"),
    ("http: {net: unix, addr: /run/x}", {"PORT": "8080"}, "/run/x", "file FILE line 2"),
    ("", {"PORT": "8080", "REGISTRY_PORT": "tcp://10.0.0.1:5000"}, ":8080", "variable PORT"),
]


@pytest.mark.parametrize(("file", "environ", "addr", "origin"), PORTS)
def test_the_port_of_a_platform(file: str, environ: dict[str, str], addr: str, origin: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, VERSION + file, environ)
    assert loaded.settings.http.addr == addr
    assert loaded.origins["http.addr"] == origin.replace("FILE", str(tmp_path / "config.yml"))


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80a", "tcp://10.0.0.1:80", "8080:80", "\u0668", "9" * 5000])
def test_a_port_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(None, {"PORT": text})
    (message,) = caught.value.messages
    assert message.startswith("PORT: found ")
    assert message.endswith("expected a port from 1 to 65535 to listen on; unset it, or set http.addr")


def test_a_port_beside_a_wrong_section_is_no_second_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, VERSION + "http: x", {"PORT": "8080"})
    assert len(caught.value.messages) == 1


def test_a_socket_needs_its_path_also_beside_a_port() -> None:
    with pytest.raises(ConfigurationError, match=r"http\.addr \(default\)"):
        load(None, {"PORT": "8080", "REGISTRY_HTTP_NET": "unix"})


def test_warnings_are_not_lost_beside_problems(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, VERSION + "redis: {addrs: [a]}\nhttp: {adr: x}\n", {"REGISTRY_TAGS_MAXTAGS": "x"})
    assert len(caught.value.messages) == 1
    assert {warning.split(" ")[0] for warning in caught.value.warnings} == {"http.adr", "redis"}
