"""Nominations: evidence comes in, is kept for good, and makes a test due."""

import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session, joinedload

from rbl import lifecycle
from rbl.addresses import neighbourhood, reserved_reason
from rbl.errors import BadInput, Conflict, NotFound
from rbl.lifecycle import Event
from rbl.quotas import Alarm, Quotas
from rbl.store import audit, exemptions, hosts, runs
from rbl.store.hosts import ZonePolicy
from rbl.store.limits import Allowance
from rbl.store.probetables import ProbeRun
from rbl.store.tables import ApiKey, EvidenceItem, Host, Nomination
from rbl.terms import Act, Address, Evidence, Nominator, Purpose, State, Trust

# RFC 6471 §3.6.2: no robot tests a host more often than once a day.
_AUTOMATIC_INTERVAL = timedelta(hours=24)
_LONGEST_IDEMPOTENCY_KEY = 255
# All that is shown in one query, and not the whole spam.
_OF_HOST = (
    select(Nomination)
    .where(Nomination.host_id == bindparam("host_id"))
    .order_by(Nomination.id.desc())
    .limit(bindparam("most"))
    .options(
        joinedload(Nomination.evidence).load_only(EvidenceItem.published, EvidenceItem.retired_at),
        joinedload(Nomination.nominator).load_only(ApiKey.name),
        joinedload(Nomination.host),
    )
)


def _nobody(_alarm: Alarm) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class NewNomination:
    """Evidence and what the nominator says of it; *request_sha256* is of the request's whole body."""

    evidence: Evidence
    published: str  # the spam as the public may see it
    request_sha256: str
    claimed: Address | None = None  # the nominee, where the nominator named one
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class NominationView:
    """A nomination as pages and the API show it; nothing in it is secret."""

    id: int
    zone: str
    address: Address
    state: State  # of the host, now
    nominator: str
    received_at: datetime
    created_at: datetime
    published: str
    helo: str
    retired_at: datetime | None = None  # of the spam; None: it is kept


def nominate(
    session: Session,
    new: NewNomination,
    nominator: Nominator,
    policy: ZonePolicy,
    now: datetime,
    *,
    quotas: Quotas = Quotas(),  # noqa: B008 — frozen
    tell: Callable[[Alarm], object] = _nobody,
) -> tuple[NominationView, bool]:
    """Return the nomination that *new* makes and True, or the nominator's own that it repeats and False.

    The evidence is stored, once for each nominator, and the life cycle alone says whether a test is
    due: where the host has none under way; a host that was tested within a day waits for its turn.
    What others handed in, or what the spam says of itself, makes no difference. A nominator on trial
    only queues it for an operator. *tell* hears when the key comes to a share of its quota.

    Raises:
        BadInput: the message proves another address than the one claimed, or a reserved one.
        Refused: the address is exempt or not to be tested; the key is suspended, or over its quota.
        Conflict: the idempotency key was used for something else.
    """
    earlier = _same_request(session, new, nominator)
    if earlier is not None:
        return earlier, False
    address = new.evidence.address
    _check_address(session, new, policy)
    allowance = Allowance(session, nominator, quotas, now, tell)
    act = Act(nominator.name, "spam was received through it", now, nominator.key_id)
    event = Event.NOMINATE if nominator.trust is Trust.TRIAL else Event.QUEUE
    host = hosts.lock_or_make(session, policy.apex, address, event, act)
    fingerprint = hashlib.sha256(new.evidence.message).hexdigest()
    row = _own(session, host.id, nominator.key_id, fingerprint)
    is_new = row is None
    if row is None:
        allowance.nominate()
        row = _keep(session, host, new, nominator, fingerprint, now)
    if lifecycle.allows(host.state, event) and runs.is_free(session, host.id):
        hosts.happen(session, host, event, act, policy)
    if host.state is State.QUEUED and runs.is_free(session, host.id):
        allowance.test(str(neighbourhood(address)))
        due_at = _first_test_at(session, host, new.evidence.received_at, policy, now)
        runs.queue(session, host, Purpose.NOMINATION, nominator.name, due_at, now, key_id=nominator.key_id)
    elif event is Event.QUEUE:
        runs.take_over_suspended(session, host.id, nominator.key_id)
    return view(row), is_new


def of_id(session: Session, nomination_id: int) -> NominationView:
    """Return one nomination.

    Raises:
        NotFound: there is none of that number.
    """
    row = session.get(Nomination, nomination_id)
    if row is None:
        raise NotFound(f"there is no nomination {nomination_id}", code="no-such-nomination")
    return view(row)


def of_host(session: Session, host_id: int, limit: int = 20) -> Sequence[NominationView]:
    """Return the nominations of a host, newest first."""
    rows = session.execute(_OF_HOST, {"host_id": host_id, "most": limit}).scalars()
    return [view(row) for row in rows]


def known_name(session: Session, host_id: int) -> str | None:
    """Return the name by which the host greeted whoever received the newest spam, or None."""
    return session.execute(
        select(Nomination.helo).where(Nomination.host_id == host_id).order_by(Nomination.id.desc()).limit(1)
    ).scalar_one_or_none()


def evidence_of(session: Session, nomination_id: int, act: Act) -> bytes:
    """Return the whole spam of a nomination, for operators only: it names its recipients.

    That it was read is part of the audit of this transaction.

    Raises:
        NotFound: there is no such nomination, or its time is over and the spam is kept no longer.
    """
    row = session.get(Nomination, nomination_id)
    if row is None:
        raise NotFound(f"there is no nomination {nomination_id}", code="no-such-nomination")
    if row.evidence.retired_at is not None:
        raise NotFound(
            f"the spam of nomination {nomination_id} was kept until {row.evidence.retired_at:%Y-%m-%d}:"
            f" only its SHA-256 is left, {row.evidence.sha256}",
            code="evidence-retired",
        )
    audit.write(session, "read-evidence", f"nomination {nomination_id}", act)
    return zlib.decompress(row.evidence.message)


def view(row: Nomination) -> NominationView:
    """Return the facts of *row*, free of the session."""
    return NominationView(
        id=row.id,
        zone=row.host.zone,
        address=row.host.address,
        state=row.host.state,
        nominator=row.nominator.name,
        received_at=row.received_at,
        created_at=row.created_at,
        published=row.evidence.published,
        helo=row.helo,
        retired_at=row.evidence.retired_at,
    )


def _same_request(session: Session, new: NewNomination, nominator: Nominator) -> NominationView | None:
    """Return what the same idempotency key of the same nominator made before, if anything."""
    if new.idempotency_key is None:
        return None
    fits = 0 < len(new.idempotency_key) <= _LONGEST_IDEMPOTENCY_KEY
    if not (fits and new.idempotency_key.isprintable()):
        raise BadInput(
            f"Idempotency-Key must have 1 to {_LONGEST_IDEMPOTENCY_KEY} printable characters",
            code="bad-idempotency-key",
        )
    row = session.execute(
        select(Nomination).where(
            Nomination.key_id == nominator.key_id, Nomination.idempotency_key == new.idempotency_key
        )
    ).scalar_one_or_none()
    if row is None:
        return None
    if row.request_sha256 != new.request_sha256:
        raise Conflict(
            "this Idempotency-Key was used for another message: use a new one", code="idempotency-mismatch"
        )
    return view(row)


def _check_address(session: Session, new: NewNomination, policy: ZonePolicy) -> None:
    address = new.evidence.address
    if new.claimed is not None and new.claimed != address:
        raise BadInput(
            f"the message was handed to your MX by {address}, not by {new.claimed}: nominate {address}",
            code="wrong-address",
        )
    reserved = None if policy.allows(address) else reserved_reason(address)
    if reserved:
        raise BadInput(f"{address} cannot be nominated: {reserved}", code="reserved-address")
    exemptions.refuse_listing_of(session, address)
    exemptions.refuse_test_of(session, address)


def _own(session: Session, host_id: int, key_id: int, fingerprint: str) -> Nomination | None:
    """Return what the same nominator made of the same octets before; never what another did."""
    return session.execute(
        select(Nomination).where(
            Nomination.host_id == host_id,
            Nomination.key_id == key_id,
            Nomination.fingerprint == fingerprint,
        )
    ).scalar_one_or_none()


def _keep(
    session: Session, host: Host, new: NewNomination, nominator: Nominator, fingerprint: str, now: datetime
) -> Nomination:
    """Make the nomination and return its row."""
    row = Nomination(
        host_id=host.id,
        evidence_id=_keep_evidence(session, new, now),
        key_id=nominator.key_id,
        fingerprint=fingerprint,
        idempotency_key=new.idempotency_key,
        request_sha256=new.request_sha256,
        received_at=new.evidence.received_at,
        helo=new.evidence.helo,
        hop=new.evidence.hop,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return row


def _keep_evidence(session: Session, new: NewNomination, now: datetime) -> int:
    """Store the message once, whoever hands it in, and return its row's id.

    It is made ready to be stored before anything is looked up: how long the answer takes says little of
    whether somebody had it before.
    """
    message = new.evidence.message
    digest = hashlib.sha256(message).hexdigest()
    compressed = zlib.compress(message)
    # Locked: it must not be let go of between this look and the nomination that points to it.
    found = session.execute(
        select(EvidenceItem).where(EvidenceItem.sha256 == digest).with_for_update()
    ).scalar_one_or_none()
    if found is not None:
        if found.retired_at is not None:  # handed in again, after it was let go of
            found.message, found.published = compressed, new.published
            found.retired_at = None
        return found.id
    row = EvidenceItem(
        sha256=digest,
        format=new.evidence.format,
        octets=len(message),
        message=compressed,
        published=new.published,
        created_at=now,
        retired_at=None,
    )
    session.add(row)
    session.flush()
    return row.id


def _first_test_at(
    session: Session, host: Host, received_at: datetime, policy: ZonePolicy, now: datetime
) -> datetime:
    """Return when the host may be tested: now, or a day after its last test.

    Where spam was received through a host that was listed once, after that last test had found it closed,
    the test was wrong or the host is open again: the next begins at once. Forged dates bring no more tests
    than anybody can ask for of a listed host.
    """
    last = session.execute(
        select(func.max(ProbeRun.finished_at)).where(ProbeRun.host_id == host.id)
    ).scalar_one()
    if last is None:
        return now
    is_newer = host.offences > 0 and received_at > last
    return max(now, last + (policy.times.retest_interval if is_newer else _AUTOMATIC_INTERVAL))
