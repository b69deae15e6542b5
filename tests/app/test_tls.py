"""Certificate files: what is accepted, what is said about the rest, and how changes are taken over."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from structlog.testing import capture_logs

from holdfast.app.tls import CertificateFiles, Loaded, TLSError


class Files:
    """A certificate and a key on disk."""

    def __init__(self, directory: Path) -> None:
        self.certificate = directory / "tls.crt"
        self.key = directory / "tls.key"
        self.now = datetime.now(UTC)
        self.subject = CertificateFiles(str(self.certificate), str(self.key), now=lambda: self.now)

    def issue(self, name: str, key_type: trustme.KeyType = trustme.KeyType.ECDSA) -> trustme.CA:
        """Write a pair for `name`, signed by an intermediate authority, each file put in place by renaming; the root
        authority.
        """
        root = trustme.CA()
        leaf = root.create_child_ca().issue_cert(name, key_type=key_type)
        self.replace(self.certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        self.replace(self.key, leaf.private_key_pem.bytes())
        return root

    @staticmethod
    def replace(path: Path, content: bytes) -> None:
        """Put a whole file in place."""
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(path)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.subject.close()


def serves(loaded: Loaded, root: trustme.CA, name: str) -> bool:
    """Whether a TLS server with what was loaded convinces a client that trusts `root` and asks for `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(loaded.certificate, loaded.key)
    client = ssl.create_default_context()
    root.configure_trust(client)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with ours, contextlib.suppress(OSError):  # the client refused
            server.wrap_socket(ours, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with theirs:
            try:
                client.wrap_socket(theirs, server_hostname=name).close()
            except ssl.SSLCertVerificationError:
                return False
            return True
    finally:
        thread.join()


def rewritten(key: bytes, layout: PrivateFormat, prefix: bytes = b"") -> bytes:
    """A key in another layout."""
    return prefix + load_pem_private_key(key, None).private_bytes(Encoding.PEM, layout, NoEncryption())


@pytest.mark.parametrize("key_type", list(trustme.KeyType))
@pytest.mark.parametrize("layout", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_keys_of_each_kind_and_layout_serve_with_their_chain(
    files: Files, key_type: trustme.KeyType, layout: PrivateFormat
) -> None:
    root = files.issue("registry.example.com", key_type)
    files.replace(files.key, rewritten(files.key.read_bytes(), layout, b"a comment\n"))
    with capture_logs() as logs:
        loaded = files.subject.load()
    assert logs == []
    assert loaded.names == ("registry.example.com",)
    assert serves(loaded, root, "registry.example.com")
    assert not serves(loaded, root, "other.example.com")


def test_openssl_s_files_with_parameters_and_both_in_one_file_are_read(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    script = (
        "openssl ecparam -name prime256v1 -genkey -out key && "
        "openssl req -x509 -new -key key -subj /CN=a -addext subjectAltName=DNS:a -days 90 -out crt && cat key crt >both.pem"
    )
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    assert b"EC PARAMETERS" in both.read_bytes()
    subject = CertificateFiles(str(both), str(both))
    try:
        loaded = subject.load()
        assert loaded.names == ("a",)
        assert b"BEGIN PRIVATE KEY" in loaded.key.read_bytes()
    finally:
        subject.close()


def test_the_files_in_memory_outlive_those_on_disk_and_other_processes_read_them(files: Files) -> None:
    root = files.issue("a.example")
    loaded = files.subject.load()
    files.key.unlink()
    files.certificate.write_bytes(b"garbage")
    assert serves(loaded, root, "a.example")
    script = "import ssl, sys; ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, str(loaded.certificate), str(loaded.key)], check=True)
    files.subject.close()
    assert not loaded.key.exists()


def test_a_new_pair_is_taken_over_under_the_same_paths(files: Files) -> None:
    old_root = files.issue("a.example")
    old = files.subject.load()
    assert not files.subject.changed()
    assert files.subject.reload() is None
    new_root = files.issue("b.example", trustme.KeyType.RSA)
    assert files.subject.changed()
    new = files.subject.reload()
    assert new is not None
    assert (new.certificate, new.key) == (old.certificate, old.key)
    assert new.names == ("b.example",)
    assert serves(new, new_root, "b.example")
    assert not serves(new, old_root, "a.example")
    assert not files.subject.changed()


def test_files_behind_links_are_followed(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        Files(tmp_path / version).issue(f"{version}.example")
    (tmp_path / "current").symlink_to("one")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"current/{name}")
    files = Files(tmp_path)
    try:
        assert files.subject.load().names == ("one.example",)
        (tmp_path / "next").symlink_to("two")
        os.replace(tmp_path / "next", tmp_path / "current")
        loaded = files.subject.reload()
        assert loaded is not None
        assert loaded.names == ("two.example",)
    finally:
        files.subject.close()


def spoil_certificate(files: Files) -> None:
    files.certificate.write_bytes(b"garbage")


def spoil_key(files: Files) -> None:
    files.key.unlink()


def spoil_pair(files: Files) -> None:
    kept = files.key.read_bytes()
    files.issue("b.example")
    files.key.write_bytes(kept)


@pytest.mark.parametrize("spoil", [spoil_certificate, spoil_key, spoil_pair])
def test_a_bad_pair_is_refused_with_one_error_for_each_change(files: Files, spoil: Callable[[Files], None]) -> None:
    root = files.issue("a.example")
    loaded = files.subject.load()
    with capture_logs() as logs:
        spoil(files)
        assert [files.subject.reload() for _ in range(3)] == [None] * 3
    assert [entry["log_level"] for entry in logs] == ["error"]
    assert str(files.certificate.parent) in logs[0]["reason"]
    assert serves(loaded, root, "a.example")
    new_root = files.issue("b.example")
    again = files.subject.reload()
    assert again is not None
    assert serves(again, new_root, "b.example")


def test_rewriting_the_same_content_changes_nothing(files: Files) -> None:
    files.issue("a.example")
    files.subject.load()
    files.replace(files.key, files.key.read_bytes())
    with capture_logs() as logs:
        assert files.subject.reload() is None
    assert logs == []


@pytest.mark.parametrize(
    ("offset", "words"),
    [(timedelta(days=-100_000), "not valid yet"), (timedelta(days=400_000), "expired")],
)
def test_times_out_of_range_are_warned_about_and_used(files: Files, offset: timedelta, words: str) -> None:
    files.issue("a.example")
    files.now += offset
    with capture_logs() as logs:
        assert files.subject.load().names == ("a.example",)
    (warning,) = logs
    assert warning["log_level"] == "warning"
    assert words in warning["problem"]


def test_the_end_is_announced_two_weeks_before(files: Files) -> None:
    files.issue("a.example")
    files.now = files.subject.load().not_after - timedelta(days=13)
    with capture_logs() as logs:
        files.subject.load()
    assert "soon" in logs[0]["problem"]


def test_a_certificate_without_names_is_warned_about(tmp_path: Path, files: Files) -> None:
    script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.key -subj /CN=a -days 90 -out tls.crt"
    files.now += timedelta(minutes=5)
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, check=True, capture_output=True)
    with capture_logs() as logs:
        assert files.subject.load().names == ()
    assert "names" in logs[0]["problem"]


def pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def encrypted(files: Files) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


def wrong_order(files: Files) -> None:
    blocks = files.certificate.read_bytes().split(b"-----END CERTIFICATE-----\n")
    files.certificate.write_bytes(b"-----END CERTIFICATE-----\n".join([*reversed(blocks[:-1]), b""]))


def swapped(files: Files) -> None:
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    files.certificate.write_bytes(key)
    files.key.write_bytes(certificate)


def damaged_certificate(files: Files) -> None:
    files.certificate.write_bytes(files.certificate.read_bytes().replace(b"M", b"!", 3))


def damaged_key(files: Files) -> None:
    files.key.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def binary(files: Files) -> None:
    files.certificate.write_bytes(b"\x30\x82\x01")


def no_certificate(files: Files) -> None:
    files.certificate.unlink()


def directory(files: Files) -> None:
    files.key.unlink()
    files.key.mkdir()


def other_key(key: PrivateKeyTypes) -> Callable[[Files], None]:
    return lambda files: files.replace(files.key, pem(key))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (encrypted, "tls.key: the key is encrypted; decrypt it"),
        (wrong_order, "tls.crt: .* must come first"),
        (swapped, "swapped"),
        (damaged_certificate, "tls.crt: .* damaged"),
        (damaged_key, "tls.key: .* damaged"),
        (binary, "tls.crt: .* PEM"),
        (no_certificate, "tls.crt: there is no such file; correct http.tls.certificate"),
        (directory, "tls.key: .*directory"),
        (other_key(ec.generate_private_key(ec.SECP256R1())), "tls.key: this is not the key"),
        (other_key(ed25519.Ed25519PrivateKey.generate()), "tls.key: this is not the key"),
        (other_key(ec.generate_private_key(ec.SECP521R1())), "P-256"),
        (other_key(rsa.generate_private_key(65537, 1024)), "2048"),
        (other_key(dsa.generate_private_key(2048)), "Ed25519"),
    ],
)
def test_what_cannot_be_used_is_named_with_a_remedy(files: Files, spoil: Callable[[Files], None], words: str) -> None:
    files.issue("a.example")
    spoil(files)
    with pytest.raises(TLSError, match=words):
        files.subject.load()
