"""``/v1/addresses/{address}``: what everybody may know and ask: the story, the dialogue, a retest."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import ConfigDict, Field

from rbl.store import dialogues, retests, stories
from rbl.terms import State
from rbl.web import told
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, AddressField, AddressPath, Answer, AskedPolicy
from rbl.web.parts import UsedParts
from rbl.web.requester import Requester

router = APIRouter(prefix="/v1/addresses", tags=["addresses"])


class RetestTold(Answer):
    """A retest that is due or under way."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "address": "192.0.2.1",
                    "run_id": 8,
                    "state": "retest-queued",
                    "is_new": True,
                    "begins_at": "2026-11-24T03:05:00Z",
                    "events": "/v1/addresses/192.0.2.1/events",
                }
            ]
        }
    )

    address: AddressField
    run_id: int
    state: State
    is_new: bool = Field(description="False: it was asked for before.")
    begins_at: datetime = Field(
        description="When our tester looks at the host: now, or at its next turn, within the interval that"
        " the policy page names, however many ask."
    )
    events: str = Field(description="Where to watch it.")


@router.get("/{address}", summary="Look an address up", responses=tells(bad_address=422, no_such_zone=404))
def look_up(parts: UsedParts, policy: AskedPolicy, address: AddressPath) -> told.StoryTold:
    """Whether it is listed, why, what proves it, and all that was done about it.

    An address that nobody nominated has a story too: state null, and everything else empty.
    """
    with parts.store.reading() as session:
        story = stories.story(session, policy.apex, address)
    return told.of_story(parts, story)


@router.post(
    "/{address}/retests",
    status_code=202,
    summary="Ask for a retest of a listed address",
    responses={
        200: {"model": RetestTold, "description": "A retest was asked for before and is not over."},
        **tells(
            bad_address=422,
            no_such_zone=404,
            unknown_host=404,
            not_listed=409,
            listed_by_hand=409,
            concurrent_change=409,
            do_not_test=403,
        ),
    },
)
def ask_retest(
    parts: UsedParts, policy: AskedPolicy, address: AddressPath, requester: Requester, response: Response
) -> RetestTold:
    """Anybody may ask, without a key: it begins at once, or in its turn after the last one.

    Whoever asked before, and how often, changes nothing about that turn.
    """
    with parts.store.writing() as session:
        retest = retests.ask(session, policy, address, "public", parts.now(), network=requester)
    if not retest.is_new:
        response.status_code = 200
    return RetestTold(
        address=retest.address,
        run_id=retest.run_id,
        state=retest.state,
        is_new=retest.is_new,
        begins_at=retest.begins_at,
        events=f"/v1/addresses/{address}/events",
    )


@router.get(
    "/{address}/runs/{run_id}/transcript",
    summary="Read the dialogue of a test",
    responses=tells(bad_address=422, no_such_zone=404, no_such_run=404),
)
def transcript(
    parts: UsedParts,
    policy: AskedPolicy,
    address: AddressPath,
    run_id: Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The test's number.", examples=[7])],
) -> told.TranscriptTold:
    """Every line that was said, once the address was listed; never a message."""
    with parts.store.reading() as session:
        lines = dialogues.transcript(session, policy.apex, address, run_id)
    return told.TranscriptTold(lines=[told.LineTold.model_validate(line) for line in lines])
