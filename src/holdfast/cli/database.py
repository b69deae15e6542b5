"""`holdfast database copy`: from the embedded database to a PostgreSQL server."""

import sys
import time
from pathlib import Path

import click

from holdfast.cli.refusal import refuse
from holdfast.config.load import ConfigurationError, load_process

SCHEMES = ("postgresql://", "postgres://")
TELL_EVERY = 2.0


@click.group()
def database() -> None:
    """Work on the database."""


@database.command()
@click.argument("source", metavar="SQLITE", type=click.Path(path_type=Path))
@click.argument("target", metavar="POSTGRES")
def copy(source: Path, target: str) -> None:
    """Copy the embedded database to an empty PostgreSQL database, with all names, history and uploads.

    SQLITE is the directory of the embedded database: `holdfast` in storage.filesystem.rootdirectory, or what metadata.path says. POSTGRES is the
    configuration file that the new server will use, whose metadata.url counts (as does REGISTRY_METADATA_URL); or a URL,
    postgresql://USER@HOST/DATABASE; or - for a URL on standard input. A URL on the command line can be read by others on this machine while the
    command runs, so leave the password to one of the other ways, to ~/.pgpass or to PGPASSWORD.

    The server must be stopped. All is copied in one transaction and compared; interrupted, nothing was copied. SQLITE stays as it is.
    """
    from holdfast.app.copying import copy_database  # noqa: PLC0415 - other commands start quicker without
    from holdfast.app.place import PlaceError  # noqa: PLC0415
    from holdfast.metadata.port import DatabaseError  # noqa: PLC0415
    from holdfast.metadata.postgresql_url import described  # noqa: PLC0415

    url = _url(target)
    start = time.monotonic()
    try:
        copied = copy_database(source, url, _Progress())
    except (PlaceError, DatabaseError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        raise click.ClickException("stopped; nothing was copied") from None
    for item in copied:
        click.echo(f"{item.table:<20} {item.rows:>10} rows, digest {item.digest} on both sides")
    rows = sum(item.rows for item in copied)
    seconds = max(time.monotonic() - start, 0.001)
    click.echo(f"Copied {rows} rows in {seconds:.1f} s ({rows / seconds:.0f} rows/s) to {described(url)}.")
    click.echo("Set metadata.url to it before you start the server again, and keep the old database only as a backup.")


def _url(target: str) -> str:
    """The URL that is meant."""
    if target == "-":
        target = sys.stdin.readline().strip()
    if target.startswith(SCHEMES):
        return target
    try:
        url = load_process(target).settings.metadata.url
    except ConfigurationError as error:
        refuse(error)
    if not url:
        raise click.ClickException(f"{target} has no metadata.url: add it, such as postgresql://USER@HOST/DATABASE")
    return url


class _Progress:
    """Says now and then on standard error how far the copy is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, table: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= TELL_EVERY:
            self._said = now
            click.echo(f"... {table}: {done} of {total} rows", err=True)
