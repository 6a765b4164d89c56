"""``rbl zone``: is a zone file right, and what does it say; and letting out what the guards hold back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import now, opened
from rbl.errors import NotFound
from rbl.terms import Act

if TYPE_CHECKING:
    from rbl.store.held import Held

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
        int | None, typer.Option(min=1, help="Up to this serial of the journal, without looking.")
    ] = None,
    why: Annotated[str, typer.Option(help="For the audit.")] = "no reason given",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Let out what is shown without asking.")] = False,
) -> None:
    """Let out a change of a list that the guards hold back; every DNS server follows within a second.

    What the servers hold back is shown, and let out as far as it is shown: what comes later is not.
    """
    from rbl.store import held, journal  # noqa: PLC0415 — see rbl.cli

    zone = apex.rstrip(".").lower()
    with opened(settings_of(context)) as store:
        if serial is None:
            with store.reading() as session:
                found, servers = held.look(session, zone, now())
            if found is None:
                raise NotFound(
                    f"nothing of {zone} is held back by a DNS server that tells of itself ({servers} do):"
                    " look at /readyz of the others, and say --serial",
                    code="nothing-held",
                )
            _show(zone, found)
            if not yes:
                typer.confirm(f"let it out up to serial {found.serial}?", abort=True)
            serial = found.serial
        with store.writing() as session:
            forced = journal.force(session, zone, Act("shell", why, now()), serial)
    typer.echo(f"{zone} is let out up to serial {forced}")


def _show(zone: str, held: "Held") -> None:
    """Say what is held back, by whom, and why."""
    counted = ", ".join(f"{count} {change.value}" for change, count in sorted(held.changes.items()))
    typer.echo(
        f"{zone}: held back after serial {held.after}, up to {held.serial}: {counted or 'no entries'}"
    )
    for view, standing in held.servers:
        typer.echo(f"  by process {view.pid} on {view.host}, up to {standing.newest}: {standing.held}")
