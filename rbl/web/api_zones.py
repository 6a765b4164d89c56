"""``/v1/zones``: the lists, and letting out a change of one that the guards hold back."""

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from rbl.errors import NotFound
from rbl.store import journal
from rbl.web.auth import Operating, act
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, Answer, Body, Note, Why, whole
from rbl.web.parts import UsedParts
from rbl.zone.zonefile import Kind

router = APIRouter(prefix="/v1/zones", tags=["operators"])

_ZONE: JsonDict = {
    "apex": "relays.example.org",
    "kind": "addresses",
    "reasons": [{"name": "open-relay", "title": "Open relay", "values": ["127.0.0.2"]}],
}


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


_Serial = Annotated[int, BeforeValidator(whole), Field(strict=True, ge=1, le=LARGEST_NUMBER)]


class ForceBody(Body):
    """What is let out, and why."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"serial": 1795503902, "why": "the spring cleaning"}]}
    )

    serial: _Serial | None = Field(
        None,
        description="Up to and with which serial of the journal; by default its last.",
    )
    why: Why
    note: Note | None = None


class ForceTold(Answer):
    """Up to which serial the list is let out."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"zone": "relays.example.org", "serial": 1795503902}]}
    )

    zone: str
    serial: int


_Apex = Annotated[
    str, Path(description="The list, by its apex.", max_length=255, examples=["relays.example.org"])
]


@router.get("", summary="Name the lists and their reasons", tags=["addresses"], responses=tells())
async def zones(parts: UsedParts) -> ZonesTold:
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


@router.post(
    "/{apex}/force",
    summary="Let out a change that is held back",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_zone=404, serial_to_come=422),
)
def force(parts: UsedParts, caller: Operating, apex: _Apex, body: ForceBody) -> ForceTold:
    """Every DNS server takes it over within a second; `/readyz` says what each holds back, and why.

    What comes after that serial is held against the guards again. Reserved space, and a list without
    its test points, are never let out.
    """
    zone = apex.rstrip(".").lower()
    if zone not in parts.policies:
        raise NotFound(f"there is no list {apex[:255]!a}", code="no-such-zone")
    with parts.store.writing() as session:
        doing = act(caller, body.why, parts.now(), body.note)
        serial = journal.force(session, zone, doing, body.serial)
    return ForceTold(zone=zone, serial=serial)
