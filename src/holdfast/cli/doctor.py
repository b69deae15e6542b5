"""`holdfast doctor`: what is wrong with a set-up, and what to do about it."""

import json
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from holdfast.doctor.case import Case
    from holdfast.doctor.examine import Result

_LONGEST_PASSWORD = 4096


def _address(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    del context, parameter
    if value is None:
        return ""
    text = value if "://" in value else f"https://{value}"
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise click.BadParameter("give an address such as https://registry.example.com or http://192.0.2.10:5000")
    if "@" in parts.netloc:
        raise click.BadParameter("give the user with --user and the password with --password-stdin, not in the address")
    return text.rstrip("/").removesuffix("/v2")


@click.command()
@click.argument("path", metavar="[CONFIG]", required=False)
@click.option("--url", callback=_address, help="The address that clients use; http.host unless given.")
@click.option("--user", default="", help="Sign in as this user.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-push", is_flag=True, help="Send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def doctor(path: str | None, url: str, user: str, password_stdin: bool, no_push: bool, as_json: bool) -> None:
    """Check a set-up from both ends, and say what to fix.

    Reads the file CONFIG, else the one that REGISTRY_CONFIGURATION_PATH names, and the REGISTRY_* variables, looks at files, disk and
    certificate, and tries the registry at its own port and at the address that clients use. Ends with 1 if something has to be fixed.
    """
    case = _case(path, url, _password(user, password_stdin) if user or password_stdin else "", user, push=not no_push)
    from holdfast.doctor.examine import examine, healthy  # noqa: PLC0415 - other commands start quicker without
    from holdfast.observability import logs  # noqa: PLC0415

    logs.configure("error", "text", {})
    results = []
    for result in examine(case):
        results.append(result)
        if not as_json:
            _print(result)
    if as_json:
        click.echo(json.dumps(_described(results, healthy(results)), indent=2))
    else:
        _conclude(results)
    sys.exit(0 if healthy(results) else 1)


def _password(user: str, password_stdin: bool) -> str:
    if not user:
        raise click.UsageError("--password-stdin needs --user NAME beside it")
    if ":" in user:
        raise click.UsageError("a user's name cannot have a colon")
    if password_stdin:
        password = sys.stdin.buffer.read(_LONGEST_PASSWORD).decode("utf-8", "surrogateescape").rstrip("\r\n")
    elif sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True, err=True)
    else:
        raise click.UsageError("give the password on standard input, with --password-stdin")
    if not password:
        raise click.UsageError("the password is empty")
    return password


def _case(path: str | None, url: str, password: str, user: str, *, push: bool) -> "Case":
    from holdfast.config.load import ConfigurationError, load_process  # noqa: PLC0415
    from holdfast.doctor.case import Case  # noqa: PLC0415
    from holdfast.doctor.reach import Credentials  # noqa: PLC0415

    credentials = Credentials(user, password) if user else None
    try:
        loaded = load_process(path)
    except ConfigurationError as error:
        return Case(None, tuple(error.messages), tuple(error.warnings), url, credentials, push)
    case = Case(loaded, (), loaded.warnings, url, credentials, push)
    nothing_given = all(origin == "default" for origin in loaded.origins.values())
    if url and nothing_given and case.root is not None and not case.root.exists():
        return Case(None, (), (), url, credentials, push)
    return case


def _print(result: "Result") -> None:
    colours = {"problem": "red", "advice": "yellow", "ok": "green", "skipped": None}
    for finding in result.findings:
        word = click.style(f"{finding.verdict:<8}", fg=colours[finding.verdict])
        click.echo(f"{word} {result.check.name}: {finding.explanation}")
        if finding.remedy:
            click.echo(f"         -> {finding.remedy}")


def _conclude(results: "list[Result]") -> None:
    verdicts = [finding.verdict for result in results for finding in result.findings]
    counts = [(sum(verdict == kind for verdict in verdicts), kind) for kind in ("problem", "advice", "skipped")]
    click.echo()
    click.echo(", ".join(f"{count} {kind}" for count, kind in counts))


def _described(results: "list[Result]", good: bool) -> dict[str, object]:
    checks = [
        {
            "name": result.check.name,
            "looks_at": result.check.looks_at,
            "result": result.verdict.value,
            "findings": [
                {"result": finding.verdict.value, "explanation": finding.explanation, "remedy": finding.remedy}
                for finding in result.findings
            ],
        }
        for result in results
    ]
    return {"healthy": good, "checks": checks}
