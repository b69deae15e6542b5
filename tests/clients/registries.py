"""Registries as clients see them: plain or with TLS, open or with accounts."""

import base64
import ipaddress
import secrets
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from clients.tools import Tool, program
from harness.http import Client
from harness.nodes import Nodes
from harness.server import Server, free_port

CERTIFICATES = Path("/etc/docker/certs.d")
# Set aside for benchmarks of networks (RFC 2544): nobody's real address.
TEST_NETWORK = ipaddress.ip_network("198.18.0.0/15")


@dataclass(frozen=True)
class Account:
    """Who may use a registry."""

    user: str
    password: str


def holdfast(*arguments: str, stdin: str = "") -> str:
    """What a command of Holdfast's own prints. Raises `subprocess.CalledProcessError` when it fails."""
    command = [sys.executable, "-m", "holdfast", *arguments]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, text=True, check=True).stdout


class Registry(Server):
    """A server on files and SQLite with the default number of workers, and what a client needs to know of it.

    `host`: the address to listen on. `tls`: with a certificate as `holdfast certificate` makes it, or plain HTTP.
    `account`: who may use it, or None where everybody may do everything. `further`: more settings.
    """

    def __init__(
        self,
        directory: Path,
        host: str,
        *,
        tls: bool,
        account: Account | None,
        further: Mapping[str, str] | None = None,
    ) -> None:
        port = free_port()
        settings = {"http.addr": f"{host}:{port}", "server.workers": "0", "storage.delete.enabled": "true"}
        settings |= further or {}
        self.account = account
        self.authority: Path | None = None
        self.advice = ""
        if tls:
            self.advice = holdfast("certificate", host, "--port", str(port), "--directory", str(directory))
            self.authority = directory / "registry.crt"
            settings["http.tls.certificate"] = str(self.authority)
            settings["http.tls.key"] = str(directory / "registry.key")
        if account is not None:
            # The cheapest hash: most tests sign in, and none of them is about guessing.
            line = holdfast("htpasswd", "-C", "4", "-Bbn", account.user, account.password)
            self.htpasswd = directory / "htpasswd"
            self.htpasswd.write_text(line)
            settings["auth.htpasswd.realm"] = "Holdfast tests"
            settings["auth.htpasswd.path"] = str(self.htpasswd)
        super().__init__(directory, settings)

    def image(self, repository: str, tag: str = "latest") -> str:
        """An image's full name."""
        return f"{self.registry}/{repository}:{tag}"

    def verify(self, option: str = "tls-verify") -> str:
        """The option with which Podman, Buildah and Skopeo are told to insist on TLS, or to do without."""
        return f"--{option}={'false' if self.authority is None else 'true'}"

    def http(self) -> Client:
        """Plain requests, signed in with the account."""
        headers = {}
        if self.account is not None:
            credentials = f"{self.account.user}:{self.account.password}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(credentials).decode()
        context = None
        if self.authority is not None:
            context = ssl.create_default_context(cafile=str(self.authority))
        return Client(self, headers=headers, tls=context)


class RegistryOfNodes(Registry, Nodes):
    """A registry of several nodes, as clients see it. The certificate is the balancer's, the accounts are known to each node."""


@contextmanager
def trusted(registry: Registry) -> Iterator[None]:
    """Make Docker trust the registry's certificate, by the command that `holdfast certificate` printed.

    Podman, Buildah and Skopeo look into the same directory.
    """
    [command] = [line.strip() for line in registry.advice.splitlines() if str(CERTIFICATES) in line]
    subprocess.run(command, shell=True, check=True)
    try:
        yield
    finally:
        shutil.rmtree(CERTIFICATES / registry.registry)
        if not any(CERTIFICATES.iterdir()):
            CERTIFICATES.rmdir()


@contextmanager
def own_address() -> Iterator[str]:
    """An address of this machine alone that is not 127.0.0.1: Docker does not check the certificates of that one."""
    offset = 1 + secrets.randbelow(TEST_NETWORK.num_addresses - 2)
    address = str(TEST_NETWORK[offset])
    _ip("add", address)
    try:
        yield address
    finally:
        _ip("del", address)


def _ip(action: str, address: str) -> None:
    subprocess.run([program("ip"), "address", action, f"{address}/32", "dev", "lo"], check=True, capture_output=True)


def sign_in(tool: Tool, registry: Registry) -> None:
    """`login` with the registry's account, where it has one. Docker decides by itself about TLS, the others are told."""
    if registry.account is not None:
        options = [] if tool.name == "docker" else [registry.verify()]
        options += ["--username", registry.account.user, "--password-stdin"]
        assert "Login Succeeded" in tool("login", *options, registry.registry, stdin=registry.account.password)
