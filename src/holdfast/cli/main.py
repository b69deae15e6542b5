"""The command line."""

import sys

import click

from holdfast import __version__
from holdfast.cli.certificate import certificate
from holdfast.cli.commands import Commands
from holdfast.cli.config import config
from holdfast.cli.database import database
from holdfast.cli.doctor import doctor
from holdfast.cli.garbage_collect import garbage_collect
from holdfast.cli.health import health
from holdfast.cli.htpasswd import htpasswd
from holdfast.cli.refusal import refuse
from holdfast.cli.storage import storage
from holdfast.cli.tree import export, import_, verify
from holdfast.config.load import ConfigurationError, load_process


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-v", "--version", prog_name="holdfast")
def main() -> None:
    """Holdfast: a private container registry."""


@main.command()
@click.argument("path", metavar="[CONFIG]", required=False)
def serve(path: str | None) -> None:
    """Serve the registry, as the file CONFIG (or REGISTRY_CONFIGURATION_PATH) and the REGISTRY_* variables say."""
    from holdfast.app.serve import serve as run  # noqa: PLC0415 - other commands start quicker without

    try:
        status = run(lambda: load_process(path))
    except ConfigurationError as error:
        refuse(error)
    sys.exit(status)


for command in (
    config,
    database,
    htpasswd,
    certificate,
    doctor,
    garbage_collect,
    health,
    import_,
    export,
    storage,
    verify,
):
    main.add_command(command)
