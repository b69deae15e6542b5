"""Every line of the log can be read by a program, and nobody outside can put one there."""

import base64
import os
import re
import signal
from pathlib import Path

import pytest

from baddays.raw import exchange
from harness.content import blob
from harness.http import Client, Connection
from harness.repository import Repository
from harness.server import Server, wait_until
from observability.lines import entries, requests
from serving.processes import kill, wait_workers, workers

HTPASSWD = "alice:$2y$05$abcdefghijklmnopqrstuuoOZSLXSR6kIqVcmJ0YJzvLyGUvJEkGe\n"


def life(server: Server) -> None:
    """All that usually leads to log lines: good and bad requests, broken ones, a reload, a lost worker, a stop."""
    client = Client(server, headers={"User-Agent": 'odd "agent" = \\ \xff'})
    repository = Repository(client, "a/b")
    repository.push_image("latest")
    for target in ("/v2/", "/nothing", "/v2/UPPER/tags/list", "/v2/a/b/manifests/none", "/v2/a%0ab/tags/list"):
        client.get(target)
    exchange(server, b"\x00\x01\x02\r\n\r\n", wait=2)
    exchange(server, b"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", wait=2)
    with Connection(server) as connection:
        connection.send_head("PATCH", repository.open_upload(), {"Content-Length": "1000"})
        connection.send(b"x")
    before = workers(server)
    server.signal(signal.SIGHUP)
    wait_workers(server, lambda found: len(found) == len(before) and not set(found) & set(before))
    kill(workers(server)[0])
    wait_until(lambda: "a worker ended" in server.log_text(), "the lost worker")
    wait_workers(server, lambda found: len(found) == len(before))
    wait_until(lambda: os.path.exists(f"/proc/{workers(server)[0]}"), "the new worker")


@pytest.mark.parametrize("formatter", ["text", "json"])
def test_every_line_can_be_read(tmp_path: Path, engine: str, formatter: str) -> None:
    settings = {"server.engine": engine, "log.formatter": formatter, "log.fields.service": "my registry"}
    with Server(tmp_path, settings) as server:
        wait_until(lambda: "authentication" in server.log_text(), "the announcement")
        life(server)
    found = entries(server.log_text(), formatter)
    assert {entry["service"] for entry in found} == {"my registry"}
    events = [entry["event"] for entry in found]
    for event in ("serving", "storage", "authentication", "request", "reloading: starting new workers", "stopped"):
        assert event in events
    assert {entry["level"] for entry in found} <= {"info", "warning", "error"}


FORGED = '2026-01-01T00:00:00.000Z error forged "x" level=error'
ODD = {
    "newline": "%0a" + FORGED.replace(" ", "%20").replace('"', "%22"),
    "return": "%0d%0a" + FORGED.replace(" ", "%20").replace('"', "%22"),
    "nul": "a%00b",
    "escape": "%1b[2J%1b]0;title%07",
    "c1-escape": "%c2%9b2J",
    "next-line": "%c2%85forged",
    "line-separator": "%e2%80%a8forged%e2%80%a9",
    "direction": "%e2%80%aeforged",
    "quotes": "a%22b%3dc%5c%22",
    "delete": "%7f",
    "no-utf8": "%ff%fe",
    "surrogate": "%ed%a0%80",
}


@pytest.mark.parametrize("formatter", ["text", "json"])
def test_nobody_forges_a_line_or_moves_the_cursor(tmp_path: Path, engine: str, formatter: str) -> None:
    with Server(tmp_path, {"server.engine": engine, "log.formatter": formatter}) as server:
        for path in ODD.values():
            Client(server).get(f"/v2/{path}/tags/list").expect(400, 404)
            Client(server).get(f"/{path}").expect(404)
        for agent in ("\x1b[2J", "\x9b2J", '" status=200 x="', "a\x85b", "\xff\xfe", "\x7f", "a=b", "", " "):
            exchange(
                server,
                b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: %b\r\n\r\n" % agent.encode("latin-1"),
            )
        for user in ("a\nb", "a\x1bb", 'a"b', "a=b c", "ä", "\x9b"):
            token = base64.b64encode(f"{user}:x".encode()).decode()
            Client(server).get("/v2/", {"Authorization": f"Basic {token}"})
    log = server.log_text()
    plain = log.replace("\n", "")
    assert plain.isprintable(), re.findall(r"[^ -~].{20}", plain)
    assert log.splitlines() == log.split("\n")[:-1]
    assert {entry["event"] for entry in entries(log, formatter)} >= {"request", "stopped"}
    assert not any(line.startswith(FORGED[:24]) for line in log.splitlines())


def test_long_paths_are_cut(server: Server) -> None:
    """Nobody fills the disk with lines of 60 KiB."""
    for _ in range(10):
        Client(server).get("/v2/" + "a" * 60_000 + "/tags/list", {"User-Agent": "b" * 20_000}).expect(400)
    server.stop()
    assert len(server.log_text()) < 30_000
    assert len(requests(server.log_text())) >= 10


def test_passwords_and_tokens_are_not_logged(tmp_path: Path, engine: str) -> None:
    accounts = tmp_path / "htpasswd"
    accounts.write_text(HTPASSWD)
    settings = {
        "server.engine": engine,
        "log.level": "debug",
        "auth.htpasswd.realm": "here",
        "auth.htpasswd.path": str(accounts),
    }
    secret = "correct-horse-battery"
    with Server(tmp_path, settings) as server:
        for value in (f"alice:{secret}", f"nobody:{secret}", secret):
            token = base64.b64encode(value.encode()).decode()
            for scheme in ("Basic", "Bearer", "Odd"):
                Client(server).get("/v2/", {"Authorization": f"{scheme} {token}"}).expect(401, 429)
    log = server.log_text()
    assert secret not in log
    assert base64.b64encode(secret.encode()).decode().rstrip("=")[:12] not in log
    assert "$2y$" not in log


@pytest.mark.parametrize(
    ("level", "lowest"), [("error", {"error"}), ("warn", {"warning", "error"}), ("info", {"info", "warning", "error"})]
)
def test_the_level_is_a_setting(tmp_path: Path, level: str, lowest: set[str]) -> None:
    """The access log has a switch of its own."""
    settings = {"log.level": level, "storage": "inmemory", "log.accesslog.disabled": "true"}
    with Server(tmp_path, settings) as server:
        Client(server).get("/v2/").expect(200)
    found = entries(server.log_text(), "text")
    assert {entry["level"] for entry in found} <= lowest
    assert ("warning" in lowest) == any("in memory" in entry["event"] for entry in found)


def test_debugging_is_readable_too(tmp_path: Path, engine: str) -> None:
    settings = {"server.engine": engine, "log.level": "debug", "log.formatter": "json"}
    with Server(tmp_path, settings) as server:
        Repository(Client(server), "a/b").push_blob(blob("debug", 1000))
    assert entries(server.log_text(), "json")
