"""The way back: Debian's docker-registry serves the directory that Holdfast has filled."""

import json
from pathlib import Path

from clients.images import build
from clients.registries import Registry
from clients.tools import Tool, program
from harness.server import Server

CONFIGURATION = """
version: 0.1
storage:
  filesystem:
    rootdirectory: /nowhere
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
"""


def test_registry_2_serves_what_was_pushed_and_misses_what_was_deleted(
    docker: Tool, skopeo: Tool, buildah: Tool, repository: str, tmp_path: Path
) -> None:
    (tmp_path / "config.yml").write_text(CONFIGURATION)
    with Registry(tmp_path, "127.0.0.1", tls=False, account=None) as holdfast:
        kept, deleted = holdfast.image(repository, "kept"), holdfast.image(repository, "deleted")
        words = build(docker, tmp_path / "kept", kept, layers=3)
        docker("push", kept)
        docker("tag", kept, holdfast.image(f"{repository}/mounted"))
        docker("push", holdfast.image(f"{repository}/mounted"))
        build(buildah, tmp_path / "gone", "gone")
        buildah("push", "--tls-verify=false", "gone", f"docker://{deleted}")
        skopeo("delete", "--tls-verify=false", f"docker://{deleted}")
        docker("rmi", kept, holdfast.image(f"{repository}/mounted"))

    command = (program("docker-registry"), "serve", str(tmp_path / "config.yml"))
    address = {"http.addr": holdfast.registry}
    with Server(tmp_path, address, command=command, ready="/"):
        for name in (kept, holdfast.image(f"{repository}/mounted")):
            docker("pull", name)
            assert docker("run", "--rm", "--network", "none", name) == words
        listed = skopeo("list-tags", "--tls-verify=false", f"docker://{holdfast.registry}/{repository}")
        assert json.loads(listed)["Tags"] == ["kept"]
        assert "manifest unknown" in skopeo.fails("inspect", "--tls-verify=false", f"docker://{deleted}")
        # What it takes in, it goes on from there.
        words = build(docker, tmp_path / "new", kept)
        docker("push", kept)
        docker("rmi", kept)
        docker("pull", kept)
        assert docker("run", "--rm", "--network", "none", kept) == words
