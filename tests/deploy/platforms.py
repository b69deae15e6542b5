"""A platform that runs a single image, gives it an end point, and restarts it at will; and the machine of somebody who uses it."""

from collections.abc import Sequence
from pathlib import Path

from deploy.clientside import make_certificate
from harness.server import wait_until
from image.machine import Machine

NAME = "registry.example.com"
OWN, READERS = "192.0.2.1", "192.0.2.2"


class Platform:
    """Runs `image` on `machine`. `port`: what it sets PORT to; 0 where it sets nothing, and expects the image's own 5000.

    `disk`: options of `docker run` that stand for the storage that was asked for, if any.
    """

    def __init__(self, machine: Machine, image: str, *, port: int = 0, disk: Sequence[str] = ()) -> None:
        self.machine = machine
        self._image = image
        self._port = port
        self._disk = list(disk)
        machine.docker("network", "create", "platform")
        self.start()

    def start(self) -> None:
        """Make a container of the image."""
        port = ["--env", f"PORT={self._port}"] if self._port else []
        self.machine.docker("run", "-d", "--name", "app", "--network", "platform", *port, *self._disk, self._image)

    def replace(self) -> None:
        """Make another container in its place, without a word of warning."""
        self.machine.docker("kill", "--signal", "KILL", "app")
        self.machine.docker("rm", "app")
        self.start()

    def started(self) -> str:
        """What the container has written, once it has said all that it says at its start."""
        wait_until(lambda: " authentication kind=" in self.machine.sh("docker logs app"), "the end of the start", 60)
        return self.machine.sh("docker logs app")

    def end_point(self, outside: int, *, tls: bool) -> tuple[str, Path | None]:
        """Let a port of the platform lead to the image's: the end point as it stands in image names, and a certificate.

        The nginx that does it asks for the container's address anew, as platforms do.
        """
        directory = self.machine.home / "end_point"
        directory.mkdir()
        certificate = None
        listen = "listen 80;"
        if tls:
            listen = "listen 80 ssl; ssl_certificate conf.d/end.crt; ssl_certificate_key conf.d/end.key;"
            certificate = directory / "end.crt"
            make_certificate(self.machine, certificate, directory / "end.key")
        (directory / "end.conf").write_text(
            f"resolver 127.0.0.11 valid=1s;\nserver {{ {listen} client_max_body_size 0; location / {{"
            f" set $app http://app:{self._port or 5000}; proxy_pass $app; }} }}\n"
        )
        places = ["--publish", f"{outside}:80", "--volume", f"{directory}:/etc/nginx/conf.d:ro"]
        self.machine.docker("run", "-d", "--name", "end_point", "--network", "platform", *places, "nginx:stable")
        return f"{NAME}:{outside}", certificate


def reader_of(machine: Machine) -> Machine:
    """A second machine with Docker that reaches the first one under NAME."""
    reader = Machine()
    machine.wire(reader, f"{OWN}/24", f"{READERS}/24")
    return reader
