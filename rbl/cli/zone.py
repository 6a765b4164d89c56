"""``rbl zone``: is a zone file right, and what does it say; and letting out what the guards hold back."""

from pathlib import Path
from typing import Annotated

import typer

from rbl.cli.acting import Note, Why, act
from rbl.cli.context import settings_of
from rbl.cli.opening import opened

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Work on zone files and lists."""


@app.command("check")
def check(file: Annotated[Path, typer.Argument(help="The zone file, in TOML.")]) -> None:
    """Read a zone file and say what it publishes, or name every fault with its place."""
    from rbl.zone import zonefile  # noqa: PLC0415 — see rbl.cli

    zone = zonefile.read(file)
    typer.echo(f"{file}: good")
    typer.echo(
        f"  apex {zone.apex_text} ({zone.kind.value}), negative TTL {zone.soa.negative_ttl_seconds} s"
    )
    for reason in zone.reasons.values():
        values = ", ".join(map(str, reason.addresses))
        typer.echo(f"  {reason.name}: {values}, TTL {reason.ttl_seconds} s, TXT {reason.text!r}")


@app.command("force")
def force(
    context: typer.Context,
    apex: Annotated[str, typer.Argument(help="The list, by its apex.")],
    *,
    serial: Annotated[
        int | None, typer.Option(min=1, help="Up to this serial of the journal; by default the last.")
    ] = None,
    why: Why = "no reason given",
    note: Note = None,
) -> None:
    """Let out a change of a list that the guards hold back; every DNS server follows within a second."""
    from rbl.store import journal  # noqa: PLC0415 — see rbl.cli

    zone = apex.rstrip(".").lower()
    doing = act(why, note)
    with opened(settings_of(context)) as store, store.writing() as session:
        forced = journal.force(session, zone, doing, serial)
    typer.echo(f"{zone} is let out up to serial {forced}")
