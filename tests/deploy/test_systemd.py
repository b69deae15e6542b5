"""The systemd unit: installed by the document's commands on a machine of its own, whose first process is systemd."""

import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.tools import program
from deploy.document import DEPLOY, ROOT, blocks
from deploy.machine import Machine
from harness.content import OCI_LAYER_GZIP, Content, config, digest, image
from harness.server import wait_until

UNIT = DEPLOY / "systemd" / "holdfast.service"
NAME = "registry.example.com"
CURL = f"curl --silent --show-error --resolve {NAME}:443:127.0.0.1 --cacert /etc/holdfast/registry.crt"
SIGNED_IN = f"{CURL} --user 'ann:her password'"
LEAST_EXPOSURE = 2.0


@pytest.fixture(scope="module")
def machine(root: None) -> Iterator[Machine]:
    """The machine with Holdfast started as the document says."""
    install, accounts, start = blocks("systemd", "sh")
    machine = Machine(ROOT)
    try:
        machine.before_boot(install + accounts)
        machine.boot()
        assert "active (running)" in machine.run(start)
        wait_until(lambda: _status(machine, "/healthz") == 200, "the registry", 60)
        yield machine
    finally:
        machine.close()


def _status(machine: Machine, path: str) -> int:
    options = "--output /dev/null --write-out '%{http_code}'"
    return int(machine.run(f"{SIGNED_IN} {options} https://{NAME}{path} || true").split()[-1])


def _main_process(machine: Machine) -> str:
    return machine.run("systemctl show --property MainPID --value holdfast").strip()


def test_docker_would_find_it_on_port_443_with_tls_and_passwords(machine: Machine) -> None:
    assert "401" in machine.run(f"{CURL} --head https://{NAME}/v2/")
    assert machine.run(f"{SIGNED_IN} https://{NAME}/v2/_catalog").strip() == '{"repositories":[]}'


def test_push_and_pull(machine: Machine) -> None:
    _write_image(machine.root / "srv/image")
    machine.run(
        f"""
        echo '127.0.0.1 {NAME}' >>/etc/hosts
        mkdir -p /etc/containers/certs.d/{NAME}
        cp /etc/holdfast/registry.crt /etc/containers/certs.d/{NAME}/ca.crt
        """
    )
    remote, skopeo = f"docker://{NAME}/team/app:1.0", "skopeo --insecure-policy copy --preserve-digests"
    machine.run(f"{skopeo} --dest-creds 'ann:her password' dir:/srv/image {remote}")
    machine.run(f"{skopeo} --src-creds 'ann:her password' {remote} dir:/srv/back")
    machine.run("diff --recursive /srv/image /srv/back")


def _write_image(directory: Path) -> None:
    """Write an image in the form that Skopeo calls `dir`."""
    files = bytes(10240)
    layer = Content(gzip.compress(files, mtime=0), OCI_LAYER_GZIP)
    configuration = config("systemd", rootfs={"type": "layers", "diff_ids": [digest(files)]})
    directory.mkdir()
    (directory / "version").write_text("Directory Transport Version: 1.1\n")
    (directory / "manifest.json").write_bytes(image(configuration, [layer]).body)
    for blob in (configuration, layer):
        (directory / blob.digest.removeprefix("sha256:")).write_bytes(blob.body)


def test_nothing_of_it_runs_as_root(machine: Machine) -> None:
    users = machine.run("ps -o user= -g $(systemctl show --property MainPID --value holdfast)").split()
    assert set(users) == {"holdfast"}


def test_files_belong_to_the_user(machine: Machine) -> None:
    assert machine.run("find /var/lib/holdfast ! -user holdfast") == ""
    assert machine.run("stat --format '%U %a' /var/lib/holdfast").strip() == "holdfast 750"


def test_reload_keeps_the_process_and_takes_the_configuration_over(machine: Machine) -> None:
    before = _main_process(machine)
    machine.run("sed -i 's/^http:/http:\\n  headers: {X-Changed: [certainly]}/' /etc/holdfast/config.yml")
    machine.run("systemctl reload holdfast")
    wait_until(lambda: "certainly" in machine.run(f"{CURL} --head https://{NAME}/v2/"), "the new header", 60)
    assert _main_process(machine) == before


def test_killed_it_comes_back_with_its_images(machine: Machine) -> None:
    before = _main_process(machine)
    machine.run("systemctl kill --signal=KILL holdfast")
    wait_until(lambda: _main_process(machine) not in {before, "0"}, "systemd to start it again", 60)
    wait_until(lambda: _status(machine, "/v2/team/app/manifests/1.0") == 200, "the image", 60)


def test_stop_is_clean_and_its_commands_work_as_its_user(machine: Machine) -> None:
    machine.run("systemctl stop holdfast")
    assert machine.run("systemctl show --property Result --value holdfast").strip() == "success"
    assert "rootdirectory" in machine.run(_spoken("holdfast config"))


def _spoken(command: str) -> str:
    """The line in the document's text that has a command."""
    text = (ROOT / "docs" / "deploy.md").read_text("utf-8")
    found: str
    [found] = [words for words in re.findall(r"`([^`\n]+)`", text) if command in words]
    return found


def test_unit_is_right_and_hardened(tmp_path: Path) -> None:
    # The program that it starts need not be installed where this test runs.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/holdfast/bin/holdfast", "/bin/true"))
    verified = subprocess.run(
        [program("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    threshold = f"--threshold={int(LEAST_EXPOSURE * 10)}"
    command = [program("systemd-analyze"), "security", "--offline=true", threshold, "--no-pager", str(unit)]
    exposed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert exposed.returncode == 0, exposed.stdout + exposed.stderr
