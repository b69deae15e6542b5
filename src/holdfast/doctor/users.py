"""Checks of the htpasswd file."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from holdfast.auth import passwords
from holdfast.auth.users import Users, UsersFileError, parse
from holdfast.doctor.case import Case
from holdfast.doctor.findings import Check, Finding, advice, ok, problem

MOST = 16 * 1024 * 1024
LEAST_COST = 10
MOST_COST = 14


def _users(case: Case) -> Iterator[Finding]:
    if case.settings is None:
        return
    if case.settings.auth.htpasswd is None:
        yield ok("no accounts are set up (auth.htpasswd)")
        return
    path = Path(case.settings.auth.htpasswd.path)
    try:
        with path.open("rb") as file:
            content = file.read(MOST)
        users = parse(content, str(path))
    except FileNotFoundError:
        yield advice(
            f"{path} does not exist: the server will make it, with the user docker and a random password that it logs once",
            "make it: holdfast htpasswd -Bbn USER PASSWORD, and see that it is mounted where the server looks",
        )
    except IsADirectoryError:
        yield problem(
            f"{path} is a directory: Docker makes one where a file that is to be mounted does not exist",
            "remove the directory, make the file, and start the container again",
        )
    except (OSError, UsersFileError) as error:
        yield problem(f"the accounts cannot be read: {error}", "correct the file; holdfast htpasswd makes its lines")
    else:
        yield from _judged(path, content, users)


def _judged(path: Path, content: bytes, users: Users) -> Iterator[Finding]:
    found = [*_refused(path, users), *_costs(path, users), *_form(path, content)]
    if not users.hashes:
        found.append(
            problem(
                f"{path} has no account that can be used: nobody gets in", "add one: holdfast htpasswd -B FILE USER"
            )
        )
    yield from found or [ok(f"{path} has {len(users.hashes)} accounts, all with bcrypt")]


def _refused(path: Path, users: Users) -> Iterator[Finding]:
    for entry in users.refused[:20]:
        where = f"{path} line {entry.line}, user {entry.user}"
        if "earlier entry" in entry.reason:
            yield advice(f"{where}: {entry.reason}", "remove one of the two lines")
        else:
            yield problem(
                f"{where}: {entry.reason.partition(':')[0]}: this user cannot sign in",
                f"give the user a bcrypt hash, with the password typed again: holdfast htpasswd -B {path} {entry.user}",
            )


def _costs(path: Path, users: Users) -> Iterator[Finding]:
    costs = Counter(passwords.cost(stored) or 0 for stored in users.hashes.values())
    weak = sum(number for cost, number in costs.items() if cost < LEAST_COST)
    slow = sum(number for cost, number in costs.items() if cost > MOST_COST)
    if weak:
        yield advice(
            f"{path}: {weak} of the hashes cost less than {LEAST_COST}: whoever gets the file guesses passwords quickly",
            f"make them again: holdfast htpasswd -B -C {LEAST_COST} {path} USER",
        )
    if slow:
        yield advice(
            f"{path}: {slow} of the hashes cost more than {MOST_COST}: each first request of a user takes seconds",
            f"make them again: holdfast htpasswd -B -C 12 {path} USER",
        )


def _form(path: Path, content: bytes) -> Iterator[Finding]:
    if b"\r\n" in content:
        yield advice(
            f"{path} has line ends of Windows; here they do no harm, registry:2 refuses every password of such a file",
            f"remove them: sed -i 's/\\r$//' {path}",
        )


CHECKS = (
    Check(
        "accounts",
        "The htpasswd file.",
        (
            "hashes other than bcrypt, which the htpasswd command makes without -B",
            "a file without accounts, a directory in its place",
            "users that are there twice, line ends of Windows, hashes that are too weak or too slow",
        ),
        _users,
    ),
)
