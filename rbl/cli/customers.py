"""``rbl customer``: the keys with which customers ask a list, made and revoked from the shell."""

from typing import Annotated

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.config import Settings
from rbl.errors import BadInput, NotFound
from rbl.terms import Act

app = typer.Typer(no_args_is_help=True)

_ACTOR = "shell"


@app.command("make")
def make(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    zone: Annotated[str | None, typer.Option(help="The list, by its apex; by default the first.")] = None,
    why: Annotated[str, typer.Option(help="Why, for journal and audit.")] = "made",
) -> None:
    """Make a key and print it, once: it is kept nowhere."""
    from rbl.store import customers  # noqa: PLC0415 — see rbl.cli

    settings = settings_of(context)
    apex = _zone_with_keys(settings, zone)
    with opened(settings) as store, store.writing() as session:
        label, _ = customers.make(session, apex, name, Act(_ACTOR, why, now()))
    typer.echo(label)
    typer.echo(f"7.100.51.198.{label}.{apex} asks for 198.51.100.7", err=True)


@app.command("list")
def show(context: typer.Context) -> None:
    """Show all keys, without the keys themselves, and how much was asked with each."""
    from rbl.store import customers  # noqa: PLC0415 — see rbl.cli

    with looked_into(settings_of(context)) as store, store.reading() as session:
        views = customers.all_keys(session)
    for view in views:
        state = "revoked" if view.revoked_at else "valid"
        used = f"{view.used_at:%Y-%m-%d %H:%M}" if view.used_at else "never"
        typer.echo(f"{view.id:4} {view.name:30} {view.zone:30} {view.queries:14} {used:16} {state}")


@app.command("revoke")
def revoke(
    context: typer.Context,
    key_id: Annotated[int, typer.Argument(help="As `rbl customer list` shows it.")],
    *,
    why: Annotated[str, typer.Option(help="Why, for journal and audit.")] = "revoked",
) -> None:
    """Revoke a key: within a second it is refused."""
    from rbl.store import customers  # noqa: PLC0415 — see rbl.cli

    with opened(settings_of(context)) as store, store.writing() as session:
        view = customers.revoke(session, key_id, Act(_ACTOR, why, now()))
    typer.echo(f"the key of {view.name} in {view.zone} is revoked")


def _zone_with_keys(settings: Settings, apex: str | None) -> str:
    """Return the apex of the list *apex*, or of the first one, whose zone file must ask for keys."""
    from rbl.zone import zonefile  # noqa: PLC0415 — see rbl.cli
    from rbl.zone.access import Keys  # noqa: PLC0415

    for path in settings.zones:
        zone = zonefile.read(path)
        if apex is None or zone.apex_text == apex.rstrip(".").lower():
            if zone.keys is Keys.UNUSED:
                raise BadInput(
                    f"{path} has no keys: write [keys] and required = false, or true, into it",
                    code="no-keys",
                )
            return zone.apex_text
    raise NotFound(f"there is no zone {apex}", code="no-such-zone")
