"""The image itself: how it is started and stopped, as whom it runs, what is in it."""

import json
import signal
import tempfile
from pathlib import Path

import pytest

from clients.images import build
from clients.tools import ToolFailed
from harness.server import wait_until
from holdfast import __version__
from image.machine import Machine

READY = "http://localhost:5000/readyz"
CONFIGURATION = "/etc/docker/registry/config.yml"
# A process that leaves its child behind, and says which; the child ends when the first process has inherited it.
ORPHAN = """
import os, time
child = os.fork()
while not child and os.getppid() != 1:
    time.sleep(0.01)
if child:
    print(child)
"""
QUICK_HEALTH = "--health-interval 200ms --health-start-period 0s"


def inspect(machine: Machine, what: str, template: str) -> str:
    """A field of what Docker knows of a container or an image."""
    return machine.docker("inspect", "--format", template, what)


def pushes_and_pulls(machine: Machine, name: str = "localhost:5000/user/mydistro:18.04") -> None:
    """Push an image and pull it again."""
    build(machine.docker, Path(tempfile.mkdtemp(dir=machine.home)) / "context", name)
    machine.sh(f"docker push {name}")
    machine.sh(f"docker rmi {name}")
    machine.sh(f"docker pull {name}")


def test_says_what_it_is(machine: Machine, image: str) -> None:
    [about] = json.loads(machine.sh(f"docker inspect {image}"))

    labels = {name.rpartition(".")[2]: value for name, value in about["Config"]["Labels"].items()}
    assert (labels["title"], labels["version"], labels["licenses"]) == ("Holdfast", __version__, "Apache-2.0")
    assert about["Config"]["ExposedPorts"] == {"5000/tcp": {}}
    assert about["Config"]["Volumes"] == {"/var/lib/registry": {}}
    assert about["Config"]["User"] == ""
    with pytest.raises(ToolFailed):
        machine.sh(f"docker run --rm --entrypoint /opt/holdfast/bin/python3 {image} -m pip --version")


def test_can_use_an_object_store_and_postgresql(machine: Machine, image: str) -> None:
    """Variables alone do: no directory and no embedded database is asked for, and it tries to reach them."""
    place = {"REGISTRY_METADATA_URL": "postgresql://someone@127.0.0.1:1/names", "REGISTRY_STORAGE": "s3"}
    bucket = {"REGIONENDPOINT": "http://127.0.0.1:1", "BUCKET": "images", "ACCESSKEY": "key", "SECRETKEY": "secret"}
    place |= {f"REGISTRY_STORAGE_S3_{name}": value for name, value in bucket.items()}
    options = " ".join(f"-e {name}={value}" for name, value in place.items())
    machine.sh(f"docker run -d --name registry --read-only {options} {image}")
    machine.says("registry", "waiting for what this server needs")
    assert "start PostgreSQL" in machine.sh("docker logs registry 2>&1")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "serve",
        CONFIGURATION,
        f"serve {CONFIGURATION}",
        f"registry serve {CONFIGURATION}",
        f"/bin/registry serve {CONFIGURATION}",
        f"holdfast serve {CONFIGURATION}",
        f"sh -c 'exec registry serve {CONFIGURATION}'",
    ],
)
def test_every_command_line_of_registry2_serves(machine: Machine, image: str, command: str) -> None:
    machine.sh(f"docker run -d -p 5000:5000 --name registry -v $PWD/images:/var/lib/registry {image} {command}")
    machine.answers(READY)
    assert "registry" in machine.sh("ls images/docker")


def test_commands_of_registry2(machine: Machine, image: str) -> None:
    run = f"docker run --rm {image}"
    for words in ("--version", "-v", "registry --version"):
        assert machine.sh(f"{run} {words}") == f"holdfast, version {__version__}"
    for words in ("help", "--help", "-h", "registry help"):
        assert "garbage-collect" in machine.sh(f"{run} {words}")
    for words in ("help serve", "serve --help", "serve -h"):
        assert "Usage: registry serve" in machine.sh(f"{run} {words}")
    assert machine.sh(f"{run} sh -c 'echo $0 $1' a b") == "a b"
    assert "No such command 'srve'" in machine.fails(f"{run} srve")
    assert "there is no such file" in machine.fails(f"{run} serve /nowhere.yml")


def test_htpasswd(machine: Machine, image: str) -> None:
    """The ways in which people make the file."""
    for command in ("-Bbn", "-nbB", "-B -b -n"):
        line = machine.sh(f"docker run --rm --entrypoint htpasswd {image} {command} ann secret")
        assert line.startswith("ann:$2y$05$")
    assert "bcrypt only: use -B" in machine.fails(f"docker run --rm --entrypoint htpasswd {image} -mbn ann secret")
    machine.sh(f"docker run --rm -v $PWD:/auth --entrypoint htpasswd {image} -Bbc /auth/htpasswd ann secret")
    said = machine.sh(f"docker run --rm -v $PWD:/auth --entrypoint htpasswd {image} -vb /auth/htpasswd ann secret")
    assert said == "Password for user ann correct."


@pytest.mark.parametrize("place", ["/etc/docker/registry/config.yml", "/etc/distribution/config.yml"])
def test_a_mounted_configuration_is_used_at_either_place(machine: Machine, image: str, place: str) -> None:
    (machine.home / "config.yml").write_text("version: 0.1\nstorage: inmemory\nhttp:\n  addr: :5001\n")
    machine.sh(f"docker run -d -p 5000:5001 --name registry {QUICK_HEALTH} -v $PWD/config.yml:{place} {image}")
    machine.answers(READY)
    machine.healthy("registry")


def test_shipped_configuration_is_that_of_registry2_without_a_warning(machine: Machine, image: str) -> None:
    said = machine.sh(f"docker run --rm {image} config {CONFIGURATION}")

    assert "Warning" not in said
    for line in (
        "http.addr: :5000",
        "storage.filesystem.rootdirectory: /var/lib/registry",
        "storage.delete.enabled: false",
    ):
        assert line in said


@pytest.mark.parametrize("user", ["1000", "65534:65534"])
def test_runs_as_any_user_with_a_read_only_root(machine: Machine, image: str, user: str) -> None:
    options = f"--user {user} --read-only --cap-drop ALL --security-opt no-new-privileges"
    machine.sh(
        f"docker run -d -p 5000:5000 --name registry {options} {QUICK_HEALTH} -v images:/var/lib/registry {image}"
    )
    machine.answers(READY)

    pushes_and_pulls(machine)

    machine.healthy("registry")
    assert "garbage" in machine.sh("docker exec registry registry help")
    assert inspect(machine, "registry", "{{.State.ExitCode}}") == "0"


def test_needs_no_shell(machine: Machine, image: str) -> None:
    hidden = "-v /dev/null:/usr/bin/dash:ro -v /dev/null:/usr/bin/bash:ro"
    machine.sh(f"docker run -d -p 5000:5000 --name registry {hidden} {QUICK_HEALTH} {image}")
    machine.answers(READY)
    machine.fails("docker exec registry sh -c true")

    pushes_and_pulls(machine)

    machine.healthy("registry")


def test_health_tells_when_nothing_answers(machine: Machine, image: str) -> None:
    machine.sh(f"docker run -d --name registry {QUICK_HEALTH} --health-timeout 5s --health-retries 1 {image}")
    machine.healthy("registry")
    assert machine.sh("docker exec registry registry health") == "healthy"
    assert machine.sh("docker exec registry registry health http://localhost:5000") == "healthy"

    for process in machine.sh(
        "docker top registry -eo pid,args | grep multiprocessing.spawn | awk '{print $1}'"
    ).split():
        machine.sh(f"kill -{signal.SIGSTOP} {process}")

    wait_until(
        lambda: inspect(machine, "registry", "{{.State.Health.Status}}") == "unhealthy", "it to be unhealthy", 60
    )
    machine.sh("docker kill registry")


def test_stop_is_quick_and_clean(machine: Machine, image: str) -> None:
    machine.sh(f"docker run -d -p 5000:5000 --name registry {image}")
    machine.answers(READY)

    machine.sh("docker stop registry")  # after 10 seconds Docker kills, which gives another status

    assert inspect(machine, "registry", "{{.State.ExitCode}}") == "0"
    machine.says("registry", "stopped")


def test_first_process_buries_what_others_leave_behind(machine: Machine, image: str) -> None:
    machine.sh(f"docker run -d -p 5000:5000 --name registry {image}")
    machine.answers(READY)

    orphan = machine.sh(f'docker exec registry /opt/holdfast/bin/python3 -c "{ORPHAN}"')

    seen = f"docker exec registry ls /proc/{orphan} || echo gone"
    wait_until(lambda: machine.sh(seen).endswith("gone"), "the burial", 60)


def test_garbage_collect_as_with_registry2(machine: Machine, image: str) -> None:
    machine.sh(f"docker run -d -p 5000:5000 --name registry -e REGISTRY_STORAGE_DELETE_ENABLED=true {image}")
    machine.answers(READY)
    pushes_and_pulls(machine)
    pushes_and_pulls(machine)
    collect = f"docker exec registry registry garbage-collect %s {CONFIGURATION}"

    for options in ("", "-d", "-m", "--delete-untagged=true --dry-run", "-q --delete-untagged"):
        assert "0 manifests" in machine.sh(collect % options)  # all of it was pushed just now
    assert "1 manifest eligible for deletion" in machine.sh(collect % "-d -m --grace 0s")
    assert "1 manifest deleted" in machine.sh(collect % "-m --grace 0s")

    machine.sh("docker rmi localhost:5000/user/mydistro:18.04")
    machine.sh("docker pull localhost:5000/user/mydistro:18.04")


def test_what_root_has_written_goes_over_to_another_user(machine: Machine, image: str) -> None:
    run = "docker run -d -p 5000:5000 --name registry -v $PWD/images:/var/lib/registry"
    machine.sh(f"{run} {image}")
    machine.answers(READY)
    pushes_and_pulls(machine)
    machine.sh("docker rm -f registry")

    machine.sh(f"{run} --user 1000:1000 {image}")
    machine.answers(READY)
    advice = "user 1000 may not; to give it the directory: chown -R 1000 /var/lib/registry; serving pulls only"
    machine.says("registry", advice)
    machine.sh("docker rm -f registry && chown -R 1000 images")
    machine.sh(f"{run} --user 1000:1000 --read-only {image}")
    machine.answers(READY)

    machine.sh("docker rmi localhost:5000/user/mydistro:18.04")
    machine.sh("docker pull localhost:5000/user/mydistro:18.04")
    pushes_and_pulls(machine)
