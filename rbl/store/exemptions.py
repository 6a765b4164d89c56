"""Exemptions: networks that are never answered as listed, or never tested.

``never_list`` is for hosts whose listing would hurt more than it helps (big providers, our users);
it reaches DNS through the journal of every zone. ``never_test`` is the opt-out of a host's owner:
it is not tested any more, and a host that is listed already stays so until it allows a retest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_network

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from rbl import addresses
from rbl.errors import Conflict, NotFound, Refused
from rbl.store import audit, journal
from rbl.store.tables import Exemption, Zone
from rbl.terms import Act, Address, Change, Network

_COVERING = select(Exemption).where(
    Exemption.network.in_(bindparam("around", expanding=True)), Exemption.ended_at.is_(None)
)


@dataclass(frozen=True, slots=True)
class ExemptionView:
    """An exemption as the API shows it."""

    id: int
    network: Network
    never_list: bool
    never_test: bool
    actor: str
    why: str
    created_at: datetime


def add(
    session: Session,
    network: Network,
    *,
    never_list: bool,
    never_test: bool,
    act: Act,
) -> ExemptionView:
    """Exempt *network* and return the exemption.

    Raises:
        Conflict: an exemption of exactly this network exists, or neither flag is set.
    """
    if not (never_list or never_test):
        raise Conflict("an exemption must say never_list, never_test or both", code="empty-exemption")
    zones = _lock_zones(session) if never_list else []
    if _live(session, network) is not None:
        raise Conflict(f"{network} is exempt already: end that exemption first", code="already-exempt")
    for zone in zones:
        journal.append(session, zone, Change.EXEMPTED, str(network), act)
    row = Exemption(
        network=network,
        never_list=never_list,
        never_test=never_test,
        actor=act.actor,
        why=act.why,
        created_at=act.at,
        ended_at=None,
    )
    session.add(row)
    session.flush()
    audit.write(session, "exempt", str(network), act, became=_words(row))
    return _view(row)


def end(session: Session, network: Network, act: Act) -> None:
    """End the exemption of exactly *network*.

    Raises:
        NotFound: there is none.
    """
    zones = _lock_zones(session)
    row = _live(session, network)
    if row is None:
        raise NotFound(f"{network} is not exempt", code="not-exempt")
    for zone in zones if row.never_list else []:
        journal.append(session, zone, Change.UNEXEMPTED, str(network), act)
    row.ended_at = act.at
    audit.write(session, "unexempt", str(network), act, was=_words(row))


def live(session: Session) -> Sequence[ExemptionView]:
    """Return all exemptions that hold now, in order of creation."""
    rows = session.execute(
        select(Exemption).where(Exemption.ended_at.is_(None)).order_by(Exemption.id)
    ).scalars()
    return [_view(row) for row in rows]


def of_address(session: Session, address: Address) -> Sequence[ExemptionView]:
    """Return the exemptions that cover *address*, the most specific first."""
    rows = session.execute(_COVERING, {"around": addresses.networks_around(address)}).scalars()
    return sorted((_view(row) for row in rows), key=lambda view: -view.network.prefixlen)


def refuse_listing_of(session: Session, network: Network | Address) -> None:
    """Do nothing when *network* may be listed.

    Raises:
        Refused: an exemption covers it.
    """
    if isinstance(network, IPv4Address | IPv6Address):
        network = ip_network(network)
    for view in of_address(session, network.network_address):
        if view.never_list and _covers(view.network, network):
            raise Refused(
                f"{network} cannot be listed: {view.network} is exempt ({view.why})", code="exempt"
            )


def refuse_test_of(session: Session, address: Address) -> None:
    """Do nothing when *address* may be tested.

    Raises:
        Refused: its owner, or the operator, said that it must not be.
    """
    for view in of_address(session, address):
        if view.never_test:
            raise Refused(
                f"{address} is not tested: {view.network} is on the do-not-test list", code="do-not-test"
            )


def _covers(outer: Network, inner: Network) -> bool:
    return outer.version == inner.version and outer.prefixlen <= inner.prefixlen


def _live(session: Session, network: Network) -> Exemption | None:
    return session.execute(
        select(Exemption).where(Exemption.network == network, Exemption.ended_at.is_(None))
    ).scalar_one_or_none()


def _lock_zones(session: Session) -> Sequence[str]:
    # In order of apex, as everybody who writes to several zones: two such writers cannot deadlock.
    zones = session.execute(select(Zone.apex).order_by(Zone.apex)).scalars().all()
    for zone in zones:
        journal.lock(session, zone)
    return zones


def _words(row: Exemption) -> str:
    return " ".join(
        name for name, is_set in (("never-list", row.never_list), ("never-test", row.never_test)) if is_set
    )


def _view(row: Exemption) -> ExemptionView:
    return ExemptionView(
        row.id, row.network, row.never_list, row.never_test, row.actor, row.why, row.created_at
    )
