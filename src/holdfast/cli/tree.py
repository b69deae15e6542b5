"""`holdfast import`, `export` and `verify`: database and tree on disk, one made from or checked against the other."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import TypeVar

import click

from holdfast.cli.refusal import refuse
from holdfast.config.load import ConfigurationError, load_process
from holdfast.config.settings import Settings
from holdfast.registry.report import Report

T = TypeVar("T")
TELL_EVERY = 2.0
EXAMPLES = 3
"""How many examples people are shown; programs get all that are kept."""

_config = click.argument("path", metavar="[CONFIG]", required=False)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")


def _run(path: str | None, work: Callable[[Settings], Coroutine[None, None, T]]) -> T:
    """Run `work` with the settings; what prevents it is said, and ends the command with 1."""
    from holdfast.app.place import PlaceError  # noqa: PLC0415 - other commands start quicker without
    from holdfast.metadata.port import DatabaseError  # noqa: PLC0415
    from holdfast.observability import logs  # noqa: PLC0415
    from holdfast.storage.port import StorageError  # noqa: PLC0415

    try:
        settings = load_process(path).settings
        logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
        return asyncio.run(work(settings))
    except ConfigurationError as error:
        refuse(error)
    except (PlaceError, DatabaseError, StorageError) as error:
        click.echo(f"Error: {error}", err=True)
    except KeyboardInterrupt:
        click.echo("Stopped; run it again to go on.", err=True)
    raise SystemExit(1)


class _Progress:
    """Says now and then on standard error how far a command is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, where: str, numbers: dict[str, int]) -> None:
        now = time.monotonic()
        if now - self._said >= TELL_EVERY:
            self._said = now
            click.echo(f"... {line(numbers)} at {where}", err=True)


def line(numbers: dict[str, int]) -> str:
    """Numbers in words."""
    return ", ".join(f"{number} {name}" for name, number in numbers.items() if number) or "nothing"


def say(report: Report, begin: str) -> None:
    """Print a report."""
    click.echo(f"{begin}: {line(report.numbers)}")
    for why, reason in report.skipped.items():
        click.echo(f"{why}: {reason.count}")
        for example in reason.examples[:EXAMPLES]:
            click.echo(f"  {example}")
        if reason.count > EXAMPLES:
            click.echo("  ...")


@click.command("import")
@_config
@_json
def import_(path: str | None, as_json: bool) -> None:
    """Read all names from the tree on disk, as registry:2 left it.

    The server does this by itself when it starts on a directory that it does not know, and looks at what has changed at every start; this command
    reads everything again, without serving, and says what it could not use. Where database and tree differ the tree is right. Can be stopped and
    run again. No server may use the directory meanwhile.
    """
    from holdfast.app.offline import import_tree  # noqa: PLC0415

    report = _run(path, import_tree)
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        say(report, "Imported")


@click.command()
@_config
@click.option("--prune", is_flag=True, help="Also remove links that the database does not know.")
@click.option("--overwrite", is_flag=True, help="Also write tags that the tree has on another manifest.")
@_json
def export(path: str | None, prune: bool, overwrite: bool, as_json: bool) -> None:
    """Write the links of the tree on disk again, from the database.

    The server keeps them in step all the time; this is for a tree that was damaged or lost: links that are missing or damaged are written, also
    those of what registry:2 deleted since the server ran. No server may use the directory meanwhile.
    """
    from holdfast.app.offline import export_tree  # noqa: PLC0415

    report = _run(path, lambda settings: export_tree(settings, prune=prune, overwrite=overwrite, tell=_Progress()))
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        say(report, "Exported")


@click.command()
@_config
@click.option(
    "--repair", "repairing", is_flag=True, help="Mend what can be mended. No server may use the directory meanwhile."
)
@click.option("--no-bytes", is_flag=True, help="Do not read the bytes of all blobs, only look for them.")
@_json
def verify(path: str | None, repairing: bool, no_bytes: bool, as_json: bool) -> None:
    """Check database, tree on disk and bytes against each other.

    Ends with 1 if anything is wrong (with --repair: is left wrong). Without --repair it can run beside the server.
    """
    from holdfast.app.offline import repair, verify  # noqa: PLC0415

    found: Report
    if repairing:
        found, left = _run(path, lambda settings: repair(settings, hashing=not no_bytes, tell=_Progress()))
    else:
        found = left = _run(path, lambda settings: verify(settings, hashing=not no_bytes, tell=_Progress()))
    if as_json:
        click.echo(json.dumps({"found": asdict(found), "left": asdict(left)}, indent=2))
    else:
        say(found, "Checked")
        if repairing:
            say(left, "Left after repairs")
    sys.exit(1 if left.skipped else 0)
