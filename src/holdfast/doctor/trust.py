"""TLS as a client meets it: whether a certificate is trusted, by whom, and why not."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

PEM = "-----BEGIN CERTIFICATE-----"

_PARTIAL = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


@dataclass(frozen=True)
class Trust:
    """How one address is spoken to.

    `by` says who vouches for the certificate (`this machine`, a file below `certs.d`, `the configured certificate`); it is empty
    where nobody does, and `refusal` then has OpenSSL's words and `code` its number of the reason. `context` works in any case, so that
    the rest can be looked at; nothing secret may be sent where `by` is empty.
    """

    context: ssl.SSLContext
    leaf: x509.Certificate | None
    by: str = ""
    code: int = 0
    refusal: str = ""


def trust(host: str, sock_to: "Connect", pinned: str, directories: tuple[Path, ...]) -> Trust:
    """Shake hands until somebody vouches for the certificate. Raises `OSError` where there is no TLS at all."""
    system = verifying()
    first = _attempt(host, sock_to, system)
    if not isinstance(first, ssl.SSLCertVerificationError):
        return Trust(system, first, "this machine")
    for name, files in _others(pinned, directories):
        context = verifying()
        context.verify_flags |= _PARTIAL
        if _load(context, files) and isinstance(leaf := _attempt(host, sock_to, context), x509.Certificate):
            return Trust(context, leaf, name, first.verify_code, first.verify_message)
    context = unverified()
    leaf = _attempt(host, sock_to, context)
    certificate = leaf if isinstance(leaf, x509.Certificate) else None
    return Trust(context, certificate, "", first.verify_code, first.verify_message)


def pinned_trust(sock_to: "Connect", pinned: str) -> Trust:
    """The same for the registry's own machine: the certificate is trusted if it is the one in the file `pinned`, whatever its names."""
    context = unverified()
    leaf = _attempt(None, sock_to, context)
    if isinstance(leaf, ssl.SSLCertVerificationError):
        raise leaf
    known = first_certificate(Path(pinned))
    if leaf is not None and known == leaf:
        return Trust(context, leaf, "the configured certificate")
    return Trust(context, leaf, "", 0, f"it is not the certificate in {pinned}")


def verifying() -> ssl.SSLContext:
    """A context that trusts what this machine trusts, as strictly as the clients of registries do.

    Later versions of Python would also refuse certificates for lacking an Authority Key Identifier, which those clients do not ask for.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


def authorities_known() -> bool:
    """Whether this machine knows any authority; small container images do not."""
    directory = ssl.get_default_verify_paths().capath
    if ssl.create_default_context().cert_store_stats()["x509_ca"]:
        return True
    return directory is not None and any(Path(directory).glob("*.0"))


def unverified() -> ssl.SSLContext:
    """A context that accepts any certificate: to look, never to send secrets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def first_certificate(path: Path) -> x509.Certificate | None:
    """The first certificate in a PEM file; None if there is none that can be read."""
    try:
        text = path.read_bytes()
        return x509.load_pem_x509_certificate(text[text.index(PEM.encode()) :])
    except (OSError, ValueError):
        return None


class Connect:
    """Makes connections to one address, given as a TCP host and port or as the path of a Unix socket."""

    def __init__(self, host: str, port: int, socket_path: str, timeout: float) -> None:
        self._host = host
        self._port = port
        self._path = socket_path
        self._timeout = timeout

    def __call__(self) -> socket.socket:
        """A new connection. Raises `OSError`."""
        if not self._path:
            return socket.create_connection((self._host, self._port), self._timeout)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(self._timeout)
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        return connection


def _attempt(
    host: str | None, connect: Connect, context: ssl.SSLContext
) -> x509.Certificate | ssl.SSLCertVerificationError | None:
    try:
        with context.wrap_socket(connect(), server_hostname=host) as tls:
            octets = tls.getpeercert(binary_form=True)
    except ssl.SSLCertVerificationError as error:
        return error
    try:
        return x509.load_der_x509_certificate(octets) if octets else None
    except ValueError:
        return None


def _others(pinned: str, directories: tuple[Path, ...]) -> list[tuple[str, list[Path]]]:
    found: list[tuple[str, list[Path]]] = []
    for directory in directories:
        try:
            files = sorted(directory.glob("*.crt"))
        except OSError:
            continue
        if files:
            found.append((str(directory), files))
    if pinned:
        found.append(("the configured certificate", [Path(pinned)]))
    return found


def _load(context: ssl.SSLContext, files: list[Path]) -> bool:
    loaded = False
    for file in files:
        try:
            context.load_verify_locations(cafile=file)
            loaded = True
        except (OSError, ValueError):
            continue
    return loaded
