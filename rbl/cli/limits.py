"""``rbl key limit``, ``suspend`` and ``resume``: how much a nominator's key may bring about."""

from typing import Annotated

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.quotas import Measure, of_settings
from rbl.terms import Act

_KeyId = Annotated[int, typer.Argument(help="As `rbl key list` shows it.")]
_Why = Annotated[str, typer.Option(help="For the audit.")]
_Many = Annotated[int | None, typer.Option(min=0, help="Left out: as its trust allows.")]


def limit(
    context: typer.Context,
    key_id: _KeyId,
    *,
    nominations: _Many = None,
    networks: _Many = None,
    waiting: _Many = None,
    show: Annotated[bool, typer.Option("--show", help="Change nothing, say how it is.")] = False,
    why: _Why = "no reason given",
) -> None:
    """Allow a key more or less than its trust does: nominations and networks a day, tests waiting."""
    from rbl.store import limits  # noqa: PLC0415 — see rbl.cli

    settings = settings_of(context)
    if not show:
        act = Act("shell", why, now())
        with opened(settings) as store, store.writing() as session:
            limits.change(session, key_id, limits.NewLimit(nominations, networks, waiting), act)
    with looked_into(settings) as store, store.reading() as session:
        view = limits.of_key(session, key_id, of_settings(settings.quotas), now())
    suspended = "" if view.suspended_at is None else ", suspended"
    uses = (f"{measure.value} {view.used[measure]} of {view.quota.of(measure)}" for measure in Measure)
    typer.echo(f"{view.name}: {', '.join(uses)}{suspended}")


def suspend(context: typer.Context, key_id: _KeyId, *, why: _Why = "no reason given") -> None:
    """Take nothing with a key and begin no test for it, until it is resumed; nothing is revoked."""
    from rbl.store import limits  # noqa: PLC0415 — see rbl.cli

    with opened(settings_of(context)) as store, store.writing() as session:
        limits.suspend(session, key_id, Act("shell", why, now()))
    typer.echo(f"key {key_id} is suspended")


def resume(context: typer.Context, key_id: _KeyId, *, why: _Why = "no reason given") -> None:
    """Let a suspended key go on where it stopped."""
    from rbl.store import limits  # noqa: PLC0415 — see rbl.cli

    with opened(settings_of(context)) as store, store.writing() as session:
        limits.resume(session, key_id, Act("shell", why, now()))
    typer.echo(f"key {key_id} may go on")
