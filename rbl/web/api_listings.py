"""``/v1/listings``: what is listed, and what operators list by hand.

Logs ``listed`` and ``delisted``.
"""

from datetime import datetime
from typing import Annotated, Self

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from rbl.errors import Conflict
from rbl.names import OwnerName
from rbl.store import hits, listings
from rbl.store.hits import HitsView
from rbl.store.hosts import ZonePolicy
from rbl.store.listings import ListingView, NewListing, Subject
from rbl.terms import Act, Origin
from rbl.web import subjects
from rbl.web.auth import Operating, actor
from rbl.web.documents import tells
from rbl.web.fields import (
    NETWORK_FORMAT,
    OWNER_NAME_FORMAT,
    SUBJECT_FORMAT,
    Answer,
    AskedPolicyOfAny,
    Body,
    Hits,
    ListingText,
    Why,
    one_of,
)
from rbl.web.parts import Parts, UsedParts
from rbl.web.paths import REASON, SUBJECT
from rbl.zone.zonefile import Kind

_log = structlog.get_logger()
router = APIRouter(prefix="/v1", tags=["operators"])

_AT = "2026-11-24T03:05:00Z"
_LISTING: JsonDict = {
    "zone": "relays.example.org",
    "network": "192.0.2.0/28",
    "name": None,
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
_LONGEST_SUBJECT = 300  # more than any name has, and less than a nuisance
_SubjectPath = Annotated[
    str,
    Path(
        max_length=_LONGEST_SUBJECT,
        description="A network; in a list of names a name, or `*.` and a name for all below it.",
        examples=["192.0.2.0/28"],
        json_schema_extra={"format": SUBJECT_FORMAT},
    ),
]
_NetworkText = Annotated[
    str, Field(max_length=_LONGEST_SUBJECT, json_schema_extra={"format": NETWORK_FORMAT})
]
_NameText = Annotated[
    str, Field(max_length=_LONGEST_SUBJECT, json_schema_extra={"format": OWNER_NAME_FORMAT})
]


class ListingBody(Body):
    """A network, or in a list of names a name, to be listed; *why* and *text* are public."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "network": "192.0.2.0/28",
                    "reason": "open-relay",
                    "text": "192.0.2.0/28 relays for anybody",
                    "expires_at": "2027-02-22T03:05:00Z",
                    "why": "the provider asked for it",
                },
                {"name": "*.spam.example", "reason": "spam-domain", "why": "it is in a million spams"},
            ],
            "oneOf": one_of(network=NETWORK_FORMAT, name=OWNER_NAME_FORMAT),
        }
    )

    network: _NetworkText | None = Field(None, description="An address, or an address and a prefix length.")
    name: _NameText | None = Field(
        None,
        description="In a list of names: a name alone, or `*.` and a name for all below it. A-labels only.",
    )
    reason: str = Field(max_length=63, description="A reason of the list: see /v1/zones.")
    text: ListingText | None = Field(None, description="The TXT text; by default the reason's.")
    expires_at: AwareDatetime | None = Field(None, description="RFC 6471 §2.2.1: listings are temporary.")
    why: Why

    @model_validator(mode="after")
    def _about_one_thing(self) -> Self:
        if (self.network is None) is (self.name is None):
            msg = "give a network, or in a list of names a name, and not both"
            raise ValueError(msg)
        return self


class HandListing(Answer):
    """A listing, live or ended; of *network* and *name* one is null."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LISTING]})

    zone: str
    network: str | None
    name: str | None
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


@router.get(
    "/listings",
    summary="Show the listings that are asked about most",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_zone=404),
)
def most_asked(
    parts: UsedParts,
    _caller: Operating,
    policy: AskedPolicyOfAny,
    limit: Annotated[int, Query(ge=1, le=500, description="How many.", examples=[100])] = 100,
) -> ListingsTold:
    """Those that are live, by `hits`; what DNS never answered for is not among them."""
    with parts.store.reading() as session:
        found = hits.most_asked(session, policy.apex, limit)
    return ListingsTold(listings=[_told(parts, view, asked) for view, asked in found])


@router.post(
    "/listings",
    status_code=201,
    summary="List a network or a name by hand",
    responses=tells(
        no_key=401,
        bad_key=401,
        role=403,
        exempt=403,
        no_such_zone=404,
        already_listed=409,
        bad_address=422,
        bad_network=422,
        bad_name=422,
        reserved_address=422,
        test_point=422,
        unknown_reason=422,
        network_too_wide=422,
        too_many_names=422,
        wrong_kind=422,
        expiry_past=422,
    ),
)
def list_by_hand(
    parts: UsedParts, caller: Operating, policy: AskedPolicyOfAny, body: ListingBody
) -> HandListing:
    """It is in DNS as soon as this answers, and stays until it expires or is ended."""
    subject = subjects.read_new(
        parts, policy.apex, network=body.network, name=body.name, reason=body.reason
    )
    act = Act(actor(caller), body.why, parts.now())
    new = NewListing(
        zone=policy.apex,
        subject=subject,
        reason=body.reason,
        text=body.text,
        expires_at=body.expires_at,
        allow_reserved=_may_be_reserved(parts, policy, subject),
    )
    with parts.store.writing() as session:
        view = listings.start(session, new, act)
        asked = hits.of_subjects(session, view.zone, {view.subject})
    _log.info("listed", zone=view.zone, subject=view.subject, reason=view.reason, by=act.actor, why=act.why)
    return _told(parts, view, asked[view.subject])


@router.get(
    f"/listings/{SUBJECT}",
    summary="Look a network or a name up",
    tags=["addresses"],
    responses=tells(no_such_zone=404, bad_address=422, bad_network=422, bad_name=422, wrong_kind=422),
)
def look_up(parts: UsedParts, policy: AskedPolicyOfAny, subject: _SubjectPath) -> ListingsTold:
    """The live listings that cover all of it, the most specific first, then its own that ended.

    What is exempt too may be listed here, and is not in DNS.
    """
    about = subjects.read(parts, policy.apex, subject)
    with parts.store.reading() as session:
        found = [
            *listings.covering(session, policy.apex, about),
            *listings.past(session, policy.apex, about),
        ]
        asked = hits.of_subjects(session, policy.apex, {view.subject for view in found})
    return ListingsTold(listings=[_told(parts, view, asked[view.subject]) for view in found])


@router.delete(
    f"/listings/{REASON}/{{subject:path}}",
    summary="End a listing that was made by hand",
    responses=tells(
        no_key=401,
        bad_key=401,
        role=403,
        not_listed=404,
        no_such_zone=404,
        method_not_allowed=405,
        listed_by_test=409,
        bad_address=422,
        bad_network=422,
        bad_name=422,
        wrong_kind=422,
    ),
)
def end(
    parts: UsedParts,
    caller: Operating,
    policy: AskedPolicyOfAny,
    reason: Annotated[str, Path(max_length=63, pattern=r"^[a-z0-9-]+$", examples=["open-relay"])],
    subject: _SubjectPath,
    why: Annotated[Why, Query(description="Public, like the listing.", examples=["it is closed now"])],
) -> HandListing:
    """What a test listed is ended by withdrawing the host, so that its state fits.

    A reason that could be part of an address is answered 405: that path is for looking up.
    """
    about = subjects.read(parts, policy.apex, subject)
    act = Act(actor(caller), why, parts.now())
    with parts.store.writing() as session:
        view = listings.end(session, policy.apex, about, reason, act)
        if view.origin is Origin.PROBE:  # the transaction is undone
            raise Conflict(f"{about} was listed by a test: withdraw the host", code="listed-by-test")
        asked = hits.of_subjects(session, view.zone, {view.subject})
    _log.info("delisted", zone=view.zone, subject=view.subject, reason=view.reason, by=act.actor, why=why)
    return _told(parts, view, asked[view.subject])


def _may_be_reserved(parts: Parts, policy: ZonePolicy, subject: Subject) -> bool:
    """Whether *subject* may be listed though it is reserved: a test network, or the zone file says so."""
    if isinstance(subject, OwnerName):
        return False
    if parts.zone_files[policy.apex].limits.list_reserved:
        return True
    return any(
        subject.version == allowed.version
        and subject.prefixlen >= allowed.prefixlen
        and subject.network_address in allowed
        for allowed in policy.allow_reserved
    )


def _told(parts: Parts, view: ListingView, asked: HitsView) -> HandListing:
    of_names = parts.zone_files[view.zone].kind is Kind.NAMES
    return HandListing(
        zone=view.zone,
        network=None if of_names else view.subject,
        name=view.subject if of_names else None,
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
