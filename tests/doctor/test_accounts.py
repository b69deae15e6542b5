"""The htpasswd file, with the mistakes that the htpasswd command and editors make."""

import subprocess
from pathlib import Path

import pytest

from clients.tools import program
from doctor.reports import ANN_LINE, Report, report, resting


def entry(*options: str, user: str = "ann") -> str:
    """A line of Apache's htpasswd."""
    command = [program("htpasswd"), "-nb", *options, user, "her password"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() + "\n"


def looked_at(tmp_path: Path, content: str) -> Report:
    (tmp_path / "users").write_bytes(content.encode())
    return report(resting(tmp_path / "root", auth__htpasswd__path=str(tmp_path / "users")))


@pytest.mark.parametrize("options", [(), ("-d",), ("-s",), ("-p",), ("-2",)], ids=lambda given: "".join(given) or "md5")
def test_other_hashes(options: tuple[str, ...], tmp_path: Path) -> None:
    line = entry(*options)
    found = looked_at(tmp_path, ANN_LINE + line.replace("ann:", "bob:"))
    found.says("accounts", "problem", "line 2, user bob", "only bcrypt", "cannot sign in", "holdfast htpasswd -B")
    assert line.split(":")[1].strip() not in str(found)


def test_nobody_gets_in(tmp_path: Path) -> None:
    looked_at(tmp_path, "# nobody yet\n").says("accounts", "problem", "nobody gets in", "holdfast htpasswd -B")


def test_the_same_user_twice(tmp_path: Path) -> None:
    looked_at(tmp_path, ANN_LINE * 2).says("accounts", "advice", "line 2, user ann", "earlier entry", "remove one")


def test_line_ends_of_windows(tmp_path: Path) -> None:
    found = looked_at(tmp_path, ANN_LINE.replace("\n", "\r\n"))
    found.says("accounts", "advice", "line ends of Windows", "sed -i")


def test_weak_hashes(tmp_path: Path) -> None:
    looked_at(tmp_path, entry("-B", "-C", "4")).says("accounts", "advice", "cost less than 10", "-C 10")


def test_slow_hashes(tmp_path: Path) -> None:
    line = ANN_LINE.replace("$2y$10$", "$2y$16$")
    looked_at(tmp_path, line).says("accounts", "advice", "more than 14", "-C 12")


def test_a_line_without_hash(tmp_path: Path) -> None:
    looked_at(tmp_path, "ann\n").says("accounts", "problem", "line 1 is not of the form user:hash")


def test_a_directory(tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    found = report(resting(tmp_path / "root", auth__htpasswd__path=str(tmp_path / "users")))
    found.says("accounts", "problem", "is a directory: Docker makes one", "start the container again")


def test_no_file(tmp_path: Path) -> None:
    found = report(resting(tmp_path / "root", auth__htpasswd__path=str(tmp_path / "users")))
    found.says("accounts", "advice", "does not exist", "docker", "mounted")
    assert not (tmp_path / "users").exists()
