"""What a nominator's key has used of its quota, and what operators changed about it.

Nominations of one key take turns by the lock on its row here, taken before that on the host: so none
is counted twice, and none is missed. What is counted are the rows that nominations make; there is no
counter that could be wrong.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import Session

from rbl.errors import NotFound, Refused
from rbl.quotas import DAY, Alarm, Measure, Quota, Quotas, alarm, must_allow
from rbl.store import audit, signal
from rbl.store.engine import make_once
from rbl.store.keytables import KeyLimit
from rbl.store.probetables import WORK_CHANNEL, ProbeRun
from rbl.store.tables import ApiKey, Nomination
from rbl.terms import Act, Nominator


@dataclass(frozen=True, slots=True)
class LimitView:
    """What a key may do and has done; *suspended_at* None: it may."""

    key_id: int
    name: str
    quota: Quota
    used: Mapping[Measure, int]
    suspended_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewLimit:
    """What an operator allows a key; None: as much as its trust."""

    nominations: int | None = None
    networks: int | None = None
    waiting: int | None = None


class Allowance:
    """What one key may still do, while its row is locked by this transaction."""

    def __init__(
        self,
        session: Session,
        nominator: Nominator,
        quotas: Quotas,
        now: datetime,
        tell: Callable[[Alarm], object],
    ) -> None:
        """Lock the key's row; *tell* hears of every share of a quota that is come to.

        Raises:
            Refused: the key is suspended.
        """
        self._session = session
        self._key = nominator
        self._now = now
        self._tell = tell
        self._share = quotas.alarm_share
        row = _lock(session, nominator.key_id)
        if row.suspended_at is not None:
            raise Refused(
                f"the key {nominator.name!r} is suspended since"
                f" {row.suspended_at:%Y-%m-%d %H:%M:%S} UTC: write to the operator",
                code="suspended",
            )
        self._quota = _quota(row, quotas.of(nominator.trust))

    def nominate(self) -> None:
        """Count one more nomination, before its row is made.

        Raises:
            Refused: the quota is used up; it says when the next is taken.
        """
        made = _nominations(self._key.key_id, self._now)
        used = self._session.execute(select(func.count(Nomination.id)).where(made)).scalar_one()
        over = used - self._quota.nominations
        leaving = select(Nomination.created_at).where(made).order_by(Nomination.created_at).offset(over)
        self._count(Measure.NOMINATIONS, used, leaving if over >= 0 else None)

    def test(self, neighbourhood: str) -> None:
        """Count one more test, of a host in *neighbourhood*, before its row is made.

        Raises:
            Refused: too many wait, or are of too many networks.
        """
        waiting = select(func.count(ProbeRun.id)).where(_waiting(self._key.key_id))
        self._count(Measure.WAITING, self._session.execute(waiting).scalar_one(), None)
        tested = _tests(self._key.key_id, self._now)
        again = select(exists().where(tested, ProbeRun.neighbourhood == neighbourhood))
        if self._session.execute(again).scalar_one():
            return
        count = select(func.count(func.distinct(ProbeRun.neighbourhood))).where(tested)
        used = self._session.execute(count).scalar_one()
        over = used - self._quota.networks
        latest = func.max(ProbeRun.created_at)
        leaving = (
            select(latest).where(tested).group_by(ProbeRun.neighbourhood).order_by(latest).offset(over)
        )
        self._count(Measure.NETWORKS, used, leaving if over >= 0 else None)

    def _count(self, measure: Measure, used: int, leaving: Select[datetime] | None) -> None:
        """Count one more of *measure*; *leaving* finds the one that must be a day old to make room."""
        quota = self._quota.of(measure)
        retry_after = None
        if leaving is not None:
            last = self._session.execute(leaving.limit(1)).scalar_one_or_none()
            retry_after = None if last is None else last + DAY - self._now
        must_allow(self._key.name, measure, used, quota, retry_after)
        found = alarm(self._key.name, measure, used + 1, quota, self._share)
        if found is not None:
            self._tell(found)


def suspended(session: Session) -> Sequence[int]:
    """Return the keys that may do nothing for now."""
    return (
        session.execute(select(KeyLimit.key_id).where(KeyLimit.suspended_at.is_not(None))).scalars().all()
    )


def of_key(session: Session, key_id: int, quotas: Quotas, now: datetime) -> LimitView:
    """Return what a key may do and has done.

    Raises:
        NotFound: there is no such key.
    """
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"there is no key {key_id}", code="no-such-key")
    return _view(session, key, session.get(KeyLimit, key_id), quotas, now)


def of_all(session: Session, quotas: Quotas, now: datetime) -> Sequence[LimitView]:
    """Return the same of every key that is valid, in order of their making."""
    rows = session.execute(
        select(ApiKey, KeyLimit)
        .outerjoin(KeyLimit, KeyLimit.key_id == ApiKey.id)
        .where(ApiKey.revoked_at.is_(None))
        .order_by(ApiKey.id)
    )
    return [_view(session, key, limit, quotas, now) for key, limit in rows]


def change(session: Session, key_id: int, new: NewLimit, act: Act) -> None:
    """Allow a key something else from now on.

    Raises:
        NotFound: there is no such key.
    """
    name, row = _named(session, key_id)
    was, row.nominations = row.nominations, new.nominations
    row.networks, row.waiting = new.networks, new.waiting
    audit.write(session, "limit-key", name, act, was=_word(was), became=_word(new.nominations))


def suspend(session: Session, key_id: int, act: Act) -> None:
    """Take no nomination of a key and begin no test for it, from now on until it is resumed.

    Raises:
        NotFound: there is no such key.
    """
    name, row = _named(session, key_id)
    if row.suspended_at is None:
        row.suspended_at = act.at
        audit.write(session, "suspend-key", name, act)


def resume(session: Session, key_id: int, act: Act) -> None:
    """Let a suspended key go on; its tests that waited are due.

    Raises:
        NotFound: there is no such key.
    """
    name, row = _named(session, key_id)
    if row.suspended_at is not None:
        row.suspended_at = None
        audit.write(session, "resume-key", name, act)
        signal.notify(session, WORK_CHANNEL)


def _named(session: Session, key_id: int) -> tuple[str, KeyLimit]:
    key = session.get(ApiKey, key_id)
    if key is None:
        raise NotFound(f"there is no key {key_id}", code="no-such-key")
    return key.name, _lock(session, key_id)


def _lock(session: Session, key_id: int) -> KeyLimit:
    """Return the key's row, locked until the commit, made where there is none yet."""
    query = select(KeyLimit).where(KeyLimit.key_id == key_id).with_for_update()
    row = session.execute(query).scalar_one_or_none()
    if row is not None:
        return row
    blank = KeyLimit(key_id=key_id, nominations=None, networks=None, waiting=None, suspended_at=None)
    return blank if make_once(session, blank) else session.execute(query).scalar_one()


def _quota(row: KeyLimit | None, by_trust: Quota) -> Quota:
    if row is None:
        return by_trust
    return Quota(
        nominations=by_trust.nominations if row.nominations is None else row.nominations,
        networks=by_trust.networks if row.networks is None else row.networks,
        waiting=by_trust.waiting if row.waiting is None else row.waiting,
    )


def _view(
    session: Session, key: ApiKey, limit: KeyLimit | None, quotas: Quotas, now: datetime
) -> LimitView:
    counted = {
        Measure.NOMINATIONS: select(func.count(Nomination.id)).where(_nominations(key.id, now)),
        Measure.NETWORKS: select(func.count(func.distinct(ProbeRun.neighbourhood))).where(
            _tests(key.id, now)
        ),
        Measure.WAITING: select(func.count(ProbeRun.id)).where(_waiting(key.id)),
    }
    return LimitView(
        key_id=key.id,
        name=key.name,
        quota=_quota(limit, quotas.of(key.trust)),
        used={measure: session.execute(query).scalar_one() for measure, query in counted.items()},
        suspended_at=None if limit is None else limit.suspended_at,
    )


def _nominations(key_id: int, now: datetime) -> ColumnElement[bool]:
    return (Nomination.key_id == key_id) & (Nomination.created_at > now - DAY)


def _tests(key_id: int, now: datetime) -> ColumnElement[bool]:
    return (ProbeRun.key_id == key_id) & (ProbeRun.created_at > now - DAY)


def _waiting(key_id: int) -> ColumnElement[bool]:
    return (ProbeRun.key_id == key_id) & ProbeRun.finished_at.is_(None) & (ProbeRun.attempt == 0)


def _word(nominations: int | None) -> str:
    return "by trust" if nominations is None else str(nominations)
