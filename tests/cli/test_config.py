"""`holdfast config`, as a person or a program runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from holdfast.config.document import document

RUN = "import sys; from holdfast.cli.config import config; sys.argv[0] = 'holdfast config'; config()"


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command with only these variables of the configuration."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_") and name != "PORT"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        env={**others, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_prints_settings_with_origins(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("version: 0.1\nhttp:\n  addr: 127.0.0.1:5001\n  adr: x\n")
    done = run(str(path), REGISTRY_STORAGE_DELETE_ENABLED="true")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert f"http.addr: 127.0.0.1:5001  # file {path} line 3" in lines
    assert "storage.delete.enabled: true  # variable REGISTRY_STORAGE_DELETE_ENABLED" in lines
    assert "log.level: info  # default" in lines
    assert done.stderr.startswith(f"Warning: http.adr (file {path} line 4): ignored")


def test_prints_json(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("version: 0.1\ncatalog: {maxentries: 7}\nredis: {addr: x}\n")
    done = run("--json", REGISTRY_CONFIGURATION_PATH=str(path))
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    assert {"key": "catalog.maxentries", "value": 7, "origin": f"file {path} line 2"} in printed["settings"]
    assert len(printed["warnings"]) == 1


def test_prints_every_problem_and_ends_with_1(tmp_path: Path) -> None:
    missing = tmp_path / "missing.yml"
    done = run(str(missing), REGISTRY_TAGS_MAXTAGS="x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"Error: file {missing}: there is no such file; correct the path",
        "Error: tags.maxtags (variable REGISTRY_TAGS_MAXTAGS): found 'x', expected a whole number, 1 or more",
    ]


def test_prints_the_reference_whatever_the_variables_say() -> None:
    done = run("--document", REGISTRY_TAGS_MAXTAGS="x")
    assert (done.returncode, done.stdout) == (0, document())


def test_explains_a_key(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("version: 0.1\ncatalog: {maxentries: 7}\n")
    done = run("--explain", "REGISTRY_CATALOG_MAXENTRIES", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("catalog.maxentries\n\n  The most repositories")
    assert done.stdout.endswith(f"\n    catalog.maxentries: 7  # file {path} line 2\n")


def test_explains_a_key_also_where_the_configuration_cannot_be_used() -> None:
    done = run("--explain", "proxy", REGISTRY_PROXY_REMOTEURL="https://example.com", REGISTRY_REDIS_DB="1")
    assert done.returncode == 1
    assert "stops the start: the registry cannot mirror another one" in done.stdout
    warning, error = done.stderr.splitlines()
    assert warning.startswith("Warning: redis (variable REGISTRY_REDIS_DB): it has no effect here")
    assert error.startswith("Error: proxy (variable REGISTRY_PROXY_REMOTEURL): the registry cannot mirror")


def test_an_unknown_key_and_two_wishes_at_once_are_refused() -> None:
    done = run("--explain", "http.adr")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no key or variable called 'http.adr'; did you mean http.addr?\n"
    assert run("--explain", "http.addr", "--json").returncode == 2
