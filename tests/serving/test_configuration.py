"""What the configuration does to a running server: warnings, the port of a platform, old uploads."""

from pathlib import Path

import pytest

from harness.http import Client
from harness.server import Server, free_port, wait_until

REGISTRY_2 = """\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def test_the_file_of_registry_2_serves_and_its_one_idle_key_is_named(tmp_path: Path) -> None:
    file, secret = tmp_path / "config.yml", tmp_path / "secret"
    file.write_text(REGISTRY_2)
    secret.write_text("hunter2\n")
    environment = {"REGISTRY_HTTP_SECRET_FILE": str(secret), "REGISTRY_HTTP_HEADERS_X-Site_0": "Bonn"}
    with Server(tmp_path, arguments=[str(file)], environment=environment) as server:
        answer = Client(server).get("/v2/").expect(200)
        assert (answer.headers["X-Site"], answer.headers["X-Content-Type-Options"]) == ("Bonn", "nosniff")
        said = server.log_text()
    assert f"storage.cache (file {file} line 6): it has no effect here" in said
    assert "http.secret (variable REGISTRY_HTTP_SECRET_FILE): it has no effect here" in said
    assert said.count("it has no effect") == 2
    assert "hunter2" not in said


def test_the_port_of_a_platform_is_listened_on(tmp_path: Path) -> None:
    port = free_port()
    server = Server(tmp_path, {"http.addr": f"127.0.0.1:{port}"}, environment={"PORT": str(port)})
    del server.settings["http.addr"]
    with server:
        Client(server).get("/v2/").expect(200)
        wait_until(lambda: f":{port}" in server.log_text(), "the announcement")


def test_warnings_are_printed_beside_what_stops_the_start(tmp_path: Path) -> None:
    server = Server(tmp_path, {"redis.addrs": "[a]", "proxy.remoteurl": "https://example.com"})
    server.spawn()
    assert server.wait() == 1
    warning, error = server.log_text().splitlines()
    assert warning.startswith("Warning: redis (variable REGISTRY_REDIS_ADDRS): it has no effect here")
    assert error.startswith("Error: proxy (variable REGISTRY_PROXY_REMOTEURL): the registry cannot mirror")


PURGING = "storage.maintenance.uploadpurging"


def upload_of(server: Server) -> str:
    answer = Client(server).post("/v2/a/b/blobs/uploads/").expect(202)
    return answer.headers["Location"]


def test_old_uploads_are_removed_as_often_as_it_is_set(tmp_path: Path) -> None:
    with Server(tmp_path, {f"{PURGING}.age": "1ms", f"{PURGING}.interval": "20ms"}) as server:
        location = upload_of(server)
        wait_until(lambda: Client(server).get(location).status == 404, "the end of the upload", 30)
        wait_until(lambda: "removed uploads that nobody went on with" in server.log_text(), "a line about it")


@pytest.mark.parametrize(("key", "value"), [("dryrun", "true"), ("enabled", "false"), ("age", "168h")])
def test_uploads_stay_in_a_dry_run_when_it_is_off_and_while_they_are_young(
    key: str, value: str, tmp_path: Path
) -> None:
    rules = {f"{PURGING}.age": "1ms", f"{PURGING}.interval": "20ms", f"{PURGING}.{key}": value}
    with Server(tmp_path, rules) as server:
        location = upload_of(server)
        if key == "dryrun":
            wait_until(lambda: "would be removed" in server.log_text(), "a line about it", 30)
        for _ in range(50):
            Client(server).get(location).expect(204)
        assert location.rpartition("/")[2].partition("?")[0] in server.log_text() or key != "dryrun"
