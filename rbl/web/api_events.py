"""``/v1/addresses/{address}/events``: a test's progress as it happens, as server-sent events.

Events (HTML Living Standard §9.2): ``state`` with the state in words, ``line`` for each line of the
dialogue, and ``end`` when there is nothing more to wait for; after ``pause`` the reader may come
again later. An event's id lets a reader that lost its connection go on where it was.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from rbl.errors import RblError, Refused
from rbl.store import dialogues
from rbl.store.dialogues import Progress
from rbl.terms import Address, State, Verdict
from rbl.web import wording
from rbl.web.documents import tells
from rbl.web.fields import AddressPath, Answer, AskedPolicy
from rbl.web.parts import Parts, UsedParts
from rbl.web.places import Client, client_of
from rbl.web.views import visible

router = APIRouter(prefix="/v1/addresses", tags=["addresses"])

_POLL = timedelta(seconds=0.5)


@dataclass
class Streams:
    """The readers that watch a test now, and their limits; on the event loop only, so nothing is locked."""

    most: int = 100  # each asks the database twice a second: some per cent of a core in all
    most_of_client: int = 5  # a person with a few windows, or a few people behind one address
    # So long without news, and the test is waiting for its next try: the reader may come again later.
    longest_silence: timedelta = timedelta(minutes=10)
    open: Counter[Client] = field(default_factory=Counter)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self) -> None:
        """Let every reader go soon, and come again later: the program stops."""
        self.ended.set()

    def check(self, client: Client) -> None:
        """Do nothing when *client* (an IPv6 one is a /64) may open another stream.

        Raises:
            Refused: too many readers, of this client or in all.
        """
        if self.open.total() >= self.most:
            why = f"{self.most} readers are watching tests, and no more are served"
        elif self.open[client] >= self.most_of_client:
            why = f"your address, or network of IPv6, watches {self.most_of_client} tests already"
        else:
            return
        raise Refused(why, code="too-many-streams", retry_after=timedelta(minutes=1))


async def _hold(request: Request) -> AsyncIterator[Streams]:
    """Hold a place among the streams for the length of one request."""
    streams = request.app.state.streams
    assert isinstance(streams, Streams)
    client = client_of(request.client.host if request.client else "")
    streams.check(client)
    streams.open[client] += 1
    try:
        yield streams
    finally:
        streams.open -= Counter({client: 1})


class StateEvent(Answer):
    """Where the host stands, and in words what happens next."""

    state: State
    verdict: Verdict | None
    text: str
    next_step_at: datetime | None = Field(description="When the tester looks at it again.")


class LineEvent(Answer):
    """One line of the dialogue."""

    at: datetime
    side: Literal["us", "them", "note"]
    text: str


@router.get(
    "/{address}/events",
    summary="Watch a test as it happens",
    response_class=EventSourceResponse,
    responses={
        200: {
            "description": "Events named state, line, pause and end.",
            "content": {
                "text/event-stream": {
                    "example": 'event: line\ndata: {"at": "2026-11-24T03:06:00Z", "side": "them",'
                    ' "text": "250 2.1.5 Ok"}\nid: 7-12\n\n',
                }
            },
        },
        **tells(bad_address=422, no_such_zone=404, too_many_streams=429),
    },
)
async def watch(
    parts: UsedParts,
    policy: AskedPolicy,
    streams: Annotated[Streams, Depends(_hold)],
    address: AddressPath,
    last_event_id: Annotated[
        str | None,
        Header(description="What a reader that lost its connection saw last.", examples=["7-12"]),
    ] = None,
) -> AsyncIterator[ServerSentEvent]:
    """The stream ends with the verdict, or when nothing has happened for ten minutes."""
    try:
        async for event in _events(parts, policy.apex, address, _position(last_event_id), streams):
            yield event
    except RblError as fault:  # the answer has begun: it can only be told as an event
        yield ServerSentEvent(event="pause", data={"code": fault.code, "text": "come again in a minute"})


async def _events(
    parts: Parts, zone: str, address: Address, position: tuple[int, int], streams: Streams
) -> AsyncIterator[ServerSentEvent]:
    run_id, seen = position
    told: StateEvent | None = None
    changed_at = asyncio.get_running_loop().time()
    while True:
        now_at = asyncio.get_running_loop().time()
        progress = await asyncio.to_thread(_progress, parts, zone, address, run_id, seen)
        if progress is None:
            yield ServerSentEvent(event="end", data={"text": f"{address} has no story here"})
            return
        if progress.run_id is not None and progress.run_id != run_id:
            run_id, seen = progress.run_id, 0
        state = StateEvent(
            state=progress.state,
            verdict=progress.verdict,
            text=wording.progress(progress.state, progress.verdict, progress.why),
            next_step_at=None if progress.finished else progress.due_at,
        )
        if state != told or progress.lines:
            changed_at = now_at
        for seq, line in progress.lines:
            seen = seq
            event = LineEvent.model_validate({"at": line.at, "side": line.side, "text": visible(line.text)})
            yield ServerSentEvent(event="line", data=event, id=f"{run_id}-{seq}")
        if state != told:
            told = state
            yield ServerSentEvent(event="state", data=state)
        if progress.finished:
            yield ServerSentEvent(event="end", data={"text": state.text})
            return
        if now_at - changed_at > streams.longest_silence.total_seconds():
            yield ServerSentEvent(event="pause", data={"text": "nothing happens now: come again later"})
            return
        if await _is_set(streams.ended, _POLL):
            yield ServerSentEvent(event="pause", data={"text": "the server starts anew: come again"})
            return


async def _is_set(event: asyncio.Event, within: timedelta) -> bool:
    """Wait for *event*; False where *within* passes without it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await event.wait()
    return event.is_set()


def _progress(parts: Parts, zone: str, address: Address, run_id: int, seen: int) -> Progress | None:
    with parts.store.reading() as session:
        return dialogues.progress(session, zone, address, run_id=run_id, after=seen)


def _position(last_event_id: str | None) -> tuple[int, int]:
    """Return the run and the line that *last_event_id* names; (0, 0), before all, for anything else."""
    run, _, line = (last_event_id or "").partition("-")
    if all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (run, line)):
        return int(run), int(line)
    return 0, 0
