"""One line for each request: who, what, with which result, how many bytes, how long."""

import base64
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from harness.content import blob
from harness.http import Client, Connection
from harness.repository import Repository, pieces, with_query
from harness.server import Server, wait_until
from observability.lines import requests
from serving.processes import MIB
from serving.streams import SlowDownload

SIZE = 300_000
DOWNLOADS = 4
SERVE = (sys.executable, "-m", "holdfast", "serve")


def only(server: Server, path: str, formatter: str = "text") -> dict[str, Any]:
    """The one line of a path."""
    wait_until(lambda: f"{path}" in server.log_text(), "the line")
    found = [line for line in requests(server.log_text(), formatter) if line["path"] == path]
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("formatter", ["text", "json"])
def test_a_line_for_each_request(tmp_path: Path, engine: str, formatter: str) -> None:
    content = blob("counted", SIZE)
    with Server(
        tmp_path, {"server.engine": engine, "log.formatter": formatter, "storage.delete.enabled": "true"}
    ) as server:
        repository = Repository(Client(server, headers={"User-Agent": "docker/27.1 go/1.22"}), "a/b")
        client = repository.client
        upload = repository.open_upload()
        client.patch(upload, body=pieces(content.body[:200_000], 10_000)).expect(202)
        client.put(with_query(upload, f"digest={content.digest}"), body=content.body[200_000:]).expect(201)
        repository.get(f"blobs/{content.digest}").expect(200)
        repository.get(f"blobs/{content.digest}", {"Range": "bytes=0-99"}).expect(206)
        repository.head(f"blobs/{content.digest}").expect(200)
        repository.get(f"blobs/{content.digest}", {"If-None-Match": content.digest}).expect(304)
        missing = repository.get("manifests/none").expect(404)
        repository.delete(f"blobs/{content.digest}").expect(202)
        client.request("OPTIONS", "/v2/").expect(200)
    found = [line for line in requests(server.log_text(), formatter) if line["agent"] == "docker/27.1 go/1.22"]
    told = [(line["method"], int(line["status"]), int(line["sent"]), int(line["received"])) for line in found]
    assert told == [
        ("POST", 202, 0, 0),
        ("PATCH", 202, 0, 200_000),
        ("PUT", 201, 0, 100_000),
        ("GET", 200, SIZE, 0),
        ("GET", 206, 100, 0),
        ("HEAD", 200, 0, 0),
        ("GET", 304, 0, 0),
        ("GET", 404, len(missing.body), 0),
        ("DELETE", 202, 0, 0),
        ("OPTIONS", 200, 0, 0),
    ]
    paths = [line["path"] for line in found]
    assert paths[0] == "/v2/a/b/blobs/uploads/"
    assert paths[1] == paths[2] == upload
    assert paths[3] == f"/v2/a/b/blobs/{content.digest}"
    for line in found:
        assert line["client"] == "127.0.0.1"
        assert 0 < float(line["seconds"]) < 10
        assert line["user"] == ""
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    if formatter == "json":
        assert {type(found[0][key]) for key in ("status", "sent", "received")} == {int}
        assert isinstance(found[0]["seconds"], float)


def test_the_duration_includes_the_body(server: Server) -> None:
    upload = Repository(Client(server), "a/b").open_upload()
    with Connection(server) as connection:
        connection.send_head("PATCH", upload, {"Content-Length": "2"})
        connection.send(b"a")
        time.sleep(0.5)  # the time that is measured
        connection.send(b"b")
        connection.receive("PATCH", upload).expect(202)
    wait_until(lambda: "method=PATCH" in server.log_text(), "the line")
    line = next(line for line in requests(server.log_text()) if line["method"] == "PATCH")
    assert 0.4 < float(line["seconds"]) < 5


def test_a_client_that_vanished_is_told_with_what_it_got(server: Server) -> None:
    repository = Repository(Client(server), "a/b")
    content = repository.push_blob(blob("vanished", 96 * MIB))
    for download in [SlowDownload(server, content, "a/b") for _ in range(DOWNLOADS)]:
        download.connection.close()
    with Connection(server) as connection:
        connection.send_head("PUT", repository.url("manifests/cut"), {"Content-Length": "100"})
        connection.send(b"x" * 10)
    cut = only(server, "/v2/a/b/manifests/cut")
    assert (int(cut["status"]), int(cut["received"])) == (499, 10)

    def pulls() -> list[dict[str, str]]:
        return [
            line
            for line in requests(server.log_text())
            if line["path"].endswith(content.digest) and line["method"] == "GET"
        ]

    wait_until(lambda: len(pulls()) == DOWNLOADS, "the lines of the downloads")
    # A server may notice the end of a client only after it has taken all that there is to send, though not each time.
    assert any(line["status"] == "499" and 1000 <= int(line["sent"]) < content.size for line in pulls()), pulls()
    assert all(1000 <= int(line["sent"]) <= content.size for line in pulls()), pulls()


def test_the_user_is_named(tmp_path: Path, engine: str) -> None:
    accounts = tmp_path / "htpasswd"
    accounts.write_text(f"alice:{bcrypt.hashpw(b'secret', bcrypt.gensalt(5)).decode()}\n")
    settings = {"server.engine": engine, "auth.htpasswd.realm": "here", "auth.htpasswd.path": str(accounts)}
    with Server(tmp_path, settings) as server:
        good = base64.b64encode(b"alice:secret").decode()
        bad = base64.b64encode(b"alice:wrong").decode()
        Client(server).get("/v2/", {"Authorization": f"Basic {good}"}).expect(200)
        Client(server).get("/v2/_catalog", {"Authorization": f"Basic {bad}"}).expect(401)
    assert only(server, "/v2/")["user"] == "alice"
    assert only(server, "/v2/_catalog")["user"] == ""


def test_it_can_be_switched_off(tmp_path: Path, engine: str) -> None:
    with Server(tmp_path, {"server.engine": engine, "log.accesslog.disabled": "true"}) as server:
        Repository(Client(server), "a/b").push_image("latest")
    assert requests(server.log_text()) == []
    assert "stopped" in server.log_text()


def test_it_goes_to_standard_output_and_the_rest_to_standard_error(tmp_path: Path, engine: str) -> None:
    access = tmp_path / "access.log"
    command = ("sh", "-c", f'exec "$@" >{access}', "sh", *SERVE)
    with Server(tmp_path, {"server.engine": engine}, command=command) as server:
        Repository(Client(server), "a/b").push_image("latest")
    assert "request" not in server.log_text()
    assert len(requests(access.read_text())) == len(access.read_text().splitlines()) > 3


def test_lines_of_many_workers_in_one_pipe_stay_whole(tmp_path: Path, engine: str) -> None:
    """Several processes write to one pipe, as under Docker."""
    log = tmp_path / "piped.log"
    command = ("sh", "-c", f'"$@" 2>&1 | cat >{log}', "sh", *SERVE)
    server = Server(
        tmp_path, {"server.engine": engine, "server.workers": "3", "log.formatter": "json"}, command=command
    )
    server.start()

    def ask() -> None:
        with Connection(server) as connection:
            for number in range(300):
                connection.request("GET", f"/v2/{'long/' * 60}r{number}/tags/list", {"User-Agent": "x" * 400})

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    wait_until(lambda: log.read_text().count("/tags/list") == 2400, "all lines", 15)
    server.kill()
    assert len(requests(log.read_text(), "json")) >= 2400
