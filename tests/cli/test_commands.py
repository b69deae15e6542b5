"""The command line in the forms of registry:2, and `holdfast health`."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from harness.server import Server
from holdfast import __version__
from holdfast.cli import health
from holdfast.cli.main import main


def run(*words: str) -> Result:
    """What the program does with these arguments."""
    return CliRunner().invoke(main, words, prog_name="registry")


@pytest.mark.parametrize("words", ["--version", "-v"])
def test_version(words: str) -> None:
    assert run(words).output == f"holdfast, version {__version__}\n"


@pytest.mark.parametrize("words", ["help", "--help", "-h"])
def test_help(words: str) -> None:
    result = run(words)
    assert result.exit_code == 0
    for name in main.commands:
        assert f"\n  {name} " in result.output


@pytest.mark.parametrize("words", ["help serve", "serve --help", "serve -h"])
def test_help_on_a_command(words: str) -> None:
    assert "Usage: registry serve" in run(*words.split()).output


@pytest.mark.parametrize("words", ["nowhere.yml", "nowhere.yaml", "serve nowhere.yml", "serve nowhere"])
def test_a_configuration_file_alone_means_serve(words: str) -> None:
    result = run(*words.split())
    assert result.exit_code == 1
    assert f"file {words.rsplit(maxsplit=1)[-1]}: there is no such file" in result.stderr


def test_what_is_no_command_is_told() -> None:
    result = run("srve")
    assert result.exit_code == 2
    assert "No such command 'srve'" in result.stderr


def test_health_of_an_address(tmp_path: Path) -> None:
    with Server(tmp_path) as server:
        result = run("health", server.url)
        assert (result.exit_code, result.output) == (0, "healthy\n")
        wrong = run("health", server.url.replace("http:", "https:"))
    assert wrong.exit_code == 1
    gone = run("health", server.url)
    assert gone.exit_code == 1
    assert f"{server.registry} plain: " in gone.stderr
    assert "Connection refused" in gone.stderr


@pytest.mark.parametrize("url", ["localhost:5000", "ftp://localhost", "http://", "http://localhost:port"])
def test_health_takes_addresses_only(url: str) -> None:
    result = run("health", url)
    assert result.exit_code == 2
    assert "is not an address such as" in result.stderr


@pytest.mark.parametrize(
    ("host", "expected"), [("", "localhost"), ("127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"), ("::1", "::1")]
)
def test_where_this_container_listens_is_found(host: str, expected: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        address = health.Address(expected, listener.getsockname()[1])
        assert address in health.listening()
    assert address not in health.listening()


def test_a_socket_of_this_container_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "registry.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert health.Address("", path=path) in health.listening()
