"""The systemd unit: installed by the document's commands on a machine of its own, whose first process is systemd."""

import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.tools import program
from deploy.booted import Booted
from deploy.document import DEPLOY, ROOT, blocks
from harness.content import OCI_LAYER_GZIP, Content, config, digest, image
from harness.server import wait_until

UNIT = DEPLOY / "systemd" / "holdfast.service"
NAME = "registry.example.com"
CURL = f"curl --silent --show-error --resolve {NAME}:443:127.0.0.1 --cacert /etc/holdfast/registry.crt"
SIGNED_IN = f"{CURL} --user 'ann:her password'"
LEAST_EXPOSURE = 2.0


@pytest.fixture(scope="module")
def booted(root: None) -> Iterator[Booted]:
    """The machine with Holdfast started as the document says."""
    install, accounts, start = blocks("systemd", "sh")
    booted = Booted(ROOT)
    try:
        booted.before_boot(install + accounts)
        booted.boot()
        assert "active (running)" in booted.run(start)
        wait_until(lambda: _status(booted, "/healthz") == 200, "the registry", 60)
        yield booted
    finally:
        booted.close()


def _status(booted: Booted, path: str) -> int:
    options = "--output /dev/null --write-out '%{http_code}'"
    return int(booted.run(f"{SIGNED_IN} {options} https://{NAME}{path} || true").split()[-1])


def _main_process(booted: Booted) -> str:
    return booted.run("systemctl show --property MainPID --value holdfast").strip()


def test_docker_would_find_it_on_port_443_with_tls_and_passwords(booted: Booted) -> None:
    assert "401" in booted.run(f"{CURL} --head https://{NAME}/v2/")
    assert booted.run(f"{SIGNED_IN} https://{NAME}/v2/_catalog").strip() == '{"repositories":[]}'


def test_push_and_pull(booted: Booted) -> None:
    _write_image(booted.root / "srv/image")
    booted.run(
        f"""
        echo '127.0.0.1 {NAME}' >>/etc/hosts
        mkdir -p /etc/containers/certs.d/{NAME}
        cp /etc/holdfast/registry.crt /etc/containers/certs.d/{NAME}/ca.crt
        """
    )
    remote, skopeo = f"docker://{NAME}/team/app:1.0", "skopeo --insecure-policy copy --preserve-digests"
    booted.run(f"{skopeo} --dest-creds 'ann:her password' dir:/srv/image {remote}")
    booted.run(f"{skopeo} --src-creds 'ann:her password' {remote} dir:/srv/back")
    booted.run("diff --recursive /srv/image /srv/back")


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


def test_nothing_of_it_runs_as_root(booted: Booted) -> None:
    processes = [line.split(maxsplit=1) for line in booted.run("ps -e -o user=,args=").splitlines()]
    users = [user for user, command in processes if command.startswith("/opt/holdfast/")]
    assert len(users) > 1
    assert set(users) == {"holdfast"}


def test_files_belong_to_the_user(booted: Booted) -> None:
    assert booted.run("find /var/lib/holdfast ! -user holdfast") == ""
    assert booted.run("stat --format '%U %a' /var/lib/holdfast").strip() == "holdfast 750"


def test_reload_keeps_the_process_and_takes_the_configuration_over(booted: Booted) -> None:
    before = _main_process(booted)
    booted.run("sed -i 's/^http:/http:\\n  headers: {X-Changed: [certainly]}/' /etc/holdfast/config.yml")
    booted.run("systemctl reload holdfast")
    wait_until(lambda: "certainly" in booted.run(f"{CURL} --head https://{NAME}/v2/"), "the new header", 60)
    assert _main_process(booted) == before


def test_killed_it_comes_back_with_its_images(booted: Booted) -> None:
    before = _main_process(booted)
    booted.run("systemctl kill --signal=KILL holdfast")
    wait_until(lambda: _main_process(booted) not in {before, "0"}, "systemd to start it again", 60)
    wait_until(lambda: _status(booted, "/v2/team/app/manifests/1.0") == 200, "the image", 60)


def test_a_directory_of_somebody_else_is_given_to_the_user(booted: Booted) -> None:
    booted.run("systemctl stop holdfast; chown --recursive root:root /var/lib/holdfast; systemctl start holdfast")
    wait_until(lambda: _status(booted, "/v2/team/app/manifests/1.0") == 200, "the image", 60)
    assert booted.run("find /var/lib/holdfast ! -user holdfast") == ""


def test_stop_is_clean_and_its_commands_work_as_its_user(booted: Booted) -> None:
    booted.run("systemctl stop holdfast")
    assert booted.run("systemctl show --property Result --value holdfast").strip() == "success"
    assert "rootdirectory" in booted.run(_spoken("holdfast config"))


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
