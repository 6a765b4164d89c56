"""A host to which things happen, through the same functions as the program's other parts."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

from rbl import lifecycle
from rbl.lifecycle import Policy
from rbl.store import conclusions, decisions, keys, nominations, probes, receipts, retests, runs
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.keys import NewKey
from rbl.store.nominations import NewNomination
from rbl.store.probes import EnvelopeRow, Tried
from rbl.store.receipts import NewReceipt
from rbl.terms import (
    Act,
    Address,
    EnvelopeResult,
    Evidence,
    EvidenceFormat,
    Nominator,
    Role,
    State,
    TranscriptLine,
    Trust,
    Verdict,
)

ZONE = "relays.example.org"
SECOND_ZONE = "second.example.org"
NAMES_ZONE = "names.example.org"
START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
RELAY = ip_address("9.9.9.9")
MX = "mx.example.net"
TOKEN = "r7w2k5qh3mzt6yb4xn8cva"
SENDER_TOKEN = "s7w2k5qh3mzt6yb4xn8cva"


class Clock:
    """The program's time, which stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now

    def pass_by(self, length: timedelta) -> None:
        """Move on."""
        self.now += length


def spam(address: str = str(RELAY), at: datetime = START, body: str = "Buy now.", number: int = 1) -> bytes:
    """Return a spam as the nominator's MX took it from *address*."""
    return (
        f"Received: from relay.example (relay.example [{address}])\r\n"
        f"\tby {MX} with ESMTP; {at - timedelta(hours=1):%a, %d %b %Y %H:%M:%S} +0000\r\n"
        f"From: seller@spam.example\r\nSubject: buy\r\nMessage-ID: <{number}@spam.example>\r\n"
        f"\r\n{body}\r\n"
    ).encode()


DIALOGUE = (
    ("note", "connected to 9.9.9.9 port 25"),
    ("them", "220 relay.example ESMTP Sendmail 8.8.8; ready"),
    ("us", "EHLO relaytest.example.org"),
    ("them", "250 relay.example Hello"),
    ("us", "MAIL FROM:<someone@relaytest.example.org>"),
    ("them", "250 2.1.0 Sender ok"),
    ("us", "RCPT TO:<r000000000000000000000@relaytest.example.org>"),
    ("them", "550 5.7.1 Relaying denied"),
    ("us", "RSET"),
    ("them", "250 2.0.0 Reset state"),
    ("us", f"MAIL FROM:<{SENDER_TOKEN}@relay.example>"),
    ("them", "250 2.1.0 Sender ok"),
    ("us", f"RCPT TO:<{TOKEN}%relaytest.example.org@relay.example>"),
    ("them", "250 2.1.5 Recipient ok"),
    ("us", "DATA"),
    ("them", '354 Enter mail, end with "." on a line by itself'),
    ("note", "our message, 1042 octets"),
    ("them", "250 2.0.0 DAA09410 Message accepted for delivery"),
    ("us", "QUIT"),
    ("them", "221 2.0.0 relay.example closing connection"),
)  # fmt: skip


@dataclass
class World:
    """Lets things happen to one host, through the same functions as the program's other parts."""

    store: Store
    clock: Clock
    policy: ZonePolicy
    address: Address = RELAY
    nominated: int = field(default=0)

    def nominate(self, *, trust: Trust = Trust.TRUSTED, published: str = "Subject: buy\n\nBuy now.") -> int:
        """Hand in a new spam and return the nomination's number."""
        self.nominated += 1
        name = f"secret nominator {self.nominated}"
        with self.store.writing() as session:
            new_key = NewKey(name, Role.NOMINATOR, trust)
            _, key = keys.make(session, new_key, Act("x", "made", self.clock()))
            who = Nominator(key.id, name, Role.NOMINATOR, trust, frozenset(), ())
            proof = Evidence(
                self.address,
                self.clock() - timedelta(hours=1),
                EvidenceFormat.RFC822,
                f"spam {self.nominated}".encode(),
                f"<{self.nominated}@spam.example>",
                "relay.example",
                "from relay.example",
            )
            new = NewNomination(proof, published, f"{self.nominated:064}")
            view, _ = nominations.nominate(session, new, who, self.policy, self.clock())
        return view.id

    def claim(self) -> runs.Claim:
        """Take the test that is due."""
        with self.store.writing() as session:
            claim = runs.claim(
                session,
                "worker secret-host:77",
                self.clock(),
                timedelta(minutes=2),
                {self.policy.apex: self.policy},
                outbound=True,
            )
        assert claim is not None
        return claim

    def talk(self, claim: runs.Claim, lines: tuple[tuple[str, str], ...] = DIALOGUE) -> None:
        """Plan the envelopes of a test and talk to the host; it takes a message."""
        token, sender = f"{TOKEN}{claim.run_id}", f"{SENDER_TOKEN}{claim.run_id}"
        planned = [
            self._envelope("T01", f"r0{claim.run_id:020}", f"s0{claim.run_id:020}"),
            EnvelopeRow(
                0,
                "T15",
                token,
                sender,
                f"<{sender}@relay.example>",
                f"<{token}%relaytest.example.org@relay.example>",
                None,
                None,
                None,
            ),
        ]
        said = [
            TranscriptLine(self.clock(), side, text.replace(TOKEN, token).replace(SENDER_TOKEN, sender))
            for side, text in lines
        ]
        with self.store.writing() as session:
            probes.plan(session, claim, planned, "relay.example")
            probes.greeted(session, claim, "220 relay.example ESMTP Sendmail 8.8.8", "sendmail")
            tried = [
                Tried("T01", EnvelopeResult.REFUSED, "550 5.7.1 Relaying denied", None),
                Tried("T15", EnvelopeResult.QUEUED, "250 2.0.0 accepted", self.clock()),
            ]
            probes.record(session, claim, tried, said)

    def come_back(self, claim: runs.Claim) -> None:
        """Let the message that the host took reach the collector."""
        with self.store.writing() as session:
            receipts.keep(
                session,
                NewReceipt(
                    f"{TOKEN}{claim.run_id}",
                    EnvelopeResult.RELAYED,
                    self.address,
                    "relay.example",
                    "",
                    "",
                    b"our message",
                    self.clock(),
                ),
            )

    def conclude(self, claim: runs.Claim, verdict: Verdict, policy: ZonePolicy | None = None) -> State:
        """End a step of a test."""
        policy = policy or self.policy
        with self.store.writing() as session:
            facts = conclusions.facts(session, claim, verdict, self.clock(), more_envelopes=False)
            outcome = lifecycle.after_step(verdict, facts, policy.times, self.clock())
            return conclusions.end_step(session, claim, verdict, outcome, policy, self.clock())

    def test(self, verdict: Verdict, policy: ZonePolicy | None = None) -> State:
        """Make a whole test with *verdict*."""
        claim = self.begin()
        if verdict is Verdict.OPEN:
            self.come_back(claim)
        return self.conclude(claim, verdict, policy)

    def list_it(self) -> None:
        """Nominate the host and prove that it relays."""
        self.nominate()
        assert self.test(Verdict.OPEN) is State.LISTED

    def ask_retest(self) -> None:
        """Ask for a retest, as anybody may."""
        with self.store.writing() as session:
            retests.ask(session, self.policy, self.address, "public", self.clock())

    def decide(self, decision: Callable[..., object]) -> None:
        """Let an operator decide."""
        act = Act("key 5 (secret operator)", "a good reason", self.clock())
        with self.store.writing() as session:
            decision(session, self.policy, self.address, act)

    def bring_to(self, state: State) -> None:
        """Bring the host to *state* on the way that the program would take."""
        for step in self._ways()[state]:
            step()

    def _ways(self) -> dict[State, tuple[Callable[[], object], ...]]:
        """Return what has to happen for a host to come to each state."""
        times = Policy(approve_listings=True)
        approving = replace(self.policy, times=times)
        on_trial = partial(self.nominate, trust=Trust.TRIAL)
        retest = (self.list_it, self.ask_retest)
        return {
            State.NOMINATED: (on_trial,),
            State.REJECTED: (on_trial, partial(self.decide, decisions.reject)),
            State.QUEUED: (self.nominate,),
            State.TESTING: (self.nominate, self.begin),
            State.DEFERRED: (self.nominate, partial(self.test, Verdict.DEFERRED)),
            State.AWAITING_RETURN: (self.nominate, partial(self.test, Verdict.UNPROVEN)),
            State.CLOSED: (self.nominate, partial(self.test, Verdict.CLOSED)),
            State.REVIEW: (self.nominate, partial(self.test, Verdict.TESTER_BLOCKED)),
            State.PROVEN: (
                partial(self.nominate, trust=Trust.NORMAL),
                partial(self.test, Verdict.OPEN, approving),
            ),
            State.LISTED: (self.list_it,),
            State.RETEST_QUEUED: retest,
            State.RETESTING: (*retest, self.begin),
            State.RETEST_AWAITING: (*retest, partial(self.test, Verdict.UNPROVEN)),
            State.DELISTED: (*retest, partial(self.test, Verdict.CLOSED)),
            State.WITHDRAWN: (self.list_it, partial(self.decide, decisions.withdraw)),
        }

    def begin(self) -> runs.Claim:
        """Begin a test, and talk to the host."""
        claim = self.claim()
        self.talk(claim)
        return claim

    @staticmethod
    def _envelope(test: str, token: str, sender: str) -> EnvelopeRow:
        return EnvelopeRow(
            0, test, token, sender, "<someone@relaytest.example.org>", f"<{token}@relaytest.example.org>",
            None, None, None,
        )  # fmt: skip
