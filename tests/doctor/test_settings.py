"""Mistakes in the settings themselves."""

from pathlib import Path

import pytest

from doctor.reports import ANN_LINE, report, resting

UI = "{Access-Control-Allow-Origin: ['https://ui.example.com'], Access-Control-Allow-Headers: ['Authorization'],"
UI += " Access-Control-Allow-Methods: ['GET, DELETE'], Access-Control-Expose-Headers: ['Docker-Content-Digest']}"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("auth__token__realm", "https://auth", ("problem", "auth.token")),
        ("http__tls__certifcate", "/tls.crt", ("advice", "did you mean REGISTRY_HTTP_TLS_CERTIFICATE")),
        ("storage__delete__enabled", "perhaps", ("problem", "storage.delete.enabled")),
        ("http__host", "registry.example.com", ("problem", "http.host", "scheme")),
        ("storage__cache__blobdescriptor", "redis", ("advice", "no effect", "remove it")),
        ("http__secret", "s3cret", ("advice", "http.secret", "no effect")),
    ],
)
def test_configuration(key: str, value: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root", **{key: value}))
    found.says("configuration", *expected)
    assert "s3cret" not in str(found)


def test_injected_variables(tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root", port="tcp://10.0.0.1:5000", service__host="10.0.0.1"))
    found.says("configuration", "advice", "REGISTRY_PORT", "Kubernetes")


def test_warnings_beside_an_error(tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root", http__addr="nowhere", http__secret="s3cret"))
    found.says("configuration", "problem", "http.addr")
    found.says("configuration", "advice", "http.secret", "no effect")


def test_replicas_need_no_secret(tmp_path: Path) -> None:
    report(resting(tmp_path / "root")).says("servers", "ok", "no common http.secret")


def test_plain_http_for_everybody(tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root", http__addr="0.0.0.0:1"), url="http://localhost:1")
    found.says("exposure", "advice", "plain HTTP", '{"insecure-registries": ["localhost:1"]}', "certificate")
    found.says("exposure", "advice", '[host."http://localhost:1"]', "insecure = true")
    found.says("exposure", "advice", "no accounts", "push and overwrite", "holdfast htpasswd -Bbn")


def test_a_proxy_with_tls_in_front(tmp_path: Path) -> None:
    (tmp_path / "users").write_text(ANN_LINE)
    settings = resting(tmp_path / "root", http__addr="0.0.0.0:1", auth__htpasswd__path=str(tmp_path / "users"))
    report(settings, url="https://localhost:1").says("exposure", "ok", "encrypted")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("https://ui.example.com", "https://ui.example.com/", ("problem", "without a slash")),
        ("https://ui.example.com", "ui.example.com", ("problem", "scheme, host and port")),
        ("'https://ui.example.com'", "'https://a.example', 'https://b.example'", ("problem", "several origins")),
        (
            "['https://ui.example.com']",
            "['*'], Access-Control-Allow-Credentials: ['true']",
            ("problem", "the origin *"),
        ),
        ("Authorization", "Accept", ("problem", "cannot sign in", "Authorization")),
        ("['Docker-Content-Digest']", "[]", ("advice", "digests", "Docker-Content-Digest")),
        ("nothing", "nothing", ("advice", "DELETE", "switched off", "storage.delete.enabled: true")),
    ],
)
def test_user_interfaces(old: str, new: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "users").write_text(ANN_LINE)
    settings = resting(
        tmp_path / "root", auth__htpasswd__path=str(tmp_path / "users"), http__headers=UI.replace(old, new)
    )
    report(settings).says("browsers", *expected)
