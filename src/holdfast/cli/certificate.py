"""`holdfast certificate`: a key and a self-signed certificate for the registry, and how to make clients trust it."""

import contextlib
import ipaddress
import os
import re
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
CERTIFICATE = "registry.crt"
KEY = "registry.key"

_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def general_name(text: str) -> x509.GeneralName:
    """A subject alternative name: an IP address (with or without brackets), a host name, or a wildcard such as
    `*.example.com`.

    International names are taken in their ASCII form. Raises `click.BadParameter` for anything else.
    """
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    host = text.rstrip(".")
    if "://" in host or "/" in host:
        raise click.BadParameter(f"{text}: give the name alone, without https:// and path")
    if ":" in host:
        raise click.BadParameter(f"{text}: give the name without the port, and the port with --port")
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError:
            raise click.BadParameter(f"{text}: this is not a host name") from None
    labels = host.removeprefix("*.").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise click.BadParameter(f"{text}: this is neither a host name nor an IP address")
    if re.fullmatch(r"[0-9.]+", host):
        raise click.BadParameter(f"{text}: this is not an IP address")
    return x509.DNSName(host.lower())


def make(names: list[x509.GeneralName], kind: str, days: int, now: datetime) -> tuple[_PrivateKey, x509.Certificate]:
    """A new key (`kind` is "ec" or "rsa") and its self-signed certificate, valid from an hour before `now` for `days`
    days.

    It may not sign others (CA:FALSE), so a stolen key passes for this registry only, wherever the certificate is
    trusted. Go, OpenSSL and GnuTLS take it as its own root of trust all the same, so one file is server certificate
    and `ca.crt`. (RFC 5280 4.2.1.)
    """
    key: _PrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 3072)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Holdfast self-signed"),
            x509.NameAttribute(NameOID.COMMON_NAME, str(names[0].value)[:64]),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(kind), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return key, builder.sign(key, hashes.SHA256())


def _usage(kind: str) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=kind == "rsa",
        key_cert_sign=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, mode: int, *, force: bool) -> None:
    """Put a whole file in place, durable; without `force` never over an existing one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if force:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def address(name: x509.GeneralName, port: int) -> str:
    """How clients write this name and port in an image's name; the port of HTTPS is left out."""
    host = str(name.value)
    if isinstance(name, x509.IPAddress) and ":" in host:
        host = f"[{host}]"
    return host if port == 443 else f"{host}:{port}"


def instructions(names: list[x509.GeneralName], certificate: Path, key: Path, port: int) -> str:
    """What to do with the two files, as text with commands to copy."""
    addresses = [address(name, port) for name in names if not str(name.value).startswith("*.")]
    source = _quoted(str(certificate))
    lines = [
        "Settings for the registry:",
        f"  REGISTRY_HTTP_TLS_CERTIFICATE={_quoted(str(certificate))}",
        f"  REGISTRY_HTTP_TLS_KEY={_quoted(str(key))}",
        "",
        "Make Docker trust it, on each machine that has Docker (no restart needed; copy the certificate there, never the key):",
        *_trust("/etc/docker/certs.d", addresses, source),
        "",
        "Podman, Buildah and Skopeo:",
        *_trust("/etc/containers/certs.d", addresses, source),
        "",
        "Or every program on a machine (Debian, Ubuntu; then restart Docker):",
        f"  cp {source} /usr/local/share/ca-certificates/holdfast-registry.crt && update-ca-certificates",
    ]
    return "\n".join(lines)


def _trust(root: str, addresses: list[str], source: str) -> list[str]:
    if not addresses:
        return [f"  mkdir -p {root}/NAME:PORT && cp {source} {root}/NAME:PORT/ca.crt"]
    places = [_quoted(f"{root}/{address}") for address in addresses]
    return [f"  mkdir -p {place} && cp {source} {place}/ca.crt" for place in places]


def _quoted(text: str) -> str:
    """`text` as one word of a POSIX shell; brackets of IPv6 addresses need quotes too."""
    return text if re.fullmatch(r"[A-Za-z0-9_./:@%+=,-]+", text) else "'" + text.replace("'", "'\\''") + "'"


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--directory",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the files go.",
)
@click.option("--days", default=825, show_default=True, type=click.IntRange(1, 36500), help="How long it is valid.")
@click.option(
    "--key-type",
    default="ec",
    show_default=True,
    type=click.Choice(["ec", "rsa"]),
    help="EC P-256, or RSA of 3072 bits.",
)
@click.option(
    "--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="The port in the printed commands."
)
@click.option("--force", is_flag=True, help="Replace files that exist.")
def certificate(names: tuple[str, ...], directory: Path, days: int, key_type: str, port: int, force: bool) -> None:
    """Make a key and a self-signed certificate for the registry.

    NAME is each host name or IP address under which clients reach it; *.example.com stands for all names one level
    below.
    """
    unique = list(dict.fromkeys(general_name(name) for name in names))
    crt, key = (directory.absolute() / name for name in (CERTIFICATE, KEY))
    existing = [str(path) for path in (crt, key) if os.path.lexists(path)]
    if existing and not force:
        raise click.ClickException(
            f"{' and '.join(existing)} exist{'s' * (len(existing) == 1)}; --force replaces it, --directory chooses another place"
        )
    private, public = make(unique, key_type, days, datetime.now(UTC))
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(key, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600, force=force)
        _write(crt, public.public_bytes(Encoding.PEM), 0o644, force=force)
    except OSError as error:
        raise click.ClickException(f"cannot write to {directory}: {error.strerror or error}") from error
    click.echo(f"Wrote {crt} (valid until {public.not_valid_after_utc:%Y-%m-%d}) and {key}.\n")
    click.echo(instructions(unique, crt, key, port))
