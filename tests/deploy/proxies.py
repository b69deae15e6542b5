"""Proxies as child processes, on free loopback ports, in directories of their own."""

import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from clients.tools import SEARCH_PATH, program
from harness.http import Client, Fields
from harness.server import free_port, wait_until

START_SECONDS = 30.0
STOP_SECONDS = 30.0
LOG_TAIL = 3000

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
{servers}
}}
"""


class Proxy:
    """A proxy that listens on `host` and `port`, with TLS if `authority` is given. Use it in a `with` statement."""

    def __init__(
        self, directory: Path, command: Sequence[str], host: str, port: int, authority: trustme.CA | None = None
    ) -> None:
        self.address = (host, port)
        self._authority = authority
        self._command = list(command)
        self._log = directory / "proxy.log"
        self._variables = {"PATH": SEARCH_PATH, "HOME": str(directory), "LANG": "C.UTF-8"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._authority else 'http'}://{self.address[0]}:{self.address[1]}"

    def client(self, headers: Fields = ()) -> Client:
        """A client that trusts it; `headers` go with every request."""
        context = None
        if self._authority is not None:
            context = ssl.create_default_context()
            self._authority.configure_trust(context)
        return Client(self, headers=headers, tls=context, timeout=60)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_until(self._ready, f"{self._command[0]}", START_SECONDS)
        except (AssertionError, TimeoutError) as error:
            self._end()
            raise AssertionError(f"{error}\n{self.log_tail()}") from error
        return self

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the proxy ended"
        try:
            socket.create_connection(self.address, 1).close()
        except OSError:
            return False
        return True

    def _end(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            sys.stderr.write(self.log_tail())
        self._end()

    def log_tail(self) -> str:
        """The end of its log."""
        return f"--- {self._log}\n{self._log.read_text(errors='replace')[-LOG_TAIL:]}"


def certificate(directory: Path, host: str) -> tuple[trustme.CA, Path, Path]:
    """An authority, and the files with a certificate of its for a host and with the key."""
    authority = trustme.CA()
    issued = authority.issue_cert(host)
    chain, key = directory / "proxy.crt", directory / "proxy.key"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    return authority, chain, key


def nginx(
    directory: Path,
    locations: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: bool = False,
    servers: str = "",
    authority: trustme.CA | None = None,
) -> Proxy:
    """nginx with one server.

    `locations`: the inside of its `server` block; or else `servers`: whole blocks, which listen on `port`, and who vouches for it.
    """
    port = port or free_port()
    if not servers:
        listen = f"listen {host}:{port};"
        if tls:
            authority, chain, key = certificate(directory, host)
            listen = f"listen {host}:{port} ssl; ssl_certificate {chain}; ssl_certificate_key {key};"
        servers = f"server {{ {listen}\n{locations}\n}}"
    # As root its workers would become a user who may not read what tests write.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(user=user, directory=directory, servers=servers))
    return Proxy(directory, [program("nginx"), "-e", "stderr", "-c", str(configuration)], host, port, authority)
