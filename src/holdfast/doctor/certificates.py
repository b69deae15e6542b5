"""Checks of certificate and key as files, judged as today's clients judge them."""

import ipaddress
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from holdfast.app.tls import SOON, CertificateFiles, Loaded, TLSError, names
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem, skipped
from holdfast.doctor.reach import End, Unreached
from holdfast.doctor.trust import PEM, authorities_known, verifying


def _certificate(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    tls = case.settings.http.tls
    if not tls.certificate:
        yield ok("the registry itself speaks plain HTTP (http.tls is not set)")
        return
    directories = [path for path in (tls.certificate, tls.key) if Path(path).is_dir()]
    for path in directories:
        yield problem(
            f"{path} is a directory: Docker makes one where a file that is to be mounted does not exist",
            "remove the directory, put the file there, and start the container again",
        )
    if directories:
        return
    files = CertificateFiles(tls.certificate, tls.key)
    try:
        yield from _pair(case, files.load(), Path(tls.certificate), Path(tls.key))
    except TLSError as error:
        words, _, remedy = str(error).rpartition("; ")
        yield problem(words or remedy, remedy)
    finally:
        files.close()


def _pair(case: Case, loaded: Loaded, certificate: Path, key: Path) -> Iterator[Finding]:
    chain = read_chain(certificate)
    end = case.outside
    met = end if end and end.scheme == "https" and _shows(end, chain[0]) else None
    found = [*_mode(key), *judged(chain[0], str(certificate), met.host if met else "", case.now())]
    found += _chain(case, loaded, chain, certificate)
    shown = ", ".join(loaded.names)
    yield from found or [ok(f"{certificate} is good for {shown} until {loaded.not_after:%Y-%m-%d}")]


def read_chain(path: Path) -> list[x509.Certificate]:
    """All certificates of a PEM file, in its order."""
    blocks = path.read_text("latin-1").split(PEM)[1:]
    return [x509.load_pem_x509_certificate((PEM + block).encode("latin-1")) for block in blocks]


def _mode(key: Path) -> Iterator[Finding]:
    if key.stat().st_mode & stat.S_IROTH:
        yield advice(f"{key} can be read by every user of this machine", f"chmod o= {key}")


def judged(leaf: x509.Certificate, what: str, host: str, now: float) -> Iterator[Finding]:
    """What is wrong with dates and names of a certificate that clients meet under `host` (empty if that is not known).

    `what` names it, `now` is the time of day in seconds since 1970.
    """
    yield from _dates(leaf, what, datetime.fromtimestamp(now, UTC))
    known = names(leaf)
    name = host or "NAME"
    if not known:
        yield problem(
            f"{what} has no subject alternative names, only a common name: Docker and all other of today's clients refuse it"
            " (certificate relies on legacy Common Name field, use SANs instead)",
            f"make another: holdfast certificate {name}, or give openssl req -addext subjectAltName=DNS:{name}",
        )
    elif host and not covers(known, host):
        yield problem(
            f"{what} is for {', '.join(known)}, but clients use the name {host}",
            f"make one that names it: holdfast certificate {host}, or use one of these names",
        )


def _dates(leaf: x509.Certificate, what: str, now: datetime) -> Iterator[Finding]:
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    renewed = "renew it where TLS ends; the registry itself takes new files over without a restart"
    if ends <= now:
        yield problem(f"{what} expired on {ends:%Y-%m-%d}: clients refuse it", renewed)
    elif begins > now:
        yield problem(
            f"{what} is not valid before {begins:%Y-%m-%d %H:%M} UTC",
            "check the clocks of this machine and of the one that made it",
        )
    elif ends - now < SOON:
        yield advice(f"{what} expires on {ends:%Y-%m-%d}", renewed)


def _shows(end: End, leaf: x509.Certificate) -> bool:
    """Whether it is this certificate that clients meet, not that of a proxy in front; True where nothing answers."""
    try:
        return end.trust is None or end.trust.leaf in {None, leaf}
    except Unreached:
        return True


def covers(known: tuple[str, ...], host: str) -> bool:
    """Whether a host name or address is among a certificate's names, one level of `*.` included. (RFC 6125 6.4.3)"""
    try:
        return str(ipaddress.ip_address(host)) in known
    except ValueError:
        wild = "*." + host.lower().partition(".")[2]
        return any(name.lower() in {host.lower(), wild} for name in known)


def _chain(case: Case, loaded: Loaded, chain: list[x509.Certificate], path: Path) -> Iterator[Finding]:
    for number, (one, issuer) in enumerate(pairwise(chain), start=1):
        if one.issuer != issuer.subject:
            yield problem(
                f"{path}: certificate {number + 1} in it is not the one that signed certificate {number}",
                "put them in order: the registry's own first, then the one that signed it, and so on; leave others out",
            )
            return
    code, words = _verified(loaded)
    if code in {0, *ELSEWHERE}:
        return
    address = case.outside or case.inside
    registry = address.registry if address else "NAME:PORT"
    yield refused(code, words, chain[0], registry, str(path))


ELSEWHERE = {9, 10, 62, 63, 64}
"""OpenSSL's reasons that dates and names have checks of their own for."""


def _verified(loaded: Loaded) -> tuple[int, str]:
    """What a client on this machine that trusts what the machine trusts says about the pair: OpenSSL's number and words; 0 is
    good. Both sides of the handshake are here, in memory."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(loaded.certificate, loaded.key)
    client = verifying()
    client.check_hostname = False
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    try:
        for _ in range(10):
            for side in list(sides):
                try:
                    side.do_handshake()
                    sides.remove(side)
                except ssl.SSLWantReadError:
                    continue
    except ssl.SSLCertVerificationError as error:
        return error.verify_code, error.verify_message
    except ssl.SSLError as error:
        return -1, str(error.reason or error)
    return 0, ""


def refused(code: int, words: str, leaf: x509.Certificate, registry: str, path: str) -> Finding:
    """What a certificate that is not trusted means: OpenSSL's number and words about `leaf`; `path` is what clients have to have."""
    trusting = trusted_by(registry, path)
    if leaf.issuer == leaf.subject:
        return advice(
            f"the certificate for {registry} is self-signed: each client has to be told to trust it", trusting
        )
    if code in {18, 19, 20, 21} and not authorities_known():
        return skipped(
            "no authority at all is known here, so it cannot be told whether clients trust the certificate",
            "install ca-certificates, or run this on a client's machine with --url",
        )
    if code in {18, 19}:
        return advice(
            "the certificate is signed by a private authority: each client has to be told to trust that one", trusting
        )
    issuer = leaf.issuer.rfc4514_string()
    if code in {20, 21} and _is_public(leaf):
        return problem(
            f"the chain is incomplete: the certificate of {issuer}, which signed the registry's own, is not sent along"
            " (clients say: certificate signed by unknown authority)",
            "put it behind the registry's own in the file: Let's Encrypt and others call that file fullchain.pem",
        )
    if code in {20, 21}:
        return advice(
            f"nobody here knows {issuer}, which signed the certificate",
            f"if it is an intermediate authority, put its certificate behind the registry's own in the file; if a private one, {trusting}",
        )
    return problem(f"clients refuse the certificate: {words}", "make or get another one: holdfast certificate NAME")


def trusted_by(registry: str, path: str) -> str:
    """The commands that make clients trust an authority's (or a self-signed) certificate."""
    places = (
        ("Docker", f"/etc/docker/certs.d/{registry}"),
        ("Podman, Buildah, Skopeo", f"/etc/containers/certs.d/{registry}"),
        ("containerd", f"/etc/containerd/certs.d/{registry}"),
    )
    copies = "; ".join(f"{who}: mkdir -p {place} && cp {path} {place}/ca.crt" for who, place in places)
    hosts = f'and there in hosts.toml: [host."https://{registry}"] ca = "ca.crt"'
    return f"on each client, with the certificate (of the authority, if it is not self-signed): {copies} {hosts}"


def _is_public(leaf: x509.Certificate) -> bool:
    """Whether it says where its issuer's certificate can be fetched, as those of public authorities do. (RFC 5280 4.2.2.1)"""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return any(one.access_method == AuthorityInformationAccessOID.CA_ISSUERS for one in access)


CHECKS = (
    Check(
        "certificate",
        "The files of http.tls: whether they can be used, and what today's clients will say.",
        (
            "files that are missing, unreadable, damaged, encrypted, swapped, or do not belong together",
            "expired, not valid yet, expiring within two weeks",
            "a common name without subject alternative names; names other than the one that clients use",
            "certificates missing from the chain or in the wrong order",
            "self-signed: prints the certs.d lines for Docker, Podman and containerd",
            "a key that every user can read; a directory that Docker made in place of a file",
        ),
        _certificate,
    ),
)
