"""The command line: the only place that builds the parts and joins them.

Each command lives in a file of its name and imports the heavy parts when it runs, so that
``rbl --version`` does not wait for web frameworks and database drivers.
"""

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from rbl import __version__
from rbl.cli import (
    customers,
    demo,
    exporting,
    importing,
    keys,
    nominate,
    probing,
    rbldnsd,
    serve,
    settings,
    zone,
)
from rbl.errors import ConfigError, RblError
from rbl.responder import compiled

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A whole relay blocklist: nominate, test, list, answer DNS, retest, delist.",
)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("nominate")(nominate.nominate)
app.command("settings")(settings.settings)
app.command("rbldnsd", add_help_option=False, context_settings=rbldnsd.UNPARSED)(rbldnsd.rbldnsd)
app.command("export")(exporting.export)
app.add_typer(importing.app, name="import", help="Take in a list from other programs' files.")
app.add_typer(zone.app, name="zone", help="Zone files: what a list is, as data.")
app.add_typer(customers.app, name="customer", help="Customers' keys for asking a list by DNS.")
app.add_typer(keys.app, name="key", help="API keys: make, show, revoke.")
app.add_typer(probing.app, name="probing", help="The switch that stops all outbound tests at once.")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 — Typer calls it so
    if wanted:
        typer.echo(f"rbl {__version__}, DNS by the {compiled.describe()}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    settings_file: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings; by default RBL_CONFIG, or rbl.toml.")
    ] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Read the options that stand before the command."""
    context.obj = settings_file


def main() -> NoReturn:
    """Run the command line; a failure is a sentence on standard error and status 1, never a traceback."""
    try:
        app()
    except ConfigError as fault:
        typer.echo("rbl cannot start, since the configuration has faults:", err=True)
        for line in fault.faults:
            typer.echo(f"  {line}", err=True)
    except RblError as fault:
        typer.echo(f"rbl: {fault.message}", err=True)
    sys.exit(1)
