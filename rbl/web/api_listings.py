"""``/v1/listings`` and ``/v1/zones``: the lists, and what operators list by hand.

Logs ``listed`` and ``delisted``.
"""

from datetime import datetime
from ipaddress import IPv4Network
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.config import JsonDict

from rbl.errors import BadInput, Conflict
from rbl.store import hits, listings
from rbl.store.hits import HitsView
from rbl.store.hosts import ZonePolicy
from rbl.store.listings import ListingView, NewListing
from rbl.terms import Act, Network, Origin
from rbl.web.auth import Operating, actor
from rbl.web.documents import tells
from rbl.web.fields import Answer, AskedPolicy, Body, Hits, ListingText, NetworkField, Why
from rbl.web.parts import Parts, UsedParts
from rbl.zone.zonefile import Kind

_log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["operators"])

_AT = "2026-11-24T03:05:00Z"
_LISTING: JsonDict = {
    "zone": "relays.example.org",
    "network": "192.0.2.0/28",
    "reason": "open-relay",
    "text": "192.0.2.0/28 relays for anybody",
    "origin": "operator",
    "why": "the provider asked for it",
    "listed_at": _AT,
    "expires_at": "2027-02-22T03:05:00Z",
    "ended_at": None,
    "ended_why": None,
    "hits": 1204,
    "first_hit_at": _AT,
    "last_hit_at": _AT,
}
_ZONE: JsonDict = {
    "apex": "relays.example.org",
    "kind": "addresses",
    "reasons": [{"name": "open-relay", "title": "Open relay", "values": ["127.0.0.2"]}],
}


class ListingBody(Body):
    """A network to be listed; *why* and *text* are public."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "network": "192.0.2.0/28",
                    "reason": "open-relay",
                    "text": "192.0.2.0/28 relays for anybody",
                    "expires_at": "2027-02-22T03:05:00Z",
                    "why": "the provider asked for it",
                }
            ]
        }
    )

    network: NetworkField
    reason: str = Field(max_length=63, description="A reason of the list: see /v1/zones.")
    text: ListingText | None = Field(None, description="The TXT text; by default the reason's.")
    expires_at: AwareDatetime | None = Field(None, description="RFC 6471 §2.2.1: listings are temporary.")
    why: Why


class HandListing(Answer):
    """A listing, live or ended."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LISTING]})

    zone: str
    network: str
    reason: str
    text: str | None
    origin: Origin
    why: str
    listed_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None
    hits: Hits
    first_hit_at: datetime | None
    last_hit_at: datetime | None


class ListingsTold(Answer):
    """Some listings."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"listings": [_LISTING]}]})

    listings: list[HandListing]


class ReasonTold(Answer):
    """A reason, and the A records that it answers with."""

    name: str
    title: str
    values: list[str]


class ZoneTold(Answer):
    """A list."""

    apex: str
    kind: Kind
    reasons: list[ReasonTold]


class ZonesTold(Answer):
    """The lists, the default one first."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"zones": [_ZONE]}]})

    zones: list[ZoneTold]


@router.get("/zones", summary="Name the lists and their reasons", tags=["addresses"], responses=tells())
def zones(parts: UsedParts) -> ZonesTold:
    """What may be asked for, and what the answers mean (RFC 5782 §2.3)."""
    return ZonesTold(
        zones=[
            ZoneTold(
                apex=apex,
                kind=parts.zone_files[apex].kind,
                reasons=[
                    ReasonTold(name=each.name, title=each.title, values=[str(a) for a in each.addresses])
                    for each in parts.zone_files[apex].reasons.values()
                ],
            )
            for apex in parts.policies
        ]
    )


@router.get(
    "/listings",
    summary="Show the listings that are asked about most",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_zone=404),
)
def most_asked(
    parts: UsedParts,
    policy: AskedPolicy,
    _caller: Operating,
    limit: Annotated[int, Query(ge=1, le=500, description="How many.", examples=[100])] = 100,
) -> ListingsTold:
    """Those that are live, by `hits`; what DNS never answered for is not among them."""
    with parts.store.reading() as session:
        found = hits.most_asked(session, policy.apex, limit)
    return ListingsTold(listings=[_told(view, asked) for view, asked in found])


@router.post(
    "/listings",
    status_code=201,
    summary="List a network by hand",
    responses=tells(
        no_key=401,
        bad_key=401,
        role=403,
        exempt=403,
        no_such_zone=404,
        already_listed=409,
        bad_network=422,
        reserved_address=422,
        unknown_reason=422,
        network_too_wide=422,
        wrong_kind=422,
        expiry_past=422,
    ),
)
def list_by_hand(
    parts: UsedParts, policy: AskedPolicy, caller: Operating, body: ListingBody
) -> HandListing:
    """It is in DNS as soon as this answers, and stays until it expires or is ended."""
    _check(parts, policy, body.network, body.reason)
    act = Act(actor(caller), body.why, parts.now())
    new = NewListing(
        zone=policy.apex,
        network=body.network,
        reason=body.reason,
        text=body.text,
        expires_at=body.expires_at,
        allow_reserved=_may_be_reserved(parts, policy, body.network),
    )
    with parts.store.writing() as session:
        view = listings.start(session, new, act)
        asked = hits.of_subjects(session, view.zone, {view.subject})
    _log.info("listed", zone=view.zone, network=view.subject, reason=view.reason, by=act.actor, why=act.why)
    return _told(view, asked[view.subject])


@router.delete(
    "/listings/{reason}/{network:path}",
    summary="End a listing that was made by hand",
    responses=tells(
        no_key=401,
        bad_key=401,
        role=403,
        not_listed=404,
        no_such_zone=404,
        listed_by_test=409,
        bad_network=422,
    ),
)
def end(
    parts: UsedParts,
    policy: AskedPolicy,
    caller: Operating,
    reason: Annotated[str, Path(max_length=63, examples=["open-relay"])],
    network: Annotated[NetworkField, Path(description="Exactly as listed.", examples=["192.0.2.0/28"])],
    why: Annotated[Why, Query(description="Public, like the listing.", examples=["it is closed now"])],
) -> HandListing:
    """What a test listed is ended by withdrawing the host, so that its state fits."""
    act = Act(actor(caller), why, parts.now())
    with parts.store.writing() as session:
        view = listings.end(session, policy.apex, network, reason, act)
        if view.origin is Origin.PROBE:  # the transaction is undone
            raise Conflict(f"{network} was listed by a test: withdraw the host", code="listed-by-test")
        asked = hits.of_subjects(session, view.zone, {view.subject})
    _log.info("delisted", zone=view.zone, network=view.subject, reason=view.reason, by=act.actor, why=why)
    return _told(view, asked[view.subject])


def _check(parts: Parts, policy: ZonePolicy, network: Network, reason: str) -> None:
    """Raise BadInput where the zone file does not allow this listing."""
    zone_file = parts.zone_files[policy.apex]
    if reason not in zone_file.reasons:
        known = ", ".join(zone_file.reasons)
        raise BadInput(f"{policy.apex} has no reason {reason!a}, only: {known}", code="unknown-reason")
    limits = zone_file.limits
    widest = limits.widest_ipv4_prefix if isinstance(network, IPv4Network) else limits.widest_ipv6_prefix
    if network.prefixlen < widest:
        raise BadInput(
            f"{network} is wider than /{widest}, the widest that {policy.apex} allows",
            code="network-too-wide",
        )


def _may_be_reserved(parts: Parts, policy: ZonePolicy, network: Network) -> bool:
    """Whether *network* may be listed though it is reserved: a test network, or the zone file says so."""
    if parts.zone_files[policy.apex].limits.list_reserved:
        return True
    return any(
        network.version == allowed.version
        and network.prefixlen >= allowed.prefixlen
        and network.network_address in allowed
        for allowed in policy.allow_reserved
    )


def _told(view: ListingView, asked: HitsView) -> HandListing:
    return HandListing(
        zone=view.zone,
        network=view.subject,
        reason=view.reason,
        text=view.text,
        origin=view.origin,
        why=view.why,
        listed_at=view.listed_at,
        expires_at=view.expires_at,
        ended_at=view.ended_at,
        ended_why=view.ended_why,
        hits=asked.hits,
        first_hit_at=asked.first_hit_at,
        last_hit_at=asked.last_hit_at,
    )
