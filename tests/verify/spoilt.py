"""A registry's directory, the ways to spoil it, and the commands run on it."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.content import Content, blob
from harness.http import Client
from harness.repository import Repository
from harness.server import Server


@dataclass(frozen=True)
class Stopped:
    """A server that was stopped, with what was pushed to it: an image tagged `v1`, one of its layers, and an artifact whose bytes do not tell
    its media type.
    """

    server: Server
    image: Content
    layer: Content
    artifact: Content

    @property
    def tree(self) -> Path:
        """The directory that has registry:2's tree."""
        return self.server.root / "docker/registry/v2"

    def blob_file(self, content: Content) -> Path:
        """The file of a blob."""
        encoded = content.digest.partition(":")[2]
        return self.tree / "blobs/sha256" / encoded[:2] / encoded / "data"

    def revision(self, content: Content) -> Path:
        """The directory of a manifest's link."""
        return self.tree / "repositories/a/b/_manifests/revisions/sha256" / content.digest.partition(":")[2]

    def layer_link(self) -> Path:
        """The link of the layer."""
        return self.tree / "repositories/a/b/_layers/sha256" / self.layer.digest.partition(":")[2] / "link"

    def tag_link(self, tag: str = "v1") -> Path:
        """The link that a tag points with."""
        return self.tree / "repositories/a/b/_manifests/tags" / tag / "current/link"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Holdfast on the directory."""
        environment = {"REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(self.server.root), "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [sys.executable, "-m", "holdfast", *arguments], env=environment, capture_output=True, text=True, check=False
        )

    def report(self, *arguments: str, status: int = 0) -> Any:
        """The JSON that a command prints, which ends with `status`."""
        result = self.command(*arguments, "--json")
        assert result.returncode == status, result
        return json.loads(result.stdout)

    def pull_all(self) -> None:
        """Start the server and see that everything is there, byte for byte."""
        with self.server as server:
            repository = Repository(Client(server), "a/b")
            for reference in ("v1", self.image.digest):
                assert repository.get(f"manifests/{reference}").expect(200).body == self.image.body
            found = repository.get(f"manifests/{self.artifact.digest}").expect(200)
            assert (found.body, found.headers["Content-Type"]) == (self.artifact.body, self.artifact.media_type)
            assert repository.get(f"blobs/{self.layer.digest}").expect(200).body == self.layer.body


def stopped(directory: Path) -> Stopped:
    """Push to a fresh server and stop it."""
    server = Server(directory, {"storage.delete.enabled": "true"})
    with server:
        repository = Repository(Client(server), "a/b")
        layer = blob("a layer", 5000)
        image = repository.push_image("v1", layers=[layer])
        artifact = repository.push_manifest(
            Content(b'{"schemaVersion": 2, "custom": 1}', "application/vnd.example+json")
        )
    return Stopped(server, image, layer, artifact)


def remove(path: Path) -> None:
    """Remove a file, or a directory with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
