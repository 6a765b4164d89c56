"""``rbl probing``: the switch that stops all outbound tests at once, on every machine."""

from typing import Annotated

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.terms import Act

app = typer.Typer(no_args_is_help=True)


@app.command("off")
def off(
    context: typer.Context, why: Annotated[str, typer.Option(help="For the audit.")] = "no reason given"
) -> None:
    """Stop all outbound tests: one under way ends before its next envelope."""
    _turn(context, why, on=False)


@app.command("on")
def on(
    context: typer.Context, why: Annotated[str, typer.Option(help="For the audit.")] = "no reason given"
) -> None:
    """Let tests go out again."""
    _turn(context, why, on=True)


@app.command("status")
def status(context: typer.Context) -> None:
    """Say whether tests may go out."""
    from rbl.store import switches  # noqa: PLC0415 — see rbl.cli

    settings = settings_of(context)
    with looked_into(settings) as store, store.reading() as session:
        is_on = switches.is_on(session, switches.PROBING)
    configured = "set up" if settings.probe.enabled else "not set up (probe.enabled = false)"
    typer.echo(f"the switch is {'on' if is_on else 'off'}; probing is {configured} in this configuration")


def _turn(context: typer.Context, why: str, *, on: bool) -> None:
    from rbl.store import switches  # noqa: PLC0415 — see rbl.cli

    with opened(settings_of(context)) as store, store.writing() as session:
        switches.turn(session, switches.PROBING, Act("shell", why, now()), on=on)
    typer.echo(f"probing is {'on' if on else 'off'}")
