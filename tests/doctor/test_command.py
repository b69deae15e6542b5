"""The command: its output, its exit status, and its page."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from doctor.reports import ANN, variables
from harness.server import Server
from holdfast.doctor.document import SYMPTOMS, page
from holdfast.doctor.examine import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"


def doctor(
    *arguments: str, settings: Mapping[str, str] | None = None, given: str = "", directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `holdfast doctor`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
    return subprocess.run(
        [sys.executable, "-m", "holdfast", "doctor", *arguments],
        env=environment | variables(settings or {}),
        input=given,
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_lines(accounts: Server) -> None:
    done = doctor("--user", ANN.user, "--password-stdin", settings=accounts.settings, given=f"{ANN.password}\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"ok       push and pull: pushed to {accounts.url} and pulled from it: the same bytes\n" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 problem, ")
    assert done.stderr == ""
    assert ANN.password not in done.stdout


def test_json_and_a_file(plain: Server, tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    root = plain.settings["storage.filesystem.rootdirectory"]
    file.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\nhttp: {{addr: '{plain.registry}', host: 'http://127.0.0.1:1'}}\n"
    )
    done = doctor(str(file), "--json", "--no-push")
    assert done.returncode == 1, done.stdout
    found = json.loads(done.stdout)
    assert found["healthy"] is False
    assert [check["name"] for check in found["checks"]] == [check.name for check in CHECKS]
    [answer] = [check for check in found["checks"] if check["name"] == "answer"]
    assert answer["result"] == "problem"
    assert [finding["result"] for finding in answer["findings"]] == ["ok", "problem"]
    assert answer["findings"][1]["remedy"]


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_text("version: 0.1\nhttp:\n  addr: nowhere\n")
    done = doctor(str(tmp_path / "config.yml"))
    assert done.returncode == 1
    assert "problem  configuration: http.addr (file" in done.stdout
    assert "line 3" in done.stdout


def test_on_the_machine_of_a_client(plain: Server, tmp_path: Path) -> None:
    """Nothing is configured there: only the address counts."""
    done = doctor("--url", f"{plain.url}/v2/", directory=tmp_path)
    assert done.returncode == 0, done.stdout
    assert "skipped  configuration: no configuration was given" in done.stdout
    assert f"ok       push and pull: pushed to {plain.url}" in done.stdout
    assert "volume" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--url", "ftp://registry.example.com"), "https://registry.example.com"),
        (("--url", "http://registry:99999999"), "https://registry.example.com"),
        (("--url", "https://ann:secret@registry.example.com"), "--password-stdin"),
        (("--password-stdin",), "--user NAME"),
        (("--user", "ann"), "--password-stdin"),
        (("--user", "ann", "--password-stdin"), "empty"),
        (("--user", "a:b", "--password-stdin"), "colon"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_wrong_options(arguments: tuple[str, ...], words: str) -> None:
    done = doctor(*arguments)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "secret" not in done.stdout


def test_page_is_made_from_the_checks() -> None:
    assert PAGE.read_text("utf-8") == page()


def test_symptoms_lead_to_checks() -> None:
    assert {check for _, check in SYMPTOMS} <= {check.name for check in CHECKS}
