"""Settings that operators change while the program runs, read by every worker before each step."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.store import audit
from rbl.store.engine import make_once
from rbl.store.tables import Switch
from rbl.terms import Act

PROBING = "probing"  # off: no probe goes out, from any machine; what comes back is still judged


def set_up(session: Session, now: datetime) -> None:
    """Make the switches that are missing, in their first position: on."""
    if session.get(Switch, PROBING) is None:
        make_once(session, Switch(name=PROBING, on=True, changed_at=now, actor="set-up"))


def is_on(session: Session, name: str) -> bool:
    """Whether a switch is on."""
    return session.get_one(Switch, name).on


def lock(session: Session, name: str) -> bool:
    """Whether a switch is on; it cannot be turned, nor locked by another, before this transaction ends."""
    return session.execute(select(Switch.on).where(Switch.name == name).with_for_update()).scalar_one()


def turn(session: Session, name: str, act: Act, *, on: bool) -> None:
    """Turn a switch on or off, from this commit on."""
    row = session.get_one(Switch, name, with_for_update=True)
    was, row.on = row.on, on
    row.changed_at = act.at
    row.actor = act.actor
    audit.write(session, "switch", name, act, was=_word(on=was), became=_word(on=on))


def _word(*, on: bool) -> str:
    return "on" if on else "off"
