"""The document's Caddyfile: Caddy finds it right, and a push passes through it."""

import subprocess
from pathlib import Path

import pytest

from clients.tools import SEARCH_PATH, program
from deploy.document import blocks
from deploy.proxies import Proxy, certificate
from deploy.pushes import push_and_pull
from harness.server import Server, free_port

LARGE = 20 << 20
# Nothing but the one port, and no authority to be asked for a certificate.
ALONE = "{\n\tadmin off\n\tauto_https off\n}\n"


@pytest.fixture
def caddyfile() -> str:
    [text] = blocks("Caddy", "caddyfile")
    return text


def caddy(command: str, file: Path) -> list[str]:
    return [program("caddy"), command, "--config", str(file), "--adapter", "caddyfile"]


def test_caddyfile_is_right(caddyfile: str, tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(caddyfile)
    environment = {"PATH": SEARCH_PATH, "HOME": str(tmp_path)}
    done = subprocess.run(caddy("validate", file), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Valid configuration" in done.stdout + done.stderr


def test_push_and_pull(caddyfile: str, tmp_path: Path) -> None:
    port = free_port()
    authority, chain, key = certificate(tmp_path, "127.0.0.1")
    with Server(tmp_path, {"storage": "inmemory"}) as registry:
        changes = {
            "registry.example.com {": f"https://127.0.0.1:{port} {{\n\ttls {chain} {key}",
            "127.0.0.1:5000": registry.registry,
        }
        for old, new in changes.items():
            assert old in caddyfile
            caddyfile = caddyfile.replace(old, new)
        file = tmp_path / "Caddyfile"
        file.write_text(ALONE + caddyfile)
        with Proxy(tmp_path, caddy("run", file), "127.0.0.1", port, authority) as proxy:
            push_and_pull(proxy.client(), proxy.url, "behind/caddy", size=LARGE)
