"""Certificates of openssl's making with each mistake: what the doctor says, without a server and beside one."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from clients.tools import program
from deploy.proxies import nginx
from doctor.reports import ANN, report, resting
from harness.server import Server, free_port

YEAR = ("-days", "365")


class Pair:
    """A certificate and its key in a directory."""

    def __init__(self, directory: Path, host: str = "localhost") -> None:
        directory.mkdir(exist_ok=True)
        self.host = host
        self.directory = directory
        self.certificate = directory / "tls.crt"
        self.key = directory / "tls.key"

    def openssl(self, *arguments: str) -> None:
        """Run openssl in the directory."""
        subprocess.run([program("openssl"), *arguments], cwd=self.directory, check=True, capture_output=True)

    def self_signed(self, *arguments: str) -> None:
        """The usual line of the tutorials."""
        line = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-sha256")
        self.openssl(*line, "-subj", f"/CN={self.host}", "-keyout", "tls.key", "-out", "tls.crt", *arguments)
        self.key.chmod(0o600)

    def authority(self, name: str, *signed_by: str) -> None:
        """NAME.crt and NAME.key that may sign others; signed by itself unless another is named."""
        line = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *YEAR)
        signer = [word for who in signed_by for word in ("-CA", f"{who}.crt", "-CAkey", f"{who}.key")]
        ca = ("-addext", "basicConstraints=critical,CA:TRUE")
        self.openssl(*line, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt", *signer, *ca)

    def signed_by(self, name: str, *extensions: str) -> None:
        """A certificate for the host, signed by an authority."""
        more = [word for one in extensions for word in ("-addext", one)]
        signer = ("-CA", f"{name}.crt", "-CAkey", f"{name}.key")
        ca = ("-addext", "basicConstraints=critical,CA:FALSE")
        self.self_signed(*YEAR, *signer, *ca, "-addext", names(self.host), *more)

    def chain(self, *parts: str) -> None:
        """The certificate, then others, in this order."""
        texts = [(self.directory / f"{part}.crt").read_text() for part in parts]
        self.certificate.write_text("".join(texts))

    def settings(self, **more: str) -> dict[str, str]:
        """Settings of a server that uses it."""
        given = {"http__host": f"https://{self.host}:1", **more}
        return resting(
            self.directory / "root", http__tls__certificate=str(self.certificate), http__tls__key=str(self.key), **given
        )


def names(*hosts: str) -> str:
    """The extension that names hosts."""
    return "subjectAltName=" + ",".join(f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def only_a_common_name(pair: Pair) -> None:
    pair.self_signed(*YEAR)


def another_name(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names("elsewhere", "192.0.2.1"))


def expired(pair: Pair) -> None:
    pair.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "tls.key")
    pair.openssl(
        "req", "-new", "-key", "tls.key", "-subj", f"/CN={pair.host}", "-addext", names(pair.host), "-out", "tls.csr"
    )
    line = ("x509", "-req", "-in", "tls.csr", "-key", "tls.key", "-copy_extensions", "copy", "-days", "-1")
    pair.openssl(*line, "-out", "tls.crt")


def expires_soon(pair: Pair) -> None:
    pair.self_signed("-days", "5", "-addext", names(pair.host))


def self_signed(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names(pair.host))


def private_authority(pair: Pair) -> None:
    pair.authority("root")
    pair.signed_by("root")
    pair.chain("tls", "root")


def incomplete(pair: Pair) -> None:
    """As a public authority signs, but with cert.pem where fullchain.pem belongs."""
    pair.authority("root")
    pair.authority("between", "root")
    pair.signed_by("between", "authorityInfoAccess=caIssuers;URI:http://ca.example.com/between.crt")


def incomplete_or_private(pair: Pair) -> None:
    pair.authority("root")
    pair.signed_by("root")


def disordered(pair: Pair) -> None:
    pair.authority("root")
    pair.authority("between", "root")
    pair.signed_by("between")
    pair.chain("tls", "root", "between")


def authority_first(pair: Pair) -> None:
    pair.authority("root")
    pair.signed_by("root")
    pair.chain("root", "tls")


def another_key(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names(pair.host))
    pair.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "tls.key")


def swapped(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names(pair.host))
    pair.certificate, pair.key = pair.key, pair.certificate


def encrypted(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names(pair.host))
    pair.openssl("pkey", "-in", "tls.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    pair.key = pair.directory / "locked.key"


def readable_by_all(pair: Pair) -> None:
    pair.self_signed(*YEAR, "-addext", names(pair.host))
    pair.key.chmod(0o644)


def missing(pair: Pair) -> None:
    """Nothing is made."""


def a_directory(pair: Pair) -> None:
    """As Docker leaves it where a file to be mounted is not there."""
    pair.self_signed(*YEAR, "-addext", names(pair.host))
    pair.certificate.unlink()
    pair.certificate.mkdir()


MISTAKES: dict[Callable[[Pair], None], tuple[str, ...]] = {
    only_a_common_name: (
        "problem",
        "subject alternative names",
        "Common Name",
        "holdfast certificate localhost",
        "-addext",
    ),
    another_name: (
        "problem",
        "elsewhere, 192.0.2.1",
        "clients use the name localhost",
        "holdfast certificate localhost",
    ),
    expired: ("problem", "expired on", "renew"),
    expires_soon: ("advice", "expires on", "renew"),
    self_signed: (
        "advice",
        "self-signed",
        "mkdir -p /etc/docker/certs.d/localhost:1 &&",
        "/etc/containers/certs.d/localhost:1/ca.crt",
        "/etc/containerd/certs.d/localhost:1",
        "hosts.toml",
    ),
    private_authority: ("advice", "private authority", "/etc/docker/certs.d/localhost:1"),
    incomplete: ("problem", "chain is incomplete", "CN=between", "fullchain.pem"),
    incomplete_or_private: ("advice", "CN=root", "intermediate", "certs.d"),
    disordered: ("problem", "not the one that signed", "in order"),
    authority_first: ("problem", "must come first"),
    another_key: ("problem", "not the key of the certificate"),
    swapped: ("problem", "swapped"),
    encrypted: ("problem", "encrypted", "openssl pkey"),
    readable_by_all: ("advice", "every user", "chmod"),
    missing: ("problem", "no such file", "http.tls.certificate"),
    a_directory: ("problem", "is a directory: Docker makes one", "start the container again"),
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_mistake(mistake: Callable[[Pair], None], pair: Pair) -> None:
    mistake(pair)
    found = report(pair.settings())
    found.says("certificate", *MISTAKES[mistake])
    assert "could not be looked at" not in str(found)
    assert "PRIVATE KEY" not in str(found)


def test_not_valid_yet(pair: Pair) -> None:
    self_signed(pair)
    born = pair.certificate.stat().st_mtime
    found = report(pair.settings(), now=lambda: born - 86400)
    found.says("certificate", "problem", "not valid before", "clocks")


def test_where_no_authority_is_known(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image without ca-certificates: a public certificate is not called incomplete there."""
    incomplete(pair)
    (pair.directory / "none").write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair.directory / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(pair.directory))
    found = report(pair.settings())
    found.says("certificate", "skipped", "no authority at all is known here", "ca-certificates")
    assert found.complaints() == []


@contextmanager
def shown(pair: Pair, registry: Server) -> Iterator[str]:
    """nginx with this certificate in front of a registry: the address for clients."""
    port = free_port()
    text = f"""server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {pair.certificate}; ssl_certificate_key {pair.key};
        client_max_body_size 0; proxy_http_version 1.1; proxy_request_buffering off;
        location / {{ proxy_pass {registry.url}; }} }}"""
    with nginx(pair.directory, "", port=port, servers=text):
        yield f"https://{pair.host}:{port}"


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (only_a_common_name, ("problem", "subject alternative names", "holdfast certificate localhost")),
        (expired, ("problem", "expired", "renew")),
        (self_signed, ("advice", "self-signed", "/etc/docker/certs.d/localhost:")),
        (incomplete, ("problem", "chain is incomplete", "fullchain.pem")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_clients_meet_it(
    mistake: Callable[[Pair], None], words: tuple[str, ...], plain: Server, tmp_path: Path
) -> None:
    """What a client's machine is told, which has no configuration."""
    pair = Pair(tmp_path)
    mistake(pair)
    with shown(pair, plain) as url:
        found = report(None, url=url, credentials=ANN)
    found.says("trust", *words)
    assert f"a registry answers on {url}" in str(found), "the rest is looked at all the same"
    assert "could not be looked at" not in str(found)
    assert "Authorization" not in str(found)


def test_no_password_where_nobody_vouches(accounts: Server, tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    self_signed(pair)
    with shown(pair, accounts) as url:
        before = accounts.log_text().count("user=ann")
        found = report(None, url=url, credentials=ANN)
    found.says("credentials", "skipped", "the password was not sent")
    assert accounts.log_text().count("user=ann") == before


def test_names_of_a_proxy_are_its_own_affair(pair: Pair, plain: Server) -> None:
    """Behind a proxy with TLS clients never meet the registry's own certificate."""
    front = Pair(pair.directory / "front")
    self_signed(front)
    pair.self_signed(*YEAR, "-addext", names("internal"))
    with shown(front, plain) as url:
        assert "clients use the name" not in str(report(pair.settings(http__host=url)))
    assert "clients use the name" in str(report(pair.settings()))


def test_a_renewed_certificate_that_is_not_shown(pair: Pair) -> None:
    """The files on disk are others than those of the server."""
    self_signed(pair)
    fresh = Pair(pair.directory / "fresh")
    self_signed(fresh)
    tls = {"http.tls.certificate": str(pair.certificate), "http.tls.key": str(pair.key)}
    with Server(pair.directory, {"storage": "inmemory", **tls}) as server:
        settings = server.settings | {"http.tls.certificate": str(fresh.certificate), "http.tls.key": str(fresh.key)}
        report(settings).says("trust", "problem", "not the one in", "log")
