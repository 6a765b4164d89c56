"""``/v1/exemptions``: networks that are never listed, or never tested. Logs ``exempted``."""

from datetime import datetime
from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.store import exemptions
from rbl.web.auth import Operating, act
from rbl.web.documents import tells
from rbl.web.fields import Answer, Body, NetworkField, Note, NoteQuery, Why
from rbl.web.parts import UsedParts

_log = structlog.get_logger()
router = APIRouter(prefix="/v1/exemptions", tags=["operators"])

_EXEMPTION: JsonDict = {
    "network": "192.0.2.0/24",
    "never_list": True,
    "never_test": False,
    "actor": "key 1 (first-admin)",
    "why": "our own customers",
    "created_at": "2026-11-24T03:05:00Z",
}


class ExemptionBody(Body):
    """What is to be exempt, and from what; *why* is public."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "network": "192.0.2.0/24",
                    "never_list": True,
                    "never_test": False,
                    "why": "our own customers",
                }
            ]
        }
    )

    network: NetworkField
    never_list: bool = Field(default=False, description="DNS never says that it is listed.")
    never_test: bool = Field(default=False, description="The opt-out of its owner: no test, no robot.")
    why: Why
    note: Note | None = None


class ExemptionTold(Answer):
    """An exemption."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXEMPTION]})

    network: NetworkField
    never_list: bool
    never_test: bool
    actor: str
    why: str
    created_at: datetime


class ExemptionsTold(Answer):
    """All exemptions that hold now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"exemptions": [_EXEMPTION]}]})

    exemptions: list[ExemptionTold]


@router.get("", summary="List the exemptions", responses=tells(no_key=401, bad_key=401, role=403))
def list_exemptions(parts: UsedParts, _caller: Operating) -> ExemptionsTold:
    """In order of creation; they hold for every list."""
    with parts.store.reading() as session:
        found = exemptions.live(session)
    return ExemptionsTold(exemptions=[ExemptionTold.model_validate(each) for each in found])


@router.post(
    "",
    status_code=201,
    summary="Exempt a network",
    responses=tells(
        no_key=401, bad_key=401, role=403, already_exempt=409, empty_exemption=409, bad_network=422
    ),
)
def exempt(parts: UsedParts, caller: Operating, body: ExemptionBody) -> ExemptionTold:
    """It holds for all lists, in DNS as soon as this answers; what is listed in it shows no more."""
    doing = act(caller, body.why, parts.now(), body.note)
    with parts.store.writing() as session:
        view = exemptions.add(
            session, body.network, never_list=body.never_list, never_test=body.never_test, act=doing
        )
    _log.info("exempted", network=str(view.network), by=doing.actor, why=doing.why)
    return ExemptionTold.model_validate(view)


@router.delete(
    "/{network:path}",
    status_code=204,
    summary="End an exemption",
    responses=tells(no_key=401, bad_key=401, role=403, not_exempt=404, bad_network=422),
)
def end(
    parts: UsedParts,
    caller: Operating,
    network: Annotated[NetworkField, Path(description="Exactly as exempt.", examples=["192.0.2.0/24"])],
    why: Annotated[Why, Query(description="For the audit.", examples=["they moved away"])],
    note: NoteQuery = None,
) -> None:
    """What is listed in it shows in DNS again."""
    with parts.store.writing() as session:
        exemptions.end(session, network, act(caller, why, parts.now(), note))
