"""`holdfast htpasswd` beside Apache's htpasswd: the same output, messages, exit codes and files."""

import os
import pty
import re
import select
import shutil
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
from click.testing import CliRunner

from holdfast.cli.htpasswd import htpasswd

OURS = (sys.executable, "-c", "from holdfast.cli.htpasswd import htpasswd; htpasswd(prog_name='holdfast htpasswd')")
HASH = re.compile(rb"\$2y\$(\d\d)\$[./A-Za-z0-9]{53}")
FILE = b"""\
# people

  ann:$apr1$J4ERbUlJ$CbpzXHSpyCHo7HwHLzaPR1
bob:$2y$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy
"""


@dataclass(frozen=True)
class Outcome:
    """What a run left behind; hashes are reduced to their cost, usage texts to their first line."""

    code: int
    out: bytes
    err: bytes
    files: dict[str, bytes]

    @classmethod
    def of(cls, code: int, out: bytes, err: bytes, directory: Path) -> "Outcome":
        files = {path.name: HASH.sub(rb"<\1>", path.read_bytes()) for path in directory.iterdir() if path.is_file()}
        err = re.sub(rb"(?s)Usage:.*", b"Usage:", err)
        return cls(code, HASH.sub(rb"<\1>", out), err, files)


@pytest.fixture
def apache() -> str:
    """Apache's program, under the name that its messages begin with."""
    if shutil.which("htpasswd") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("htpasswd is missing: install apache2-utils")
        pytest.skip("htpasswd is missing: install apache2-utils")
    return "htpasswd"


def prepared(directory: Path) -> Path:
    """An empty directory with an htpasswd file and a broken one."""
    directory.mkdir()
    (directory / "file").write_bytes(FILE)
    (directory / "broken").write_bytes(b"ann:x\nno colon\n")
    (directory / "empty").write_bytes(b"")
    (directory / "folder").mkdir()
    return directory


CASES = [
    "-Bbn ann secret",
    "-nbB ann secret",
    "-B -b -n ann secret",
    "-Bbn -C 4 ann secret",
    "-BbnC4 ann secret",
    "-Bbnr 5 ann secret",
    "-Bbn -- -ann secret",
    "-Bbn ann -secret",
    "-Bbn ann",
    "-Bbn",
    "-Bn a b c",
    "",
    "-X",
    "-BC",
    "-Bbn -C 3 ann secret",
    "-Bbn -C 18 ann secret",
    "-Bbn -C 0 ann secret",
    "-Bbn -C x ann secret",
    "-Bbn -C -5 ann secret",
    "-Bbn a:b secret",
    f"-Bbn {'a' * 193} secret",
    f"-Bbn {'a' * 194} secret",
    f"-Bbn {'a' * 256} secret",
    f"-Bbn ann {'a' * 255}",
    f"-Bbn ann {'a' * 256}",
    "-cn file ann",
    "-Dv file ann",
    "-cD file ann",
    "-bi file ann secret",
    "-Bbc new ann secret",
    "-Bbc file ann secret",
    "-Bbc empty/new ann secret",
    "-Bbc nowhere/new ann secret",
    "-Bbc folder ann secret",
    "-Bb folder ann secret",
    "-Bb new ann secret",
    "-Bb file ann secret",
    "-Bb file cid secret",
    "-Bb empty cid secret",
    "-Bb broken ann secret",
    "-Bb broken cid secret",
    "-D file ann",
    "-D file cid",
    "-D broken ann",
    "-D new ann",
    "-D file ann more",
    "-Db file ann more",
    "-vb file cid secret",
    "-vb file bob wrong",
    "-vb new ann secret",
    "-vb broken cid secret",
    "-v file ann more",
]


@pytest.mark.parametrize("line", CASES)
def test_does_as_apache(line: str, tmp_path: Path, apache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = prepared(tmp_path / "theirs"), prepared(tmp_path / "ours")
    run = subprocess.run(
        [apache, *line.split()], check=False, cwd=theirs, capture_output=True, stdin=subprocess.DEVNULL, timeout=60
    )
    monkeypatch.chdir(ours)
    result = CliRunner().invoke(htpasswd, line.split())
    assert Outcome.of(result.exit_code, result.stdout_bytes, result.stderr_bytes, ours) == Outcome.of(
        run.returncode, run.stdout, run.stderr, theirs
    )


PIPED = [
    ("-Bin ann", b"secret\n"),
    ("-Bin ann", b"secret"),
    ("-Bin ann", b""),
    ("-Bin ann", b"a" * 255),
    ("-Bin ann", b"a" * 256),
    ("-Bin ann", b"a" * 254 + b"\n"),
    ("-Bin ann", b"a" * 255 + b"\n"),
    ("-Bn ann", b"secret\nsecret\n"),
    ("-Bn ann", b"secret\nother\n"),
    ("-Bc new ann", b"secret\nsecret\n"),
    ("-vi file bob", b"wrong\n"),
    ("-v file cid", b"wrong\n"),
]


@pytest.mark.parametrize(("line", "typed"), PIPED)
def test_reads_passwords_from_pipes_as_apache(line: str, typed: bytes, tmp_path: Path, apache: str) -> None:
    outcomes = []
    for name, command in (("theirs", (apache,)), ("ours", OURS)):
        directory = prepared(tmp_path / name)
        run = subprocess.run(
            [*command, *line.split()],
            check=False,
            cwd=directory,
            input=typed,
            capture_output=True,
            start_new_session=True,
            timeout=60,
        )
        outcomes.append(Outcome.of(run.returncode, run.stdout, run.stderr, directory))
    assert outcomes[1] == outcomes[0]


def on_terminal(command: tuple[str, ...], answers: list[bytes]) -> tuple[int, bytes]:
    """Run a command on a terminal of its own, and answer its prompts: its exit code and what the terminal showed."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp(command[0], command)
    shown = b""
    deadline = time.monotonic() + 60
    waiting = list(answers)
    asked = 0
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
        if shown.count(b"assword: ") > asked and waiting:
            asked += 1
            # The prompt is shown before the echo is off; a terminal drops what was typed before that.
            time.sleep(0.2)
            os.write(terminal, waiting.pop(0))
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), HASH.sub(rb"<\1>", shown)


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        ("-nB ann", [b"secret\n", b"secret\n"]),
        ("-nB ann", [b"secret\n", b"other\n"]),
        ("-v {}/file bob", [b"wrong\n"]),
        ("-v {}/file cid", []),
    ],
)
def test_asks_on_the_terminal_as_apache(line: str, answers: list[bytes], tmp_path: Path, apache: str) -> None:
    directory = prepared(tmp_path / "d")
    words = line.format(directory).split()
    assert on_terminal((*OURS, *words), answers) == on_terminal((apache, *words), answers)


def ours(*arguments: str) -> tuple[int, bytes, bytes]:
    """Exit code, output and messages of our command."""
    result = CliRunner().invoke(htpasswd, list(arguments))
    return result.exit_code, result.stdout_bytes, result.stderr_bytes


def test_apache_verifies_what_we_write_and_we_what_apache_writes(tmp_path: Path, apache: str) -> None:
    file = str(tmp_path / "file")
    assert ours("-Bbc", file, "ann", "a" * 100)[0] == 0
    subprocess.run([apache, "-vb", file, "ann", "a" * 100], check=True, capture_output=True)
    subprocess.run([apache, "-Bb", file, "bøb", "pässword"], check=True, capture_output=True)
    assert ours("-vb", file, "bøb", "pässword") == (0, b"", "Password for user bøb correct.\n".encode())
    assert ours("-vb", file, "bøb", "password")[0] == 3


def test_hash_is_of_the_password() -> None:
    code, out, err = ours("-Bbn", "ann", "secret")
    assert (code, err) == (0, b"")
    user, _, stored = out.partition(b":")
    assert user == b"ann"
    assert stored.endswith(b"\n\n")
    assert bcrypt.checkpw(b"secret", stored.strip())
    assert not bcrypt.checkpw(b"secret2", stored.strip())


def test_without_b_the_hash_is_bcrypt_all_the_same() -> None:
    assert HASH.search(ours("-bn", "ann", "secret")[1])


@pytest.mark.parametrize("option", ["-m", "-d", "-s", "-p", "-2", "-5"])
def test_other_hashes_are_refused(option: str) -> None:
    code, out, err = ours("-bn" + option[1], "ann", "secret")
    assert (code, out) == (2, b"")
    assert b"bcrypt only" in err


@pytest.mark.parametrize("user", ["a\nb", "a\r", "#ann", " ann", "ann "])
def test_users_that_no_server_would_read_back_are_refused(user: str) -> None:
    assert ours("-Bbn", user, "secret")[:2] == (6, b"")


def test_verify_says_when_the_hash_is_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FILE)
    code, _, err = ours("-vb", str(tmp_path / "file"), "ann", "secret")
    assert code == 3
    assert b"MD5" in err


def test_a_missing_line_break_at_the_end_does_not_join_two_users(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(FILE.rstrip(b"\n"))
    assert ours("-Bb", str(file), "cid", "secret")[0] == 0
    assert HASH.sub(b"<>", file.read_bytes()).splitlines()[-2:] == [b"bob:<>", b"cid:<>"]


def test_files_are_replaced_whole_and_keep_mode_owner_and_links(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(FILE)
    real.chmod(0o640)
    link = tmp_path / "link"
    link.symlink_to("real")
    before = real.stat()
    with real.open("rb") as opened:
        assert ours("-Bb", str(link), "cid", "secret")[0] == 0
        assert opened.read() == FILE, "somebody who has the old file open reads it to its end"
    after = real.stat()
    assert link.is_symlink()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]


def test_help() -> None:
    code, out, err = ours("--help")
    assert (code, err) == (0, b"")
    assert out.startswith(b"Usage:")
