"""deploy/compose: nginx and the registry, started by the document's commands."""

import shutil

from deploy.clientside import NAME, make_certificate, named, push_and_pull, trust
from deploy.compose import compose_command
from deploy.document import DEPLOY, blocks
from image.building import BASE
from image.machine import Machine

LAYER = 110_000_000
PASSWORD = "her password"


def test_nginx_and_registry(machine: Machine, image: str, nginx_images: None) -> None:
    compose = compose_command(machine)
    shutil.copytree(DEPLOY, machine.home / "deploy")
    make_certificate(machine, machine.home / "fullchain.pem", machine.home / "privkey.pem")
    named(machine)
    trust(machine, machine.home / "fullchain.pem", NAME)

    up, login = commands(machine, compose, image)
    machine.sh(up, stdin=PASSWORD)
    answers = (f"https://{NAME}/v2/", "--cacert", f"{machine.home}/fullchain.pem", "--user", f"ann:{PASSWORD}")
    machine.answers(*answers)
    assert "no basic auth credentials" in machine.fails(f"docker pull {NAME}/app")
    machine.sh(login, stdin=PASSWORD)
    push_and_pull(machine, "app", NAME, LAYER)
    assert machine.sh("find deploy/compose/data -user root") == ""

    # A registry that is made anew, elsewhere in the network: its address is somebody else's by now.
    machine.sh(f"cd deploy/compose && {compose} rm --stop --force registry")
    network = machine.sh("docker network ls --quiet --filter name=default")
    machine.sh(f"docker run -d --network {network} {BASE} sleep 600")
    machine.sh(f"cd deploy/compose && {compose} up -d")
    machine.answers(f"https://{NAME}/v2/app/manifests/latest", *answers[1:])


def commands(machine: Machine, compose: str, image: str) -> tuple[str, str]:
    """The document's commands, which get the password from their input: those up to the start, and `docker login`."""
    [text] = blocks("Compose with nginx", "sh")
    changes = {
        f"docker build --tag {image} .\n": "",
        "/path/to": str(machine.home),
        "htpasswd -c": "htpasswd -i -c",
        "docker-compose": compose,
        f"docker login {NAME}": f"docker login {NAME} --username ann --password-stdin",
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    *start, login = text.splitlines()
    return " && ".join(start), login
