"""The nouns of a relay blocklist, as frozen facts and closed sets of words.

Nothing here decides or does I/O. Words follow RFC 5782 (lists), RFC 6471 (running one), RFC 5321
(mail) and RFC 1035 (DNS); what each value means for the host concerned stands beside it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class State(StrEnum):
    """Where a host stands in the life of a listing; ``lifecycle`` has the transitions."""

    NOMINATED = "nominated"  # evidence accepted, waiting for an operator's word (untrusted nominator)
    REJECTED = "rejected"  # an operator declined the nomination; nothing is tested
    QUEUED = "queued"  # a test is due
    TESTING = "testing"  # a worker holds the test
    DEFERRED = "deferred"  # the test said nothing either way; it is tried again later, or given up
    AWAITING_RETURN = "awaiting-return"  # the host took a message; we wait for it to come back
    CLOSED = "closed"  # tested and does not relay; not listed
    REVIEW = "review"  # a person must decide: the host blocks our tester
    PROVEN = "proven"  # our message came back; waits for an operator where policy says so
    LISTED = "listed"  # in DNS
    RETEST_QUEUED = "retest-queued"  # in DNS, a retest is due
    RETESTING = "retesting"  # in DNS, a worker holds the retest
    RETEST_AWAITING = "retest-awaiting"  # in DNS, took a message; we wait for it to come back
    DELISTED = "delisted"  # was listed and is closed now
    WITHDRAWN = "withdrawn"  # an operator took the listing back

    @property
    def in_dns(self) -> bool:
        """Whether a host in this state is listed in DNS."""
        return self in _IN_DNS


_IN_DNS = frozenset({State.LISTED, State.RETEST_QUEUED, State.RETESTING, State.RETEST_AWAITING})


class Verdict(StrEnum):
    """What a probe run says of a host. Only OPEN and CLOSED are conclusive."""

    OPEN = "open"  # at least one of our messages came back by way of this host
    MULTIHOP = "multihop"  # it came back, but another host delivered it
    UNCLEAR = "unclear"  # what came back may be our message or an answer to it: a person must look
    CLOSED = "closed"  # every envelope refused, or every message taken was bounced or lost for 72 h
    UNPROVEN = "unproven"  # messages were taken and may still come back
    DEFERRED = "deferred"  # temporary refusals (4xx): try the same again later
    UNREACHABLE = "unreachable"  # no connection, or no answer in time
    TESTER_BLOCKED = "tester-blocked"  # it refuses us, not the envelope: says nothing about relaying
    ERROR = "error"  # the fault is on our side


class EnvelopeResult(StrEnum):
    """What became of one envelope of a probe run."""

    REFUSED = "refused"  # 5xx at MAIL or RCPT
    REFUSED_DATA = "refused-data"  # 5xx at DATA or after the message
    DEFERRED = "deferred"  # 4xx anywhere
    ACCEPTED = "accepted"  # RCPT 2xx and no message sent: proves nothing
    QUEUED = "queued"  # the message was taken: proves nothing yet
    BOUNCED = "bounced"  # the message came back as a bounce: accepted, not relayed
    RELAYED = "relayed"  # the message came back: proof
    MULTIHOP = "multihop"  # the message came back from another host
    UNCLEAR = "unclear"  # the host sent something to the recipient: our message, or an answer to it?
    AUTH_REQUIRED = "auth-required"  # 530: only for users who sign in
    DROPPED = "dropped"  # the connection was closed in the middle
    TIMEOUT = "timeout"  # no answer in time: says nothing
    NOT_RUN = "not-run"  # not applicable, or the run ended before it


class Purpose(StrEnum):
    """Why a probe run exists; there is no other reason to test a host (RFC 6471 §3.6.1)."""

    NOMINATION = "nomination"  # somebody received spam through it
    RETEST = "retest"  # its owner, or anybody, asked
    PERIODIC = "periodic"  # a listing is old enough to be looked at again
    FOLLOW_UP = "follow-up"  # a delisted host is looked at once more after a day


class Origin(StrEnum):
    """Where a listing comes from."""

    PROBE = "probe"  # proven by our own test
    OPERATOR = "operator"  # listed by hand
    IMPORT = "import"  # read from another list's files


class Role(StrEnum):
    """What an API key may do; each role includes those before it."""

    NOMINATOR = "nominator"  # nominate, see own nominations
    OPERATOR = "operator"  # decide nominations, list, withdraw, exempt, read the audit
    ADMIN = "admin"  # make and revoke keys

    def includes(self, other: "Role") -> bool:
        """Whether a key with this role may do what *other* may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Trust(StrEnum):
    """How far a nominator's word goes."""

    TRUSTED = "trusted"  # tested at once, listed at once on proof
    NORMAL = "normal"  # tested at once, listed as the policy says
    TRIAL = "trial"  # an operator looks before anything is tested


class EvidenceFormat(StrEnum):
    """In what form the spam reached us."""

    RFC822 = "message/rfc822"  # the raw message
    ATTACHED = "attached"  # a message/rfc822 part of a forwarding message
    ARF = "arf"  # RFC 5965 feedback report


class Change(StrEnum):
    """What a journal entry makes of its network or name."""

    LISTED = "listed"  # answers with the reason's value from now on
    DELISTED = "delisted"  # this reason no longer applies
    EXEMPTED = "exempted"  # never answered as listed, whatever else covers it
    UNEXEMPTED = "unexempted"  # the exemption ended
    KEYED = "keyed"  # a customer's key is valid from now on
    UNKEYED = "unkeyed"  # the key was revoked


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes something, why, and when: part of every change, kept in the journal and the audit."""

    actor: str  # "key 3 (mx-admin)", a nominator's name, and our own, see ``actors``
    why: str  # public where the change is
    at: datetime
    key_id: int | None = None  # whose key did it; None: no key's
    note: str | None = None  # for operators only: kept in the audit and nowhere else


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal entry: what DNS shows for *subject* changed at *serial*.

    *subject* is a canonical network (``203.0.113.9/32``) or, in a list of names, a lower-case
    owner name without the apex (RFC 5782 §3); of a customer's key it is the digest
    (``customerkey``). *reason* names a reason of the zone file and is empty for exemptions and
    keys; *text* is the listing's own text, or None for the reason's.
    A reader needs nothing else: entries applied in order give the list. All entries of one commit have
    one serial. *chain* of the last of them says which history of the journal they are of (``Mark``).
    """

    zone: str
    serial: int
    change: Change
    subject: str
    reason: str
    text: str | None
    actor: str
    why: str
    at: datetime
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a list follows its journal, and which journal: two histories may give one serial out.

    *chain* is a hash over every entry up to *serial*; empty where it is not known, as in an index on
    disk that an earlier version wrote.
    """

    serial: int
    chain: str


@dataclass(frozen=True, slots=True)
class Listed:
    """One live entry of a zone as a whole snapshot delivers it: an Entry without its history.

    *exempt* is True for an exemption and *key* for a customer's key, whose *reason* is empty.
    """

    subject: str
    reason: str
    text: str | None
    exempt: bool
    key: bool = False


@dataclass(frozen=True, slots=True)
class Nominator:
    """Who hands in evidence, and which of the Received headers in it are to be believed.

    *mx_names* are the host names that the nominator's own MTAs write in the ``by`` clause, lower
    case; *internal_networks* are the networks of those MTAs, whose hops are skipped.
    """

    key_id: int
    name: str
    role: Role
    trust: Trust
    mx_names: frozenset[str]
    internal_networks: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a message proves: the address that handed it to the nominator's own MX.

    *message* is the spam alone (unwrapped from a report or a forward), *received_at* the date the
    nominator's MX wrote, *message_id* empty when the spam has none.
    """

    address: Address
    received_at: datetime
    format: EvidenceFormat
    message: bytes
    message_id: str
    helo: str
    hop: str  # the Received header that names the address, unfolded


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One line of an SMTP dialogue, without its CRLF, at most 1,000 octets, never a message body."""

    at: datetime
    side: str  # "us", "them", or "note" for what no line shows: connected, timed out, closed
    text: str
