"""The two walk-throughs of platforms: an image, an end point, `docker push {entry_point}/{repository}`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.images import build
from deploy.clientside import trust
from deploy.document import blocks
from deploy.platforms import NAME, OWN, Platform, reader_of
from harness.server import wait_until
from image.machine import Machine

DISK = ("--volume", "disk:/var/lib/registry")


@pytest.fixture(scope="module")
def reader(docker_host: Machine) -> Iterator[Machine]:
    """The local machine of the documents' reader."""
    machine = reader_of(docker_host)
    machine.knows(NAME, OWN)
    # The daemon may have read the file before, and reads it again after some seconds only.
    wait_until(lambda: "lookup" not in machine.fails(f"docker pull {NAME}:1/nothing"), f"{NAME} to be known", 60)
    yield machine
    machine.stop()


@pytest.fixture
def picture(reader: Machine, tmp_path: Path) -> tuple[str, str]:
    """An image on the reader's machine, and what its container says."""
    return "haproxy", build(reader.docker, tmp_path / "haproxy", "haproxy")


def push_and_pull(reader: Machine, entry_point: str, picture: tuple[str, str]) -> None:
    """The commands of the documents, with their two words filled in."""
    image, words = picture
    repository = "haproxy"
    reader.sh(f"docker tag  {image}  {entry_point}/{repository}")
    reader.sh(f"docker push  {entry_point}/{repository}")
    pull(reader, entry_point, words)


def pull(reader: Machine, entry_point: str, words: str) -> None:
    reader.sh(f"docker rmi {entry_point}/haproxy")
    reader.sh(f"docker pull {entry_point}/haproxy")
    assert reader.sh(f"docker run --rm --network none {entry_point}/haproxy") == words


@pytest.mark.parametrize("port", [0, 8123], ids=["port of the image", "port of the platform"])
def test_end_point_in_insecure_mode(
    port: int, machine: Machine, image: str, nginx_images: None, reader: Machine, picture: tuple[str, str]
) -> None:
    outside = 11012 if port else 11011
    entry_point, _ = Platform(machine, image, port=port, disk=DISK).end_point(outside, tls=False)
    machine.answers(f"http://{OWN}:{outside}/v2/")
    reader.sh(f"docker tag haproxy {entry_point}/haproxy")

    # What a reader meets who has left out the insecure mode: the document shows the same message, and the way on.
    [message] = blocks("Platforms", "text")
    assert message.strip() in reader.fails(f"docker push {entry_point}/haproxy")

    # DOCKER_OPTS="--insecure-registry {entry_point}", sudo service docker restart
    reader.daemon.restart("--insecure-registry", entry_point)
    push_and_pull(reader, entry_point, picture)


def test_end_point_that_ends_tls(
    machine: Machine, image: str, nginx_images: None, reader: Machine, picture: tuple[str, str]
) -> None:
    entry_point, certificate = Platform(machine, image, port=8080, disk=DISK).end_point(11443, tls=True)
    assert certificate is not None
    machine.answers(f"https://{OWN}:11443/v2/", "--insecure")
    trust(reader, certificate, entry_point)
    push_and_pull(reader, entry_point, picture)


def test_restarts_at_will_keep_what_is_on_the_volume(
    machine: Machine, image: str, nginx_images: None, reader: Machine, picture: tuple[str, str]
) -> None:
    platform = Platform(machine, image, port=8080, disk=DISK)
    entry_point, certificate = platform.end_point(11443, tls=True)
    assert certificate is not None
    machine.answers(f"https://{OWN}:11443/v2/", "--insecure")
    trust(reader, certificate, entry_point)
    push_and_pull(reader, entry_point, picture)
    for _ in range(2):
        platform.replace()
        machine.answers(f"https://{OWN}:11443/v2/haproxy/manifests/latest", "--insecure")
    pull(reader, entry_point, picture[1])
    assert "new container" not in platform.started()


WITHOUT = {
    "nothing": ((), "volume without a name: a new container does not find these images"),
    "memory": (("--tmpfs", "/var/lib/registry"), "in memory (tmpfs): everything is lost"),
    "another directory": (
        ("--env", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/data"),
        "container's own file system (overlay): all images are lost",
    ),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_without_a_volume_the_log_says_so(name: str, machine: Machine, image: str, nginx_images: None) -> None:
    disk, words = WITHOUT[name]
    platform = Platform(machine, image, disk=disk)
    platform.end_point(11011, tls=False)
    machine.answers(f"http://{OWN}:11011/v2/")
    assert f"warning {'/data' if name == 'another directory' else '/var/lib/registry'} is" in platform.started()
    assert words in platform.started()
