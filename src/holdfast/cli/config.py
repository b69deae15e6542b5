"""`holdfast config`: what the settings are, and where each came from."""

import dataclasses
import json

import click

from holdfast.cli.refusal import refuse
from holdfast.config.document import document as whole_document
from holdfast.config.explain import UnknownKey, explain
from holdfast.config.load import ConfigurationError, Loaded, load_process
from holdfast.config.report import line, rows


@click.command()
@click.argument("path", metavar="[CONFIG]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
@click.option("--document", is_flag=True, help="Print the reference of all settings, in Markdown, and read nothing.")
@click.option("--explain", "key", metavar="KEY", help="Tell about one key, section or variable, such as http.addr.")
def config(path: str | None, as_json: bool, document: bool, key: str | None) -> None:
    """Print the effective settings and where each came from.

    Reads the file CONFIG, else the one that REGISTRY_CONFIGURATION_PATH names, and the REGISTRY_* variables. Secrets
    are masked. Ends with 1 if the configuration cannot be used.
    """
    if as_json + document + (key is not None) > 1:
        raise click.UsageError("Give one of --json, --document and --explain only.")
    if document:
        click.echo(whole_document(), nl=False)
        return
    if key is not None:
        _explain(key, path)
        return
    try:
        loaded = load_process(path)
    except ConfigurationError as error:
        refuse(error)
    if as_json:
        click.echo(_as_json(loaded))
        return
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    for row in rows(loaded):
        click.echo(line(row))


def _explain(key: str, path: str | None) -> None:
    """The explanation comes also where the configuration cannot be used, which is when it is wanted most."""
    loaded, problem = None, None
    try:
        loaded = load_process(path)
    except ConfigurationError as error:
        problem = error
    try:
        for text in explain(key, loaded):
            click.echo(text)
    except UnknownKey as error:
        raise click.ClickException(str(error)) from None
    if problem:
        refuse(problem)


def _as_json(loaded: Loaded) -> str:
    settings = [dataclasses.asdict(row) for row in rows(loaded)]
    return json.dumps({"settings": settings, "warnings": loaded.warnings}, indent=2)
