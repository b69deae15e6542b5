"""Slides of 2018, "Deploying a private Registry": every command, with the name of the image changed and nothing else."""

import json

from clients.images import build
from image.machine import Machine

RUN = """docker run -d -p 5000:5000 \\
           --restart=always \\
           --name registry holdfast"""
CATALOG = "curl -v http://localhost:5000/v2/_catalog"
HEADERS = """\
< HTTP/1.1 200 OK
< Content-Type: application/json; charset=utf-8
< Docker-Distribution-Api-Version: registry/2.0
< X-Content-Type-Options: nosniff
< Content-Length: 52
"""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def deployed(machine: Machine) -> None:
    """The slides' registry, and an image `ubuntu:18.04` that they get from the net."""
    machine.sh(RUN)
    machine.answers("http://localhost:5000/v2/")
    build(machine.docker, machine.home / "ubuntu", "ubuntu:18.04")


def test_run_check_tag_and_push(machine: Machine) -> None:
    deployed(machine)

    title, registry = machine.sh("docker ps").splitlines()

    assert title.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert " holdfast " in registry
    assert '"/entrypoint.sh /etc' in registry
    assert "0.0.0.0:5000->5000/tcp" in registry
    assert registry.endswith(" registry")

    machine.sh("""docker tag ubuntu:18.04 \\
        localhost:5000/user/mydistro:18.04""")
    pushed = machine.sh("""docker push \\
      localhost:5000/user/mydistro:18.04""")
    assert "18.04: digest: sha256:" in pushed


def test_list_images_tags_and_details(machine: Machine) -> None:
    deployed(machine)
    for user in ("raoul", "gianluca"):
        machine.sh(f"docker tag ubuntu:18.04 localhost:5000/{user}/ubuntu:18.04")
        machine.sh(f"docker push localhost:5000/{user}/ubuntu:18.04")

    said = machine.sh(CATALOG)

    lines = [line.strip().lower() for line in said.splitlines()]
    assert [line for line in HEADERS.lower().splitlines() if line not in lines] == []
    assert any(line.startswith("< date: ") and line.endswith(" gmt") for line in lines)
    assert '{"repositories":["gianluca/ubuntu","raoul/ubuntu"]}' in said.splitlines()
    assert "Connection #0 to host localhost left intact" in said

    for start in ("", "/v2"):
        tags = machine.sh(f"curl --silent http://localhost:5000{start}/raoul/ubuntu/tags/list")
        assert tags == '{"name":"raoul/ubuntu","tags":["18.04"]}'

    details = machine.sh("curl --silent http://localhost:5000/raoul/ubuntu/manifests/18.04")
    assert json.loads(details)["mediaType"] == MANIFEST
    assert details == machine.sh(
        f"curl --silent -H 'Accept: {MANIFEST}' localhost:5000/v2/raoul/ubuntu/manifests/18.04"
    )


def test_images_and_registry_are_back_after_restarts(machine: Machine) -> None:
    deployed(machine)
    machine.sh("docker tag ubuntu:18.04 localhost:5000/user/mydistro:18.04")
    machine.sh("docker push localhost:5000/user/mydistro:18.04")
    for restart in (lambda: machine.sh("docker restart registry"), machine.daemon.restart):
        restart()

        machine.answers("http://localhost:5000/v2/")
        machine.sh("docker rmi localhost:5000/user/mydistro:18.04")
        machine.sh("docker pull localhost:5000/user/mydistro:18.04")
