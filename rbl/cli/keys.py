"""``rbl key``: API keys from the shell of the machine that has the database."""

from typing import Annotated

import typer

from rbl.addresses import parse_network
from rbl.cli import limits
from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.terms import Role, Trust

app = typer.Typer(no_args_is_help=True)
app.command("limit")(limits.limit)
app.command("suspend")(limits.suspend)
app.command("resume")(limits.resume)

_ACTOR = "shell"


@app.command("make")
def make(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.NOMINATOR,
    trust: Annotated[Trust, typer.Option(help="How far a nominator's word goes.")] = Trust.NORMAL,
    mx: Annotated[
        list[str] | None,
        typer.Option(help="A host name of the nominator's own MX, as it stands after `by`."),
    ] = None,
    internal: Annotated[
        list[str] | None, typer.Option(help="A network of the nominator's own mail servers.")
    ] = None,
) -> None:
    """Make a key and print it, once: it is kept nowhere."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    new = keys.NewKey(
        name, role, trust, tuple(mx or ()), tuple(parse_network(network) for network in internal or ())
    )
    with opened(settings_of(context)) as store, store.writing() as session:
        secret, _ = keys.make(session, new, actor=_ACTOR, now=now())
    typer.echo(secret)


@app.command("list")
def show(context: typer.Context) -> None:
    """Show all keys, without the keys themselves."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    with looked_into(settings_of(context)) as store, store.reading() as session:
        views = keys.all_keys(session)
    for view in views:
        state = "revoked" if view.revoked_at else "valid"
        typer.echo(f"{view.id:4} {view.name:30} {view.role.value:10} {view.trust.value:8} {state}")


@app.command("revoke")
def revoke(
    context: typer.Context, key_id: Annotated[int, typer.Argument(help="As `rbl key list` shows it.")]
) -> None:
    """Revoke a key from now on."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    with opened(settings_of(context)) as store, store.writing() as session:
        view = keys.revoke(session, key_id, actor=_ACTOR, now=now())
    typer.echo(f"{view.name} is revoked")
