"""``/v1/customers``: the keys with which customers ask a list by DNS, for administrators.

A key itself is shown once, when it is made. ``customerkey`` says what it is.
"""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.errors import BadInput
from rbl.store import customers
from rbl.terms import Act
from rbl.web.auth import Administering, actor
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, PRINTABLE_FORMAT, Answer, Body, Why
from rbl.web.parts import UsedParts
from rbl.zone.access import Keys

router = APIRouter(prefix="/v1/customers", tags=["administrators"])

_CUSTOMER: JsonDict = {
    "id": 4,
    "zone": "relays.example.org",
    "name": "isp.example",
    "queries": 1204,
    "used_at": "2026-11-24T03:05:00Z",
    "created_at": "2026-11-23T09:30:00Z",
    "revoked_at": None,
}


class CustomerBody(Body):
    """A key to be made: whose it is, and for which list."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"zone": "relays.example.org", "name": "isp.example"}]}
    )

    zone: str | None = Field(
        None, max_length=255, description="The list, by its apex; by default the first one."
    )
    name: str = Field(
        min_length=1,
        max_length=100,
        description="One customer may have several keys.",
        json_schema_extra={"format": PRINTABLE_FORMAT},
    )
    why: Why = Field("made", description="For journal and audit.")


class CustomerTold(Answer):
    """A customer's key, without the key, and how much was asked with it on all servers."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CUSTOMER]})

    id: int
    zone: str
    name: str
    queries: int = Field(description="A minute old at most.")
    used_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class CustomerMade(CustomerTold):
    """A new key: *key* is shown this once and kept nowhere. It is the label before the list's apex."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_CUSTOMER | {"key": "aaaaaaaaaaaaaaaaaaaaaaaaaa"}]}
    )

    key: str


class CustomersTold(Answer):
    """All customers' keys, revoked ones too."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customers": [_CUSTOMER]}]})

    customers: list[CustomerTold]


@router.get("", summary="List the customers' keys", responses=tells(no_key=401, bad_key=401, role=403))
def list_customers(parts: UsedParts, _caller: Administering) -> CustomersTold:
    """Of all lists, in order of creation, revoked ones too."""
    with parts.store.reading() as session:
        found = customers.all_keys(session)
    return CustomersTold(customers=[CustomerTold.model_validate(each) for each in found])


@router.post(
    "",
    status_code=201,
    summary="Make a customer's key",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_zone=404, bad_name=422, no_keys=422),
)
def make(parts: UsedParts, caller: Administering, body: CustomerBody) -> CustomerMade:
    """The answer is the only place where the key is ever shown; it works within a second.

    `7.100.51.198.<key>.<zone>` asks for 198.51.100.7.
    """
    apex = parts.policy_of_any(body.zone).apex
    if parts.zone_files[apex].keys is Keys.UNUSED:
        raise BadInput(
            f"{apex} knows no keys: write [keys] and required = false, or true, into its zone file",
            code="no-keys",
        )
    act = Act(actor(caller), body.why, parts.now())
    with parts.store.writing() as session:
        label, view = customers.make(session, apex, body.name, act)
    return CustomerMade(**CustomerTold.model_validate(view).model_dump(), key=label)


@router.delete(
    "/{key_id}",
    summary="Revoke a customer's key",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_key=404),
)
def revoke(
    parts: UsedParts,
    caller: Administering,
    key_id: Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The key's number.", examples=[4])],
    why: Annotated[
        Why, Query(description="For journal and audit.", examples=["the contract ended"])
    ] = "revoked",
) -> CustomerTold:
    """Within a second every server refuses it; revoking it again changes nothing."""
    with parts.store.writing() as session:
        view = customers.revoke(session, key_id, Act(actor(caller), why, parts.now()))
    return CustomerTold.model_validate(view)
