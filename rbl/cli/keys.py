"""``rbl key``: API keys from the shell of the machine that has the database."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from rbl.addresses import parse_network
from rbl.cli import limits
from rbl.cli.acting import Note, Why, act
from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.terms import Role, Trust

if TYPE_CHECKING:
    from rbl.store.keys import KeyView

app = typer.Typer(no_args_is_help=True)
app.command("limit")(limits.limit)
app.command("suspend")(limits.suspend)
app.command("resume")(limits.resume)

_KeyId = Annotated[int, typer.Argument(help="As `rbl key list` shows it.")]
_Expires = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="It is refused from then on, in UTC; else never."
    ),
]


@app.command("make")
def make(  # noqa: PLR0913 — each is an option
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
    expires: _Expires = None,
    why: Why = "made",
    note: Note = None,
) -> None:
    """Make a key and print it, once: it is kept nowhere."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    networks = tuple(parse_network(network) for network in internal or ())
    new = keys.NewKey(name, role, trust, tuple(mx or ()), networks, _in_utc(expires))
    doing = act(why, note)
    with opened(settings_of(context)) as store, store.writing() as session:
        secret, _ = keys.make(session, new, doing)
    typer.echo(secret)


@app.command("list")
def show(context: typer.Context) -> None:
    """Show all keys, without the keys themselves."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    with looked_into(settings_of(context)) as store, store.reading() as session:
        views = keys.all_keys(session)
    for view in views:
        used = f"{view.used_at:%Y-%m-%d %H:%M}" if view.used_at else "never used"
        typer.echo(
            f"{view.id:4} {view.name:30} {view.role.value:10} {view.trust.value:8} {used:16} {_state(view)}"
        )


@app.command("rotate")
def rotate(
    context: typer.Context,
    key_id: _KeyId,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="How long the old one is taken beside the new one.")
    ] = 24,
    expires: _Expires = None,
    why: Why = "rotated",
    note: Note = None,
) -> None:
    """Print a new secret for a key, once; number, name and what was done with it stay."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    doing, overlap = act(why, note), timedelta(hours=overlap_hours)
    with opened(settings_of(context)) as store, store.writing() as session:
        secret, view = keys.rotate(session, key_id, doing, overlap=overlap, expires_at=_in_utc(expires))
    typer.echo(secret)
    until = (
        f"taken until {view.previous_until:%Y-%m-%d %H:%M} UTC" if view.previous_until else "refused now"
    )
    typer.echo(f"{view.name}: the old one is {until}", err=True)


@app.command("revoke")
def revoke(context: typer.Context, key_id: _KeyId, *, why: Why = "revoked", note: Note = None) -> None:
    """Revoke a key from now on."""
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    doing = act(why, note)
    with opened(settings_of(context)) as store, store.writing() as session:
        view = keys.revoke(session, key_id, doing)
    typer.echo(f"{view.name} is revoked")


def _in_utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.replace(tzinfo=UTC)


def _state(view: "KeyView") -> str:
    at = now()
    if view.revoked_at:
        return "revoked"
    if view.expires_at and view.expires_at <= at:
        return f"expired on {view.expires_at:%Y-%m-%d %H:%M}"
    words = f"valid until {view.expires_at:%Y-%m-%d %H:%M}" if view.expires_at else "valid"
    if view.previous_until and view.previous_until > at:
        used = f"{view.previous_used_at:%Y-%m-%d %H:%M}" if view.previous_used_at else "never"
        words += f", the secret before until {view.previous_until:%Y-%m-%d %H:%M} (last used: {used})"
    return words
