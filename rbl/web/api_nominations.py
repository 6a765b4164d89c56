"""``/v1/nominations``: spam comes in as evidence, and the host that it proves is tested.

Logs ``nominated``, and ``quota_alarm`` when a key comes to the share of its quota that the settings name,
and to the whole.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Base64Bytes, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect

from rbl.errors import BadInput, NotFound
from rbl.quotas import Alarm, of_settings
from rbl.store import nominations
from rbl.store.nominations import NewNomination, NominationView
from rbl.terms import Address, Role, State
from rbl.web.auth import Nominating, Operating, UsedWatch, act
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, AddressField, Answer, AskedPolicy, Body, one_of
from rbl.web.parts import UsedParts

_log = structlog.get_logger()
router = APIRouter(prefix="/v1/nominations", tags=["nominations"])

_SPAM = (
    "Received: from relay.example (relay.example [192.0.2.1])\r\n"
    "\tby mx.example.net with ESMTP; Tue, 24 Nov 2026 03:00:00 +0000\r\n"
    "From: seller@spam.example\r\nTo: someone@example.net\r\nSubject: buy\r\n"
    "Message-ID: <1@spam.example>\r\n\r\nBuy now.\r\n"
)


class NominationBody(Body):
    """A nomination as JSON; exactly one of *message* and *message_base64* is given."""

    model_config = ConfigDict(json_schema_extra={"oneOf": one_of(message=None, message_base64="base64")})

    message: str | None = Field(None, description="The spam's source, header and body.")
    message_base64: Base64Bytes | None = Field(None, description="The same, where it is not UTF-8.")
    address: AddressField | None = Field(
        None, description="The nominee, to be checked against the message."
    )

    @model_validator(mode="after")
    def _one_message(self) -> "NominationBody":
        if (self.message is None) == (self.message_base64 is None):
            msg = "give either message or message_base64"
            raise ValueError(msg)
        return self

    @property
    def octets(self) -> bytes:
        """The spam's source."""
        return self.message.encode() if self.message is not None else self.message_base64 or b""


class NominationAnswer(Answer):
    """A nomination, and where its host stands now."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": 17,
                    "zone": "relays.example.org",
                    "address": "192.0.2.1",
                    "state": "queued",
                    "received_at": "2026-11-24T03:00:00Z",
                    "created_at": "2026-11-24T03:05:00Z",
                    "helo": "relay.example",
                    "url": "https://relays.example.org/a/192.0.2.1",
                }
            ]
        }
    )

    id: int
    zone: str
    address: AddressField
    state: State = Field(description="Of the host, now.")
    received_at: datetime = Field(description="When the nominator's MX took the spam.")
    created_at: datetime
    helo: str
    url: str = Field(description="The public page of the address.")


@dataclass(frozen=True, slots=True)
class Submitted:
    """What a nominator sent: the message, the address where one was named, the digest of it all."""

    message: bytes
    claimed: Address | None
    sha256: str


async def submitted(
    request: Request,
    address: Annotated[
        AddressField | None,
        Query(description="The nominee, to be checked against the message.", examples=["192.0.2.1"]),
    ] = None,
) -> Submitted:
    """Return what was sent, from either form of the body.

    Raises:
        BadInput: neither form, or two different addresses.
    """
    try:
        body = await request.body()
    except ClientDisconnect:
        raise BadInput("the connection ended before the whole body had come", code="bad-request") from None
    kind = Message()
    kind["Content-Type"] = request.headers.get("content-type", "")
    match kind.get_content_type() if request.headers.get("content-type") else "":
        case "message/rfc822":
            message, claimed = body, address
        case "application/json":
            read = _read_json(body)
            message, claimed = read.octets, read.address or address
        case other:
            raise BadInput(
                f"nominate with Content-Type message/rfc822 or application/json, not {other[:100]!a}",
                code="unsupported-media-type",
            )
    if address is not None and claimed != address:
        raise BadInput(f"the query says {address} and the body {claimed}", code="wrong-address")
    digest = hashlib.sha256(message + b"\0" + str(claimed or "").encode()).hexdigest()
    return Submitted(message, claimed, digest)


_FORMS: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "message/rfc822": {
                "schema": {"type": "string", "format": "binary", "description": "The raw message."},
                "examples": {"spam": {"value": _SPAM}},
            },
            "application/json": {
                "schema": NominationBody.model_json_schema(),
                "examples": {"spam": {"value": {"message": _SPAM, "address": "192.0.2.1"}}},
            },
        },
    }
}


@router.post(
    "",
    status_code=201,
    summary="Nominate the host that handed you a spam",
    openapi_extra=_FORMS,
    responses={
        200: {"model": NominationAnswer, "description": "It was nominated with this spam before."},
        **tells(
            bad_json=400,
            no_key=401,
            bad_key=401,
            role=403,
            exempt=403,
            do_not_test=403,
            suspended=403,
            no_such_zone=404,
            idempotency_mismatch=409,
            concurrent_change=409,
            too_large=413,
            unsupported_media_type=415,
            no_received=422,
            not_your_mx=422,
            wrong_address=422,
            reserved_address=422,
            too_old=422,
            bad_idempotency_key=422,
            quota=429,
        ),
    },
)
def nominate(
    parts: UsedParts,
    caller: Nominating,
    policy: AskedPolicy,
    sent: Annotated[Submitted, Depends(submitted)],
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(
            description="The same key and message again give the first nomination.",
            examples=["8e03978e"],
            json_schema_extra={"minLength": 1, "maxLength": 255},
        ),
    ] = None,
) -> NominationAnswer:
    """The address comes from the Received field that your own MX wrote on top.

    The evidence is kept, and a test is due where the host has none under way. The same spam again answers
    200 with your own first nomination; what others handed in makes no difference.
    """
    limit = parts.settings.lists.max_evidence_octets
    if len(sent.message) > limit:
        raise BadInput(
            f"the message has {len(sent.message)} octets, and at most {limit} are taken", code="too-large"
        )
    now = parts.now()
    evidence = parts.read_evidence(sent.message, caller, now)
    new = NewNomination(
        evidence=evidence,
        published=parts.published(evidence.message, caller.mx_names),
        request_sha256=sent.sha256,
        claimed=sent.claimed,
        idempotency_key=idempotency_key,
    )
    alarms: list[Alarm] = []
    with parts.store.writing() as session:
        view, is_new = nominations.nominate(
            session, new, caller, policy, now, quotas=of_settings(parts.settings.quotas), tell=alarms.append
        )
    for alarm in alarms:
        _log.warning(
            "quota_alarm", key=alarm.key, of=alarm.measure.value, used=alarm.used, quota=alarm.quota
        )
    if is_new:
        _log.info("nominated", zone=view.zone, address=str(view.address), nominator=caller.name, id=view.id)
    else:
        response.status_code = 200
    response.headers["Location"] = f"/v1/nominations/{view.id}"
    return _answer(parts, view)


_Id = Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The nomination's number.", examples=[17])]


@router.get(
    "/{nomination_id}",
    summary="Look at one of your nominations",
    responses=tells(no_key=401, bad_key=401, no_such_nomination=404),
)
def look_at(parts: UsedParts, caller: Nominating, nomination_id: _Id) -> NominationAnswer:
    """Nominators see their own, operators all."""
    with parts.store.reading() as session:
        view = nominations.of_id(session, nomination_id)
    if view.nominator != caller.name and not caller.role.includes(Role.OPERATOR):
        raise NotFound(f"there is no nomination {nomination_id} of yours", code="no-such-nomination")
    return _answer(parts, view)


@router.get(
    "/{nomination_id}/message",
    summary="Get the whole spam of a nomination",
    response_class=Response,
    responses={
        200: {
            "description": "The source, as it was handed in. It names its recipients: not for publication.",
            "content": {"message/rfc822": {"schema": {"type": "string"}, "example": _SPAM}},
        },
        **tells(no_key=401, bad_key=401, role=403, no_such_nomination=404, evidence_retired=410),
    },
)
def message_of(parts: UsedParts, watch: UsedWatch, caller: Operating, nomination_id: _Id) -> Response:
    """For operators: the evidence as it is kept. Each reading stands in the audit."""
    with parts.store.writing() as session:
        doing = act(caller, "the whole message was read", parts.now())
        message = nominations.evidence_of(session, nomination_id, doing)
    watch.evidence_read(nomination_id, caller)
    return Response(
        message,
        media_type="message/rfc822",
        headers={"Content-Disposition": f'attachment; filename="nomination-{nomination_id}.eml"'},
    )


def _read_json(body: bytes) -> NominationBody:
    try:
        return NominationBody.model_validate_json(body)
    except ValidationError as fault:
        raise RequestValidationError(
            [{**error, "loc": ("body", *error["loc"])} for error in fault.errors()]
        ) from None


def _answer(parts: UsedParts, view: NominationView) -> NominationAnswer:
    url = f"{parts.settings.web.public_url}/a/{view.address}"
    return NominationAnswer(
        id=view.id,
        zone=view.zone,
        address=view.address,
        state=view.state,
        received_at=view.received_at.astimezone(UTC),
        created_at=view.created_at,
        helo=view.helo,
        url=url,
    )
