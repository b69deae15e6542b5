"""`storage.maintenance.readonly`: pulls go on, and every write is refused with the setting's name."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.content import EMPTY, digest
from harness.http import Client
from harness.repository import Repository
from harness.rules import every_answer
from harness.server import Server, wait_until
from serving.processes import workers

ENGINES = ("granian", "uvicorn")
READ_ONLY = "storage.maintenance.readonly.enabled"
CONFIGURATION = """
version: 0.1
storage:
  delete: {{enabled: true}}
  maintenance:
    readonly: {{enabled: {}}}
    uploadpurging: {{enabled: {}, age: 1ms, interval: 100ms, dryrun: false}}
"""


class Maintained(Server):
    """A server with a configuration file that sets it to read-only or back."""

    def __init__(self, directory: Path, engine: str) -> None:
        self.configuration = directory / "config.yml"
        self.set(read_only=False)
        super().__init__(directory, {"server.engine": engine}, arguments=[str(self.configuration)])

    def set(self, *, read_only: bool, purging: bool = False) -> None:
        """Write the configuration file; the next worker reads it."""
        self.configuration.write_text(CONFIGURATION.format(str(read_only).lower(), str(purging).lower()))

    def reload(self) -> None:
        """Let new workers take over; on return the old ones have ended."""
        old = set(workers(self))
        self.signal(signal.SIGHUP)
        wait_until(lambda: not old & set(workers(self)), "the end of the old workers", 30)


@pytest.fixture(scope="module", params=ENGINES)
def maintained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Maintained]:
    """A server that was set to read-only while it ran."""
    with Maintained(tmp_path_factory.mktemp("maintained"), request.param) as server:
        repository = Repository(Client(server), "kept")
        repository.push_image("latest")
        repository.push_blob(EMPTY)
        server.set(read_only=True)
        server.reload()
        yield server


@pytest.fixture
def kept(maintained: Maintained) -> Repository:
    return Repository(Client(maintained, check=every_answer), "kept")


def test_pulls_go_on(kept: Repository) -> None:
    manifest = kept.get("manifests/latest").expect(200).json()
    for tail in ("tags/list", f"blobs/{manifest['config']['digest']}", f"referrers/{digest(b'x')}"):
        kept.get(tail).expect(200)
        kept.head(tail).expect(200)
    for path in ("/v2/", "/v2/_catalog", "/kept/tags/list"):
        kept.client.get(path).expect(200)


WRITES = [
    ("POST", "/v2/kept/blobs/uploads/", "OPTIONS"),
    ("POST", f"/v2/kept/blobs/uploads/?mount={EMPTY.digest}&from=kept", "OPTIONS"),
    ("PATCH", "/v2/kept/blobs/uploads/00000000-0000-4000-8000-000000000000", "GET, HEAD, OPTIONS"),
    ("PUT", "/v2/kept/blobs/uploads/00000000-0000-4000-8000-000000000000", "GET, HEAD, OPTIONS"),
    ("DELETE", "/v2/kept/blobs/uploads/00000000-0000-4000-8000-000000000000", "GET, HEAD, OPTIONS"),
    ("PUT", "/v2/kept/manifests/latest", "GET, HEAD, OPTIONS"),
    ("DELETE", "/v2/kept/manifests/latest", "GET, HEAD, OPTIONS"),
    ("DELETE", f"/v2/kept/blobs/{EMPTY.digest}", "GET, HEAD, OPTIONS"),
    ("DELETE", "/v2/kept/_holdfast/repository", "OPTIONS"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), WRITES, ids=str)
def test_writes_are_refused(kept: Repository, method: str, path: str, allowed: str) -> None:
    """405 UNSUPPORTED as registry:2 answers, but with words that say why."""
    refused = kept.client.request(method, path).expect(405, code="UNSUPPORTED")
    assert READ_ONLY in refused.json()["errors"][0]["message"]
    assert refused.headers["Allow"] == allowed
    assert kept.tags() == ["latest"]
    kept.get(f"blobs/{EMPTY.digest}").expect(200)


def test_readiness_says_why(kept: Repository) -> None:
    """Pulls work, so it is ready."""
    report = Client(kept.client._listener).get("/readyz").expect(200).json()
    assert report["read"] is True
    assert report["write"] is False
    assert READ_ONLY in report["reason"]


def test_old_uploads_stay_until_the_maintenance_is_over(tmp_path: Path) -> None:
    """Nothing at all is removed meanwhile; afterwards it is."""
    with Maintained(tmp_path, "granian") as server:
        uploads = server.root / "docker/registry/v2/repositories/old/_uploads"
        opened = Repository(Client(server), "old").open_upload()
        server.set(read_only=True, purging=True)
        for _ in range(2):  # the second one takes longer than many looks for old uploads would
            server.reload()
            Client(server).get(opened).expect(204)
        server.set(read_only=False, purging=True)
        server.reload()
        wait_until(lambda: Client(server).get(opened).status == 404, "the end of the old upload", 30)
        wait_until(lambda: not uploads.exists() or not any(uploads.iterdir()), "the end of its file")
