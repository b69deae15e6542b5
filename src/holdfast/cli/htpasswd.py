"""`holdfast htpasswd`: users and their passwords, with the options, messages and exit codes of Apache's tool."""

import contextlib
import enum
import getopt
import getpass
import os
import re
import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import click

from holdfast.auth import passwords

USAGE = """\
Usage:
  holdfast htpasswd [-cBi] [-C COST] FILE USER
  holdfast htpasswd -b[cB] [-C COST] FILE USER PASSWORD
  holdfast htpasswd -n[Bi] [-C COST] USER
  holdfast htpasswd -nb[B] [-C COST] USER PASSWORD
  holdfast htpasswd -v[i] FILE USER
  holdfast htpasswd -vb FILE USER PASSWORD
  holdfast htpasswd -D FILE USER

  -B  Hash with bcrypt. The registry accepts nothing else, so this is also the default.
  -C  Cost of the hash, 4 to 17; each step doubles the time it takes (default 5).
  -b  Take the password from the command line.
  -i  Take the password from standard input, without asking twice.
  -n  Print the line instead of writing a file.
  -c  Create the file; an existing one is emptied first.
  -D  Delete the user.
  -v  Verify the user's password.
"""

DEFAULT_COST = 5
_LONGEST = 255
_OTHER_KINDS = {"-m": "MD5", "-d": "CRYPT", "-s": "SHA-1", "-p": "plain text", "-2": "SHA-256", "-5": "SHA-512"}
_MODES = {"-c": "create", "-n": "print", "-v": "verify", "-D": "delete"}


class Exit(enum.IntEnum):
    """Apache's exit codes."""

    FILE = 1
    SYNTAX = 2
    MISMATCH = 3
    TOO_LONG = 5
    USER = 6
    INVALID_FILE = 7


@dataclass(frozen=True, slots=True)
class _Order:
    """What the command line asks for; `mode` is one of `_MODES` or "update", `password` is None if it has to be read."""

    mode: str
    path: str
    user: bytes
    password: bytes | None
    from_stdin: bool
    cost: int


class _ApacheOptions(click.Command):
    """A command that leaves its arguments to `getopt`: Apache's options combine in ways that click's do not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take everything as it is."""
        ctx.params["arguments"] = tuple(args)
        return []

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        """The usage text."""
        return USAGE


@click.command(cls=_ApacheOptions, add_help_option=False, short_help="Manage users and passwords in an htpasswd file.")
def htpasswd(arguments: tuple[str, ...]) -> None:
    """Manage users and passwords in an htpasswd file."""
    if "--help" in arguments[:1]:
        click.echo(USAGE, nl=False)
        return
    order = _parse(arguments)
    _check_user(order.user)
    _check_file(order)
    if order.mode in ("delete", "verify"):
        record = b""
    else:
        record = order.user + b":" + _hash(_password(order, "New password: "), order.cost)
        if len(record) >= _LONGEST:
            _fail(Exit.TOO_LONG, "resultant record too long")
    if order.mode == "print":
        sys.stdout.buffer.write(record + b"\n\n")
    elif order.mode == "verify":
        _verify(order)
    else:
        _change(order, record)


def _fail(code: Exit, message: str) -> NoReturn:
    click.echo(f"htpasswd: {message}", err=True)
    raise click.exceptions.Exit(code)


def _usage(message: str = "") -> NoReturn:
    if message:
        click.echo(f"htpasswd: {message}", err=True)
    click.echo(USAGE, err=True, nl=False)
    raise click.exceptions.Exit(Exit.SYNTAX)


def _parse(arguments: Sequence[str]) -> _Order:
    try:
        options, rest = getopt.getopt(list(arguments), "cnmspdBbDi25C:r:v")
    except getopt.GetoptError as error:
        if "requires argument" in error.msg:
            _usage(f"option requires an argument -- {error.opt}")
        _usage(f"illegal option -- {error.opt}")
    given = {name for name, _ in options}
    cost = DEFAULT_COST
    for name, value in options:
        if name in _OTHER_KINDS:
            _fail(
                Exit.SYNTAX, f"{name} makes {_OTHER_KINDS[name]} hashes, but the registry accepts bcrypt only: use -B"
            )
        if name in ("-C", "-r"):
            if not re.fullmatch(r"\s*\+?0*[1-9][0-9]*", value):
                _fail(Exit.SYNTAX, "argument to -C/-r must be a positive integer")
            cost = int(value) if name == "-C" else cost
    modes = [mode for name, mode in _MODES.items() if name in given]
    if len(modes) > 1:
        _fail(Exit.SYNTAX, "only one of -c -n -v -D may be specified")
    mode = modes[0] if modes else "update"
    inline = "-b" in given
    if (inline and "-i" in given) or len(rest) != (mode != "print") + 1 + inline:
        _usage()
    words = [os.fsencode(word) for word in rest]
    path = "" if mode == "print" else rest[0]
    return _Order(mode, path, words[-2 if inline else -1], words[-1] if inline else None, "-i" in given, cost)


def _check_user(user: bytes) -> None:
    if len(user) > _LONGEST:
        _fail(Exit.TOO_LONG, f"username too long (> {_LONGEST})")
    if b":" in user:
        _fail(Exit.USER, "username contains illegal character ':'")
    # Apache's tool lets these through and writes lines that no server reads as this user.
    if re.search(rb"[\r\n\0]|^\s|\s$|^#", user):
        _fail(Exit.USER, "username may not contain line breaks, start with '#', or start or end with a space")


def _check_file(order: _Order) -> None:
    if order.mode == "print":
        return
    if os.path.isfile(order.path):
        wanted = os.R_OK if order.mode == "verify" else os.R_OK | os.W_OK
        if not os.access(order.path, wanted):
            access = "read" if order.mode == "verify" else "read/write"
            _fail(Exit.FILE, f"cannot open file {order.path} for {access} access")
    elif order.mode != "create":
        _fail(Exit.FILE, f"cannot modify file {order.path}; use '-c' to create it")
    elif os.path.isdir(order.path) or not os.path.isdir(os.path.dirname(order.path) or "."):
        _fail(Exit.FILE, f"cannot create file {order.path}")


def _password(order: _Order, prompt: str) -> bytes:
    if order.password is not None:
        if len(order.password) > _LONGEST:
            _fail(Exit.TOO_LONG, f"password too long (> {_LONGEST + 1})")
        return order.password
    if order.from_stdin:
        content = sys.stdin.buffer.read(_LONGEST + 1)
        if len(content) > _LONGEST:
            _fail(Exit.TOO_LONG, f"password too long (>{_LONGEST + 1})")
        return content.removesuffix(b"\n").removesuffix(b"\r") if content.endswith(b"\n") else content
    password = _ask(prompt)
    if order.mode != "verify" and _ask("Re-type new password: ") != password:
        _fail(Exit.MISMATCH, "password verification error")
    return password


def _ask(prompt: str) -> bytes:
    try:
        with open("/dev/tty", "rb"):
            pass
    except OSError:  # no terminal: as Apache's tool, take lines from standard input
        click.echo(prompt, err=True, nl=False)
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    try:
        password = os.fsencode(getpass.getpass(prompt))
    except EOFError:
        password = b""
    except KeyboardInterrupt:
        raise click.Abort from None
    if len(password) > _LONGEST:
        _fail(Exit.TOO_LONG, f"password too long (>{_LONGEST + 1})")
    return password


def _hash(password: bytes, cost: int) -> bytes:
    if cost not in passwords.COSTS:
        _fail(Exit.MISMATCH, "Unable to encode with bcrypt: Invalid argument")
    return passwords.make(password, cost)


def _user_of(line: bytes, path: str, printed: str = "") -> bytes | None:
    """The user of a line; None for comments and empty lines. Ends the command if it is neither, after what was
    `printed` so far.
    """
    text = line.lstrip()
    if not text or text.startswith(b"#"):
        return None
    user, colon, _ = text.partition(b":")
    if not colon:
        click.echo(f"{printed}htpasswd: The file {path} does not appear to be a valid htpasswd file.", err=True)
        raise click.exceptions.Exit(Exit.INVALID_FILE)
    return user


def _verify(order: _Order) -> None:
    name = os.fsdecode(order.user)
    for line in _lines(order.path):
        if _user_of(line, order.path) != order.user:
            continue
        stored = line.partition(b":")[2].strip()
        password = _password(order, "Enter password: ")
        if passwords.cost(stored) is None:
            _fail(
                Exit.MISMATCH,
                f"the hash of user {name} is {passwords.kind(stored)}; only bcrypt can be verified, and used by the registry",
            )
        if not passwords.matches(password, stored):
            click.echo("password verification failed", err=True)
            raise click.exceptions.Exit(Exit.MISMATCH)
        click.echo(f"Password for user {name} correct.", err=True)
        return
    click.echo(f"User {name} not found", err=True)
    raise click.exceptions.Exit(Exit.USER)


def _change(order: _Order, record: bytes) -> None:
    name = os.fsdecode(order.user)
    verb = "Deleting " if order.mode == "delete" else "Updating "
    printed = ""
    kept: list[bytes] = []
    for line in [] if order.mode == "create" else _lines(order.path):
        if _user_of(line, order.path, printed) != order.user:
            kept.append(line)
            continue
        printed += verb
        if record:
            kept.append(record + b"\n")
    if not printed:
        if not record:
            click.echo(f"User {name} not found", err=True)
            return
        printed = "Adding "
        kept.append(record + b"\n")
    try:
        _replace(order.path, b"".join(kept))
    except OSError as error:
        _fail(Exit.FILE, f"unable to update file {order.path}: {error.strerror}")
    click.echo(f"{printed}password for user {name}", err=True)


def _lines(path: str) -> list[bytes]:
    """The file's lines, each with its line break, which the last one gets if it has none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        _fail(Exit.FILE, f"cannot open file {path} for read/write access: {error.strerror}")
    return [line + b"\n" for line in content.removesuffix(b"\n").split(b"\n")] if content else []


def _replace(path: str, content: bytes) -> None:
    """Put `content` in place of a file in one step, durable, with the owner and mode that it had; links are followed."""
    target = os.path.realpath(path)
    directory = os.path.dirname(target)
    try:
        status = os.stat(target)
        mode = stat.S_IMODE(status.st_mode)
    except FileNotFoundError:
        status = None
        umask = os.umask(0o077)
        os.umask(umask)
        mode = 0o666 & ~umask
    descriptor, temporary = tempfile.mkstemp(dir=directory, prefix=".htpasswd-")
    try:
        with open(descriptor, "wb") as file:
            if status is not None and (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, target)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
