"""What a command says when the configuration cannot be used."""

from typing import NoReturn

import click

from holdfast.config.load import ConfigurationError


def refuse(error: ConfigurationError) -> NoReturn:
    """Print its warnings and problems and end with 1."""
    tell(error)
    raise SystemExit(1) from None


def tell(error: ConfigurationError) -> None:
    """Print its warnings and problems."""
    for warning in error.warnings:
        click.echo(f"Warning: {warning}", err=True)
    for message in error.messages:
        click.echo(f"Error: {message}", err=True)
