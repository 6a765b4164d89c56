"""What the API tells of an address: the public story, as JSON."""

from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.store import dialogues, stories
from rbl.store.stories import Story
from rbl.terms import EnvelopeResult, Origin, Purpose, State, Verdict
from rbl.web import wording
from rbl.web.fields import AddressField, Answer, Hits, NetworkField
from rbl.web.parts import Parts

_AT = "2026-11-24T03:06:00Z"
_ENVELOPE: JsonDict = {
    "test_id": "T15",
    "title": "percent sign, at the host's name",
    "mail_from": "<s1@relay.example>",
    "rcpt_to": "<r1%relaytest.example.org@relay.example>",
    "result": "relayed",
    "reply": "250 2.1.5 Ok",
}
_RUN: JsonDict = {
    "id": 7,
    "purpose": "nomination",
    "verdict": "open",
    "why": "our test message came back: the host relays for strangers",
    "hostname": "relay.example",
    "platform": "sendmail",
    "created_at": _AT,
    "due_at": _AT,
    "finished_at": _AT,
    "envelopes": [_ENVELOPE],
}
_LINE: JsonDict = {"at": _AT, "side": "them", "text": "250 2.1.5 Ok"}
_STORY: JsonDict = {
    "zone": "relays.example.org",
    "address": "192.0.2.1",
    "listed": True,
    "standing": "listed",
    "state": "listed",
    "text": "It is listed because one of our test messages came back through it.",
    "testing_paused": False,
    "offences": 1,
    "retest_allowed_at": None,
    "listings": [
        {
            "network": "192.0.2.1/32",
            "reason": "open-relay",
            "text": None,
            "origin": "probe",
            "why": "our test message came back: the host relays for strangers",
            "listed_at": _AT,
            "expires_at": None,
            "ended_at": None,
            "ended_why": None,
            "hits": 1204,
            "first_hit_at": _AT,
            "last_hit_at": _AT,
        }
    ],
    "past": [],
    "exemptions": [],
    "spams": [{"id": 17, "received_at": _AT, "nominated_at": _AT, "published": "Subject: buy\n\nBuy now."}],
    "runs": [_RUN],
    "proof": {"run": _RUN, "envelope": _ENVELOPE, "returned_at": _AT, "lines": [_LINE]},
    "history": [
        {
            "at": _AT,
            "who": "our tester",
            "action": "list",
            "was": "proven",
            "became": "listed",
            "why": "our test message came back: the host relays for strangers",
        }
    ],
    "url": "https://relays.example.org/a/192.0.2.1",
}


class ListingTold(Answer):
    """A listing that covers the address; *ended_at* null: live."""

    network: NetworkField
    reason: str
    text: str | None = Field(description="Its own TXT text; null: the reason's.")
    origin: Origin
    why: str
    listed_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None
    hits: Hits
    first_hit_at: datetime | None
    last_hit_at: datetime | None


class ExemptionTold(Answer):
    """An exemption that covers the address."""

    network: NetworkField
    never_list: bool
    never_test: bool
    why: str
    created_at: datetime


class SpamTold(Answer):
    """A spam that came through the host, redacted; *published* null until the host is listed."""

    id: int
    received_at: datetime
    nominated_at: datetime
    published: str | None


class EnvelopeTold(Answer):
    """One envelope of a test."""

    test_id: str
    title: str = ""
    mail_from: str
    rcpt_to: str
    result: EnvelopeResult | None
    reply: str | None


class RunTold(Answer):
    """One test; its envelopes are public once the host was listed."""

    id: int
    purpose: Purpose
    verdict: Verdict | None
    why: str | None
    hostname: str | None = Field(description="The name that the server gave itself.")
    platform: str | None = Field(description="The mail server that it seems to be.")
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    envelopes: list[EnvelopeTold]


class LineTold(Answer):
    """One line of an SMTP dialogue: ours, theirs, or a note of what no line shows."""

    at: datetime
    side: Literal["us", "them", "note"]
    text: str


class ProofTold(Answer):
    """What the listing rests on."""

    run: RunTold
    envelope: EnvelopeTold
    returned_at: datetime | None = Field(description="When our message came back.")
    lines: list[LineTold]


class DeedTold(Answer):
    """One act of the public history."""

    at: datetime
    who: str
    action: str
    was: str | None
    became: str | None
    why: str


class StoryTold(Answer):
    """All that the public is told about an address."""

    model_config = ConfigDict(json_schema_extra={"examples": [_STORY]})

    zone: str
    address: AddressField
    listed: bool = Field(description="What DNS answers.")
    standing: str
    state: State | None = Field(description="Of the host; null: it was never nominated.")
    text: str
    testing_paused: bool = Field(description="All tests are stopped now, or were never set up.")
    offences: int = Field(description="How often a test led to a listing.")
    retest_allowed_at: datetime | None = Field(
        description="When the next retest begins that is asked for, at the latest; null: at once."
    )
    listings: list[ListingTold]
    past: list[ListingTold]
    exemptions: list[ExemptionTold]
    spams: list[SpamTold]
    runs: list[RunTold]
    proof: ProofTold | None
    history: list[DeedTold]
    url: str = Field(description="The page for people.")


class TranscriptTold(Answer):
    """The dialogue of one test."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"lines": [_LINE]}]})

    lines: list[LineTold]


def of_story(parts: Parts, story: Story) -> StoryTold:
    """Return *story* as the API tells it."""
    host, zone = story.host, parts.zone_files[story.zone]
    return StoryTold(
        zone=story.zone,
        address=story.address,
        listed=story.listed or wording.test_point(zone, story.address) is True,
        standing=wording.standing(story, zone),
        state=None if host is None else host.state,
        text="It was never nominated." if host is None else wording.state(host.state),
        testing_paused=story.testing_paused or not parts.settings.probe.enabled,
        offences=0 if host is None else host.offences,
        retest_allowed_at=None if host is None else host.retest_allowed_at,
        listings=[ListingTold.model_validate(each) for each in story.listings],
        past=[ListingTold.model_validate(each) for each in story.past],
        exemptions=[ExemptionTold.model_validate(each) for each in story.exemptions],
        spams=[SpamTold.model_validate(each) for each in story.spams],
        runs=[_run(parts, each) for each in story.runs],
        proof=None if story.proof is None else _proof(parts, story.proof),
        history=[DeedTold.model_validate(each) for each in story.history],
        url=f"{parts.settings.web.public_url}/a/{story.address}",
    )


def _envelope(parts: Parts, envelope: dialogues.PublicEnvelope) -> EnvelopeTold:
    told = EnvelopeTold.model_validate(envelope)
    return told.model_copy(update={"title": parts.form_title(envelope.test_id)})


def _run(parts: Parts, run: stories.Run) -> RunTold:
    told = RunTold.model_validate(run)
    return told.model_copy(update={"envelopes": [_envelope(parts, each) for each in run.envelopes]})


def _proof(parts: Parts, proof: stories.Proof) -> ProofTold:
    return ProofTold(
        run=_run(parts, proof.run),
        envelope=_envelope(parts, proof.envelope),
        returned_at=proof.returned_at,
        lines=[LineTold.model_validate(line) for line in proof.lines],
    )
