"""/healthz and /readyz, for load balancers and orchestrators."""

from pathlib import Path

import pytest

from harness.http import Client
from harness.server import Server


def test_a_healthy_server(server: Server) -> None:
    client = Client(server)
    for method in ("GET", "HEAD"):
        live = client.request(method, "/healthz").expect(200)
        ready = client.request(method, "/readyz").expect(200)
        if method == "GET":
            assert live.json() == {"status": "ok"}
            assert ready.json() == {"read": True, "write": True}
            assert ready.headers["Content-Type"] == "application/json; charset=utf-8"
    for method in ("POST", "DELETE"):
        client.request(method, "/healthz").expect(405)


def test_nobody_needs_a_password(tmp_path: Path, engine: str) -> None:
    accounts = tmp_path / "htpasswd"
    accounts.write_text("alice:$2y$05$abcdefghijklmnopqrstuuoOZSLXSR6kIqVcmJ0YJzvLyGUvJEkGe\n")
    settings = {"server.engine": engine, "auth.htpasswd.realm": "here", "auth.htpasswd.path": str(accounts)}
    with Server(tmp_path, settings) as server:
        Client(server).get("/v2/").expect(401)
        for path in ("/", "/healthz", "/readyz"):
            Client(server).get(path).expect(200)
            Client(server).get(path, {"Authorization": "Basic bm9ib2R5Ondyb25n"}).expect(200)


@pytest.mark.parametrize("reserve", [0, 2**60], ids=["room", "no-room"])
def test_no_room_is_told(tmp_path: Path, engine: str, reserve: int) -> None:
    settings = {"server.engine": engine, "storage.filesystem.minfree": str(reserve)}
    with Server(tmp_path, settings) as server:
        report = Client(server).get("/readyz").expect(200).json()
    assert report["read"] is True
    assert report["write"] is (reserve == 0)
    assert ("minfree" in report.get("reason", "")) == (reserve > 0)
