"""``/v1/hosts``: what waits for operators, and what they decide. Logs ``listed`` and ``delisted``."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from pydantic import ConfigDict
from pydantic.config import JsonDict

from rbl.store import decisions, hosts
from rbl.store.hosts import HostView
from rbl.terms import Act, State
from rbl.web.auth import Operating, actor
from rbl.web.documents import tells
from rbl.web.fields import AddressField, AddressPath, Answer, AskedPolicy, Body, Why
from rbl.web.parts import UsedParts

_log = structlog.get_logger()
router = APIRouter(prefix="/v1/hosts", tags=["operators"])

_HOST: JsonDict = {
    "zone": "relays.example.org",
    "address": "192.0.2.1",
    "state": "proven",
    "offences": 0,
    "failed_retests": 0,
    "retest_allowed_at": None,
    "review": None,
    "created_at": "2026-11-24T03:05:00Z",
    "changed_at": "2026-11-24T03:06:00Z",
    "url": "https://relays.example.org/a/192.0.2.1",
}


class Decision(StrEnum):
    """What an operator says about a host."""

    APPROVE = "approve"  # yes to what waits: test it, list it, or: the review is done
    REJECT = "reject"  # no: it is not tested, or not listed
    WITHDRAW = "withdraw"  # take back a listing that a test brought about


_DECIDE = {
    Decision.APPROVE: decisions.approve,
    Decision.REJECT: decisions.reject,
    Decision.WITHDRAW: decisions.withdraw,
}


class DecisionBody(Body):
    """A decision and its reason, which is kept in the audit and is public."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"decision": "approve", "why": "the evidence is sound"}]}
    )

    decision: Decision
    why: Why


class HostTold(Answer):
    """How a host stands; *review* says why a person must look, also while it is listed."""

    model_config = ConfigDict(json_schema_extra={"examples": [_HOST]})

    zone: str
    address: AddressField
    state: State
    offences: int
    failed_retests: int
    retest_allowed_at: datetime | None
    review: str | None
    created_at: datetime
    changed_at: datetime
    url: str


class HostsTold(Answer):
    """Hosts, the longest in their state first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"hosts": [_HOST]}]})

    hosts: list[HostTold]


@router.get(
    "",
    summary="List the hosts that wait for an operator, or those in some states",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_zone=404),
)
def list_hosts(
    parts: UsedParts,
    _caller: Operating,
    policy: AskedPolicy,
    state: Annotated[
        list[State] | None, Query(description="By default those that wait.", examples=[["listed"]])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, examples=[200])] = 200,
) -> HostsTold:
    """Without *state*: nominated, proven and in review, and listed ones that need a look."""
    with parts.store.reading() as session:
        if state:
            found = hosts.in_states(session, policy.apex, state, limit)
        else:
            found = hosts.needing_review(session, policy.apex, limit)
    return HostsTold(hosts=[_told(parts, each) for each in found])


@router.post(
    "/{address}/decisions",
    summary="Approve, reject or withdraw",
    responses=tells(
        no_key=401,
        bad_key=401,
        role=403,
        exempt=403,
        unknown_host=404,
        no_such_zone=404,
        wrong_state=409,
        bad_address=422,
    ),
)
def decide(
    parts: UsedParts, caller: Operating, policy: AskedPolicy, address: AddressPath, body: DecisionBody
) -> HostTold:
    """The host's new state is in force, and in DNS, when this answers."""
    act = Act(actor(caller), body.why, parts.now())
    with parts.store.writing() as session:
        before = hosts.find(session, policy.apex, address)
        host = _DECIDE[body.decision](session, policy, address, act)
    was_in_dns = before is not None and before.state.in_dns
    if host.state.in_dns is not was_in_dns:
        event = "listed" if host.state.in_dns else "delisted"
        _log.info(event, zone=host.zone, address=str(host.address), by=act.actor, why=act.why)
    return _told(parts, host)


def _told(parts: UsedParts, host: HostView) -> HostTold:
    return HostTold(
        zone=host.zone,
        address=host.address,
        state=host.state,
        offences=host.offences,
        failed_retests=host.failed_retests,
        retest_allowed_at=host.retest_allowed_at,
        review=host.review,
        created_at=host.created_at,
        changed_at=host.changed_at,
        url=f"{parts.settings.web.public_url}/a/{host.address}",
    )
