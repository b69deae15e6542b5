"""Certificate and key: checked before they are used, kept in memory, picked up again when the files change."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

_log = structlog.get_logger("holdfast.tls")

SOON = timedelta(days=14)
"""A certificate that ends sooner than this is warned about."""

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )?PRIVATE KEY-----.*?-----END ([A-Z]+ )?PRIVATE KEY-----", re.DOTALL)


class TLSError(Exception):
    """Certificate and key cannot be used; the text says which file, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate and key in use.

    `certificate` and `key` are PEM files (the chain, leaf first; unencrypted PKCS#8) that stay the same paths for the
    life of the `CertificateFiles`, whatever happens to the files that were configured. `names` are the leaf's subject
    alternative names. Open the paths as they are: resolved, they end in names that nobody can open.
    """

    certificate: Path
    key: Path
    names: tuple[str, ...]
    not_after: datetime


@dataclass(frozen=True, slots=True)
class _Pair:
    chain: bytes
    key: bytes
    leaf: x509.Certificate


class CertificateFiles:
    """The files named by `http.tls.certificate` and `http.tls.key`; `now` is the time of day, with time zone."""

    def __init__(self, certificate: str, key: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._certificate = certificate
        self._key = key
        self._now = now
        self._seen: tuple[object, ...] = ()
        self._pair: _Pair | None = None
        self._descriptors: tuple[int, int] | None = None

    def load(self) -> Loaded:
        """Check the files as they are now and keep them. Raises `TLSError`, and then keeps what it had.

        A certificate that is expired, not valid yet, about to expire or without names is warned about and used.
        """
        self._seen = self._signature()
        pair = _read(self._certificate, self._key)
        self._warn(pair.leaf)
        self._keep(pair)
        return self._loaded(pair)

    def changed(self) -> bool:
        """Whether the files are others than those last looked at, good or bad. Costs two stat calls."""
        return self._signature() != self._seen

    def reload(self) -> Loaded | None:
        """Take the files over if they changed and are good: what is in use then; None if everything stays as it was.

        A bad pair is reported with one error line for each change, and the pair in use stays.
        """
        if not self.changed():
            return None
        before = self._pair
        try:
            loaded = self.load()
        except TLSError as error:
            _log.error("new certificate not accepted, the one in use stays", reason=str(error))
            return None
        if before == self._pair:
            return None
        _log.info("certificate taken over", names=loaded.names, not_after=loaded.not_after.isoformat())
        return loaded

    def close(self) -> None:
        """Give the files in memory back; their paths end to exist."""
        for descriptor in self._descriptors or ():
            os.close(descriptor)
        self._descriptors = None

    def _signature(self) -> tuple[object, ...]:
        return tuple(_stat(path) for path in (self._certificate, self._key))

    def _keep(self, pair: _Pair) -> None:
        fresh = _in_memory("certificate", pair.chain), _in_memory("key", pair.key)
        if self._descriptors is None:
            self._descriptors = fresh
        else:
            for new, old in zip(fresh, self._descriptors, strict=True):
                os.dup2(new, old, inheritable=False)  # the path keeps its name and has the new content from now on
                os.close(new)
        self._pair = pair

    def _loaded(self, pair: _Pair) -> Loaded:
        assert self._descriptors is not None  # noqa: S101 - load keeps before it answers
        certificate, key = (Path(f"/proc/{os.getpid()}/fd/{number}") for number in self._descriptors)
        leaf = pair.leaf
        return Loaded(certificate, key, names(leaf), leaf.not_valid_after_utc)

    def _warn(self, leaf: x509.Certificate) -> None:
        now = self._now()
        ends = leaf.not_valid_after_utc
        problem = ""
        if ends <= now:
            problem = "it has expired: clients will refuse it; renew it"
        elif leaf.not_valid_before_utc > now:
            problem = "it is not valid yet: check the clock of this machine and of the one that made it"
        elif ends - now < SOON:
            problem = "it expires soon; renew it"
        elif not names(leaf):
            problem = "it has no subject alternative names: Docker and other clients will refuse it; make a new one"
        if problem:
            _log.warning("certificate problem", file=self._certificate, problem=problem, not_after=ends.isoformat())


def names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The DNS names and IP addresses of a certificate's subject alternative names."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    dns = extension.value.get_values_for_type(x509.DNSName)
    return (*dns, *(str(address) for address in extension.value.get_values_for_type(x509.IPAddress)))


def _stat(path: str) -> tuple[int, ...] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev


def _in_memory(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(f"holdfast-{name}", os.MFD_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, content)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _read(certificate: str, key: str) -> _Pair:
    chain = _certificates(certificate)
    private = _private_key(key)
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    matching = [_public(link) == public for link in chain]
    if not matching[0]:
        if any(matching):
            raise TLSError(f"{certificate}: the server's own certificate must come first, then those that signed it")
        raise TLSError(
            f"{key}: this is not the key of the certificate in {certificate}; use the key that it was made with"
        )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return _Pair(b"".join(link.public_bytes(Encoding.PEM) for link in chain), pem, chain[0])


def _public(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""


def _content(path: str, setting: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise TLSError(f"{path}: there is no such file; correct http.tls.{setting}") from None
    except PermissionError:
        raise TLSError(
            f"{path}: not readable for user {os.geteuid()}, as which the server runs; change its owner or mode"
        ) from None
    except OSError as error:
        raise TLSError(f"{path}: {error.strerror or error}; correct http.tls.{setting}") from None


def _certificates(path: str) -> list[x509.Certificate]:
    content = _content(path, "certificate")
    blocks = _CERTIFICATE.findall(content)
    if not blocks:
        hint = (
            "it holds a key: are certificate and key swapped?"
            if _KEY.search(content)
            else "it must be PEM text (BEGIN CERTIFICATE)"
        )
        raise TLSError(f"{path}: there is no certificate in it; {hint}")
    try:
        return [x509.load_pem_x509_certificate(block) for block in blocks]
    except ValueError as error:
        raise TLSError(f"{path}: a certificate in it is damaged ({error}); copy or make it again") from None


def _private_key(path: str) -> PrivateKeyTypes:
    content = _content(path, "key")
    match = _KEY.search(content)
    if match is None:
        hint = (
            "are certificate and key swapped?"
            if _CERTIFICATE.search(content)
            else "it must be PEM text (BEGIN PRIVATE KEY)"
        )
        raise TLSError(f"{path}: there is no private key in it; {hint}")
    try:
        key = load_pem_private_key(match[0], None)
    except TypeError:
        raise TLSError(f"{path}: the key is encrypted; decrypt it: openssl pkey -in {path} -out plain.key") from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TLSError(f"{path}: the key is damaged or of an unknown kind ({error}); copy or make it again") from None
    if not _usable(key):
        raise TLSError(
            f"{path}: keys may be EC P-256 or P-384, Ed25519, or RSA of 2048 to 8192 bits; make another key and certificate"
        )
    return key


def _usable(key: PrivateKeyTypes) -> bool:
    """What the HTTP server's TLS library takes."""
    if isinstance(key, rsa.RSAPrivateKey):
        return 2048 <= key.key_size <= 8192
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return isinstance(key, ed25519.Ed25519PrivateKey)
