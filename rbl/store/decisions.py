"""What operators decide about hosts: approve, reject, withdraw."""

from sqlalchemy.orm import Session

from rbl.errors import Conflict
from rbl.lifecycle import Event
from rbl.store import hosts, runs
from rbl.store.hosts import HostView, ZonePolicy
from rbl.terms import Act, Address, Purpose, State


def approve(session: Session, policy: ZonePolicy, address: Address, act: Act) -> HostView:
    """Say yes to what waits: test a nominated host, list a proven one, test a reviewed one again.

    Raises:
        NotFound: the address has no story here.
        Conflict: nothing waits for a yes.
        Refused: it would be listed, and is exempt.
    """
    host = hosts.lock(session, policy.apex, address)
    if host.state is State.PROVEN:
        hosts.happen(session, host, Event.LIST, act, policy)
    elif host.state in {State.NOMINATED, State.REVIEW}:
        hosts.happen(session, host, Event.QUEUE, act, policy)
        runs.queue(session, host, Purpose.NOMINATION, act.actor, act.at, act.at)
    elif host.review is None:
        raise Conflict(f"{address} is {host.state.value}: nothing waits for approval", code="wrong-state")
    host.review = None
    return hosts.view(host)


def reject(session: Session, policy: ZonePolicy, address: Address, act: Act) -> HostView:
    """Say no: the host is not tested, or not listed; a test under way ends.

    Raises:
        NotFound: the address has no story here.
        Conflict: it is past rejecting: closed, or listed (withdraw it then).
    """
    host = hosts.lock(session, policy.apex, address)
    hosts.happen(session, host, Event.REJECT, act, policy)
    hosts.end_run(session, host.id, act)
    host.review = None
    return hosts.view(host)


def withdraw(session: Session, policy: ZonePolicy, address: Address, act: Act) -> HostView:
    """Take back what a test brought into DNS, whatever the tests say.

    Raises:
        NotFound: the address has no story here.
        Conflict: it is not listed.
    """
    host = hosts.lock(session, policy.apex, address)
    hosts.withdraw(session, host, act, policy)
    return hosts.view(host)
