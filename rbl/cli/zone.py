"""``rbl zone check``: is a zone file right, and what does it say?"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Work on zone files."""


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
