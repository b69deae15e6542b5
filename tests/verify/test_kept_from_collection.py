"""What an import could not use is no garbage."""

import hashlib
import json
from pathlib import Path

from harness.http import Client
from harness.repository import Repository
from verify.spoilt import Stopped, stopped


def add_schema_1(it: Stopped) -> Path:
    """Let registry:2 have left a schema 1 manifest on the layer: its bytes."""
    body = json.dumps({"schemaVersion": 1, "fsLayers": [{"blobSum": it.layer.digest}], "history": []}).encode()
    encoded = hashlib.sha256(body).hexdigest()
    data = it.tree / "blobs/sha256" / encoded[:2] / encoded / "data"
    link = it.tree / "repositories/a/b/_manifests/revisions/sha256" / encoded / "link"
    for path, content in ((data, body), (link, f"sha256:{encoded}".encode())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return data


def test_layers_of_a_manifest_that_only_registry2_can_serve_are_kept(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    manifest = add_schema_1(it)
    with it.server as server:
        Repository(Client(server), "a/b").delete(f"manifests/{it.image.digest}").expect(202)
    assert it.command("garbage-collect", "--grace", "0s").returncode == 0
    assert not it.blob_file(it.image).exists()
    assert manifest.exists()
    assert it.blob_file(it.layer).read_bytes() == it.layer.body
    (it.tree / "repositories/a/b/_manifests/revisions/sha256" / manifest.parent.name / "link").unlink()
    assert it.command("garbage-collect", "--grace", "0s").returncode == 0
    assert not it.blob_file(it.layer).exists()


def test_nothing_is_collected_while_parts_of_the_tree_cannot_be_read(tmp_path: Path) -> None:
    it = stopped(tmp_path)
    link = it.layer_link().parent.parent / ("0" * 64) / "link"
    link.mkdir(parents=True)
    with it.server as server:
        Repository(Client(server), "a/b").delete(f"manifests/{it.image.digest}").expect(202)
    refused = it.command("garbage-collect", "--grace", "0s")
    assert refused.returncode == 1
    assert "cannot be read, so nobody can tell what is garbage" in refused.stderr
    assert it.blob_file(it.layer).exists()
    link.rmdir()
    assert it.command("garbage-collect", "--grace", "0s").returncode == 0
    assert not it.blob_file(it.layer).exists()
