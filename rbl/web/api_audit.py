"""``/v1/audit``: who did what, when and why, with names; for operators (RFC 6471 §2.1.2)."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.store import audit
from rbl.web.auth import Operating
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, Answer
from rbl.web.parts import UsedParts

router = APIRouter(prefix="/v1/audit", tags=["operators"])

_DEED: JsonDict = {
    "id": 41,
    "at": "2026-11-24T03:05:00Z",
    "actor": "key 1 (first-admin)",
    "action": "withdraw",
    "subject": "relays.example.org 192.0.2.1",
    "was": "listed",
    "became": "withdrawn",
    "why": "listed by mistake",
}


class Deed(Answer):
    """One act; *was* and *became* are states where a state changed."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    was: str | None
    became: str | None
    why: str


class AuditTold(Answer):
    """Acts, newest first; *before_id* for the next page, null at the end."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"deeds": [_DEED], "before_id": 41}]})

    deeds: list[Deed]
    before_id: int | None = Field(description="Ask with this for older ones.")


@router.get("", summary="Read the audit", responses=tells(no_key=401, bad_key=401, role=403))
def read(
    parts: UsedParts,
    _caller: Operating,
    subject: Annotated[
        str | None,
        Query(
            max_length=300,
            description="Of one subject: a list and an address, a network, a key's name, a switch.",
            examples=["relays.example.org 192.0.2.1"],
        ),
    ] = None,
    before_id: Annotated[
        int | None, Query(ge=1, le=LARGEST_NUMBER, description="From the page before.", examples=[41])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, examples=[100])] = 100,
) -> AuditTold:
    """Append-only: nothing in it is ever changed."""
    with parts.store.reading() as session:
        found = audit.deeds(session, subject=subject, before_id=before_id, limit=limit)
    return AuditTold(
        deeds=[Deed.model_validate(each) for each in found],
        before_id=found[-1].id if len(found) == limit else None,
    )
