"""`holdfast garbage-collect`, with registry:2's arguments."""

import asyncio
import json
import re
from typing import Any

import click

from holdfast.cli.refusal import refuse
from holdfast.config.duration import parse_duration
from holdfast.config.load import ConfigurationError, load_process


class SwitchesWithValues(click.Command):
    """A command whose switches can be written with a value, `--dry-run=false`, as registry:2's can."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Drop switches that are set to false, and the value of those that are set to true."""
        return super().parse_args(ctx, [plain for word in args for plain in _plain(word)])


def _plain(word: str) -> list[str]:
    match = re.fullmatch(r"(-[dmq]+|--(?:dry-run|delete-untagged|quiet))=(?:(1|t|true)|0|f|false)", word, re.IGNORECASE)
    if not match:
        return [word]
    return [match[1]] if match[2] else []


class Duration(click.ParamType[int]):
    """A length of time, in milliseconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read `90s`, `1h30m` or a number of seconds."""
        try:
            seconds = parse_duration(value)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 1e9:
            self.fail(f"{value!r} is no duration; write it like 90s, 1h or 0s", param, ctx)
        return round(seconds * 1000)


@click.command("garbage-collect", cls=SwitchesWithValues)
@click.argument("path", metavar="[CONFIG]", required=False)
@click.option("-d", "--dry-run", is_flag=True, help="Delete nothing, only tell what would be deleted.")
@click.option("-m", "--delete-untagged", is_flag=True, help="Delete manifests that no tag reaches as well.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the summary.")
@click.option(
    "--grace",
    type=Duration(),
    default="1h",
    show_default=True,
    help="Keep what was pushed, mounted or asked for within this time, since a push may be about to use it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def garbage_collect(
    path: str | None, dry_run: bool, delete_untagged: bool, quiet: bool, grace: int, as_json: bool
) -> None:
    """Delete blobs that no manifest uses, from the registry of the file CONFIG (or REGISTRY_CONFIGURATION_PATH).

    The server may run meanwhile, and pushes and pulls go on. Ends with 1 if it could not be done.
    """
    try:
        loaded = load_process(path)
    except ConfigurationError as error:
        refuse(error)
    from holdfast.app.collect import collect  # noqa: PLC0415 - other commands start quicker without
    from holdfast.app.place import PlaceError  # noqa: PLC0415
    from holdfast.cli.collection_output import Output, as_object, summary_lines  # noqa: PLC0415
    from holdfast.gc.collector import Wanted  # noqa: PLC0415
    from holdfast.metadata.port import DatabaseError  # noqa: PLC0415
    from holdfast.observability import logs  # noqa: PLC0415
    from holdfast.storage.port import StorageError  # noqa: PLC0415

    settings = loaded.settings
    logs.configure(settings.log.level, settings.log.formatter, settings.log.fields)
    wanted = Wanted(dry_run, delete_untagged, grace)
    output = Output(wanted, quiet=quiet or as_json)
    try:
        summary = asyncio.run(collect(settings, wanted, output.tell))
    except PlaceError as error:
        raise click.ClickException(str(error)) from None
    except (StorageError, DatabaseError) as error:
        words = f"it stopped half way, and the next collection goes on from there: {error}"
        raise click.ClickException(words) from None
    if as_json:
        click.echo(json.dumps(as_object(summary, output), indent=2))
        return
    for line in summary_lines(summary, wanted):
        click.echo(line)
