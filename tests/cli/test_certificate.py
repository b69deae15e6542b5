"""`holdfast certificate`: what the files hold, who trusts them, and what is printed."""

import re
import socket
import ssl
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from holdfast.app.tls import CertificateFiles
from holdfast.cli.certificate import CERTIFICATE, KEY, certificate


def run(directory: Path, *arguments: str) -> Result:
    """Run the command for `directory`."""
    return CliRunner().invoke(certificate, [*arguments, "--directory", str(directory)])


def made(directory: Path) -> x509.Certificate:
    """The certificate in `directory`."""
    return x509.load_pem_x509_certificate((directory / CERTIFICATE).read_bytes())


def test_names_addresses_and_wildcards_are_in_the_certificate(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "Registry.Example.com",
        "*.lan",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "2001:DB8::1",
        "bücher.example",
        "localhost",
    )
    assert result.exit_code == 0, result.output
    names = made(tmp_path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [
        "registry.example.com",
        "*.lan",
        "localhost",
        "xn--bcher-kva.example",
    ]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1", "2001:db8::1"]


@pytest.mark.parametrize("key_type", ["ec", "rsa"])
def test_the_one_file_is_server_certificate_and_root_of_trust(tmp_path: Path, key_type: str) -> None:
    assert run(tmp_path, "localhost", "127.0.0.1", "--key-type", key_type).exit_code == 0
    key = made(tmp_path).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey if key_type == "ec" else rsa.RSAPublicKey)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / CERTIFICATE, tmp_path / KEY)
    client = ssl.create_default_context(cafile=tmp_path / CERTIFICATE)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert greeting(server, client, "localhost") == b"hello"
    assert greeting(server, client, "127.0.0.1") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(server, client, "example.com")
    subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", CERTIFICATE, CERTIFICATE],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )


def greeting(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bytes:
    """What a client that checks `name` hears from a server, over real sockets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                try:
                    with server.wrap_socket(accepted, server_side=True) as secured:
                        secured.sendall(b"hello")
                except OSError:  # the client did not like the certificate
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname()) as connection,
                client.wrap_socket(connection, server_hostname=name) as secured,
            ):
                return secured.recv(100)
        finally:
            thread.join()


def test_it_may_not_sign_other_certificates(tmp_path: Path) -> None:
    assert run(tmp_path, "localhost").exit_code == 0
    extensions = made(tmp_path).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_the_registry_takes_it_and_the_key_is_private(tmp_path: Path) -> None:
    assert run(tmp_path / "new" / "tls", "localhost", "--days", "30").exit_code == 0
    directory = tmp_path / "new" / "tls"
    files = CertificateFiles(str(directory / CERTIFICATE), str(directory / KEY))
    try:
        assert files.load().names == ("localhost",)
    finally:
        files.close()
    assert stat.S_IMODE((directory / KEY).stat().st_mode) == 0o600
    assert stat.S_IMODE((directory / CERTIFICATE).stat().st_mode) == 0o644
    certificate = made(directory)
    days = (certificate.not_valid_after_utc - certificate.not_valid_before_utc).total_seconds() / 86400
    assert 30 <= days < 30.1
    assert sorted(path.name for path in directory.iterdir()) == [CERTIFICATE, KEY]


def test_existing_files_stay_unless_forced(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"precious")
    result = run(tmp_path, "localhost")
    assert result.exit_code == 1
    assert KEY in result.output
    assert (tmp_path / KEY).read_bytes() == b"precious"
    assert not (tmp_path / CERTIFICATE).exists()
    assert run(tmp_path, "localhost", "--force").exit_code == 0
    assert b"PRIVATE KEY" in (tmp_path / KEY).read_bytes()


@pytest.mark.parametrize(
    "name", ["https://a.example", "a.example:5000", "a..b", "-a", "a b", "", "*", "a.*.b", "300.1.2.3", "x" * 64]
)
def test_what_is_no_name_is_refused(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(certificate, ["--directory", str(tmp_path), "--", name])
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_long_names_fit_the_subject(tmp_path: Path) -> None:
    name = ".".join(["a" * 60] * 4)
    assert run(tmp_path, name).exit_code == 0
    (common,) = made(tmp_path).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common.value == name[:64]


def test_prints_settings_and_what_makes_clients_trust_it(tmp_path: Path) -> None:
    output = run(tmp_path, "registry.example.com", "*.example.com", "::1", "--port", "8443").output
    crt = tmp_path / CERTIFICATE
    assert f"REGISTRY_HTTP_TLS_CERTIFICATE={crt}\n" in output
    assert f"REGISTRY_HTTP_TLS_KEY={tmp_path / KEY}\n" in output
    for root in ("/etc/docker/certs.d", "/etc/containers/certs.d"):
        place = f"{root}/registry.example.com:8443"
        assert f"mkdir -p {place} && cp {crt} {place}/ca.crt\n" in output
        assert f"'{root}/[::1]:8443'/ca.crt\n" in output
    assert "update-ca-certificates" in output
    assert "*.example.com:" not in output


def test_the_port_of_https_is_left_out(tmp_path: Path) -> None:
    output = run(tmp_path, "registry.example.com", "--port", "443").output
    assert "/etc/docker/certs.d/registry.example.com/ca.crt" in output
    assert ":443" not in output


def test_the_printed_commands_are_shell(tmp_path: Path) -> None:
    directory = tmp_path / "it's a place"
    output = run(directory, "localhost", "::1").output
    commands = [line.strip() for line in output.splitlines() if re.match(r"\s+(mkdir|cp) ", line)]
    assert len(commands) == 5
    root = tmp_path / "root"
    for command in commands[:4]:
        there = command.replace("/etc/", f"{root}/etc/")
        subprocess.run(["sh", "-ec", there], check=True)
    trusted = sorted(str(path.relative_to(root)) for path in root.rglob("ca.crt"))
    assert trusted == [
        f"etc/{c}/certs.d/{a}:5000/ca.crt" for c in ("containers", "docker") for a in ("[::1]", "localhost")
    ]
