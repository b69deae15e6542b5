"""From registry:2 to Holdfast and back: the same `docker run` line with another image name.

The image of registry:2 is Debian's docker-registry 2.8.2 in its place, with the configuration that registry:2 has.
"""

import shutil
import tempfile
from pathlib import Path

import pytest

from clients.images import build
from clients.tools import program
from image.building import BASE
from image.machine import Machine

REGISTRY_2 = f"""
FROM {BASE}
COPY docker-registry /bin/registry
COPY config.yml /etc/docker/registry/config.yml
VOLUME ["/var/lib/registry"]
EXPOSE 5000
ENTRYPOINT ["/bin/registry"]
CMD ["serve", "/etc/docker/registry/config.yml"]
"""
CONFIGURATION = """
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
RUN = """docker run -d -p 5000:5000 \\
              --restart=always \\
              --name registry \\
              -v images:/var/lib/registry \\
              -e REGISTRY_STORAGE_DELETE_ENABLED=true \\
              -e REGISTRY_HTTP_SECRET=secret \\
              {image}"""
READY = {"registry:2": "http://localhost:5000/", "holdfast": "http://localhost:5000/readyz"}


@pytest.fixture(scope="module")
def registry_2(docker_host: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of an image of registry:2."""
    directory = tmp_path_factory.mktemp("registry2")
    shutil.copy2(program("docker-registry"), directory)
    (directory / "config.yml").write_text(CONFIGURATION)
    (directory / "Dockerfile").write_text(REGISTRY_2)
    docker_host.docker("build", "--quiet", "--tag", "registry:2", str(directory))
    return "registry:2"


def change_over(machine: Machine, image: str) -> None:
    """Run `image` in the place of what ran before."""
    machine.sh("docker stop registry && docker rm registry || true")
    machine.sh(RUN.format(image=image))
    machine.answers(READY[image])


def push(machine: Machine, directory: Path, *names: str) -> str:
    """Push a new image under some names: what its container prints."""
    words = build(machine.docker, Path(tempfile.mkdtemp(dir=directory)) / "context", "new", layers=2)
    for name in names:
        machine.docker("tag", "new", f"localhost:5000/{name}")
        machine.docker("push", f"localhost:5000/{name}")
        machine.docker("rmi", f"localhost:5000/{name}")
    machine.docker("rmi", "new")
    return words


def check(machine: Machine, images: dict[str, str]) -> None:
    """Pull and run every image, and see that the registry has no others."""
    names = sorted({name.partition(":")[0] for name in images})
    catalog = machine.sh("curl --silent http://localhost:5000/v2/_catalog")
    assert catalog == '{"repositories":["' + '","'.join(names) + '"]}'
    for name, words in images.items():
        machine.docker("pull", f"localhost:5000/{name}")
        assert machine.docker("run", "--rm", "--network", "none", f"localhost:5000/{name}") == words
        machine.docker("rmi", f"localhost:5000/{name}")


def test_change_the_name_of_the_image_and_nothing_else(
    machine: Machine, image: str, registry_2: str, tmp_path: Path
) -> None:
    images = {}
    change_over(machine, registry_2)
    images["team/app:1"] = images["base:latest"] = push(machine, tmp_path, "team/app:1", "base:latest")
    images["team/app:2"] = push(machine, tmp_path, "team/app:2")

    change_over(machine, image)
    check(machine, images)
    images["team/app:2"] = push(machine, tmp_path, "team/app:2")
    images["new/app:1"] = push(machine, tmp_path, "new/app:1")
    machine.sh("docker exec registry registry garbage-collect -m /etc/docker/registry/config.yml")
    check(machine, images)

    change_over(machine, registry_2)
    check(machine, images)
    images["team/app:1"] = push(machine, tmp_path, "team/app:1")
    machine.sh("docker exec registry registry garbage-collect -m /etc/docker/registry/config.yml")

    change_over(machine, image)
    check(machine, images)
