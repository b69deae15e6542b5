"""`holdfast config`: what the settings are, and where each came from."""

import dataclasses
import json

import click

from holdfast.config.document import document as whole_document
from holdfast.config.load import ConfigurationError, Loaded, load_process
from holdfast.config.report import line, rows


@click.command()
@click.argument("path", metavar="[CONFIG]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option("--document", is_flag=True, help="Print the reference of all settings, in Markdown, and read nothing.")
def config(path: str | None, as_json: bool, document: bool) -> None:
    """Print the effective settings and where each came from.

    Reads the file CONFIG, else the one that REGISTRY_CONFIGURATION_PATH names, and the REGISTRY_* variables. Secrets
    are masked. Ends with 1 if the configuration cannot be used.
    """
    if document:
        click.echo(whole_document(), nl=False)
        return
    try:
        loaded = load_process(path)
    except ConfigurationError as error:
        for message in error.messages:
            click.echo(f"Error: {message}", err=True)
        raise SystemExit(1) from None
    if as_json:
        click.echo(_as_json(loaded))
        return
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    for row in rows(loaded):
        click.echo(line(row))


def _as_json(loaded: Loaded) -> str:
    settings = [dataclasses.asdict(row) for row in rows(loaded)]
    return json.dumps({"settings": settings, "warnings": loaded.warnings}, indent=2)
