"""`holdfast storage copy`: bytes and links from one store to another."""

import asyncio
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from holdfast.cli.refusal import refuse
from holdfast.config.load import ConfigurationError, load, load_process
from holdfast.config.settings import Settings

TELL_EVERY = 2.0
ROOT_DIRECTORY = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"


@click.group()
def storage() -> None:
    """Work on the store of blobs and links."""


@storage.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--parallel", type=click.IntRange(1, 64), default=4, show_default=True, help="How many blobs to copy at once."
)
@click.option("--verify", is_flag=True, help="Read again what TO has already, and copy it again if it is damaged.")
@click.option("--prune", is_flag=True, help="Remove from TO what FROM has no more.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def copy(source: str, target: str, parallel: int, verify: bool, prune: bool, as_json: bool) -> None:
    """Copy all blobs and links from one store to another.

    FROM and TO are each a configuration file, whose storage section counts (without REGISTRY_* variables); a directory, such as
    storage.filesystem.rootdirectory names; or - for the settings of this process, with its variables.

    The registry may go on serving FROM: run this again later, and it copies what is new. No server may use TO before the last run has ended.
    Can be stopped and run again. Every blob is checked against its digest; damaged ones are named and not copied, and then this ends with 1.
    """
    from holdfast.app.copying import copy_store  # noqa: PLC0415 - other commands start quicker without
    from holdfast.app.place import PlaceError  # noqa: PLC0415
    from holdfast.cli.tree import say  # noqa: PLC0415
    from holdfast.registry.copying import Wanted  # noqa: PLC0415
    from holdfast.storage.port import StorageError  # noqa: PLC0415

    first, second = _settings(source), _settings(target)
    progress = _Progress()
    try:
        report = asyncio.run(copy_store(first, second, Wanted(parallel, verify, prune), progress))
    except PlaceError as error:
        raise click.ClickException(str(error)) from None
    except StorageError as error:
        raise click.ClickException(
            f"it stopped half way, run it again to go on: {error or type(error).__name__}"
        ) from None
    except KeyboardInterrupt:
        raise click.ClickException("stopped; run it again to go on") from None
    if as_json:
        click.echo(json.dumps(asdict(report), indent=2))
    else:
        say(report, f"Copied in {progress.seconds:.1f} s ({progress.rate(report.numbers)})")
    sys.exit(1 if report.skipped else 0)


def _settings(word: str) -> Settings:
    """The settings that FROM or TO means."""
    try:
        if word == "-":
            return load_process(None).settings
        if Path(word).is_dir() or not (Path(word).exists() or word.endswith((".yml", ".yaml"))):
            return load(None, {ROOT_DIRECTORY: word}).settings
        return load(word, {}).settings
    except ConfigurationError as error:
        refuse(error)


class _Progress:
    """Says now and then on standard error how far the copy is."""

    def __init__(self) -> None:
        self._began = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return max(time.monotonic() - self._began, 0.001)

    def rate(self, numbers: dict[str, int]) -> str:
        """Bytes in a second, in words."""
        return f"{numbers.get('bytes', 0) / self.seconds / 1024 / 1024:.1f} MiB/s"

    def __call__(self, where: str, numbers: dict[str, int]) -> None:
        now = time.monotonic()
        if now - self._said >= TELL_EVERY:
            from holdfast.cli.tree import line  # noqa: PLC0415

            self._said = now
            click.echo(f"... {line(numbers)} ({self.rate(numbers)}) at {where}", err=True)
