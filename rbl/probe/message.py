"""The message that a test sends: short, plain, saying what it is, why it came and whom to ask.

Its look is drawn by lot, so that no filter made for one of our messages fits all: what varies is in
``phrases``. Pure. The signed marks in it are ``rbl.testmessage``'s. RFC 5322 (form),
RFC 3834 (Auto-Submitted), RFC 5321 §4.5.3.1.6 (lines).
"""

import hmac
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from random import Random

from rbl.probe import phrases
from rbl.probe.plan import Envelope, Identity
from rbl.terms import Address
from rbl.testmessage import MARK_FIELD, OPENINGS, Marker, Place, address_literal, code, mark

# RFC 5321 §4.5.3.1.6: 1,000 octets with CRLF. What an operator sets is cut far below.
_MAX_SETTING_OCTETS = 200
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a message is sent, and whom its reader may turn to.

    *run* and *attempt* make the Message-ID: the same envelope sent again in another attempt is
    another message, sent again in the same attempt by a worker that died it is the same.
    """

    run: str
    attempt: int
    target: Address
    why: str  # "spam received through it was reported on 2 May 2026"
    lookup_url: str
    opt_out_url: str
    contact: str


def compose(
    envelope: Envelope, identity: Identity, occasion: Occasion, *, key: bytes, now: datetime
) -> bytes:
    """Return the message of *envelope*: ASCII, CRLF, under 4 KiB, no line that begins with a dot.

    *key* signs the marks by which the collector knows it again; *now* is its date. How it looks is drawn
    anew for each recipient and attempt, and nobody without the key can foretell it.
    """
    seed = hmac.digest(key, f"look {envelope.recipient_token} {occasion.attempt}".encode(), "sha256")
    dice = Random(seed)  # noqa: S311 — no secret hangs on it, and the same seed gives the same look
    values = {
        "run": occasion.run,
        "test": envelope.test,
        "literal": address_literal(occasion.target),
        "code": _spelt(code(Place.HEADER, envelope.recipient_token, key), dice),
    }
    tells_envelope = dice.random() < 0.5  # in the header, else in the text
    fields = _fields(envelope, identity, dice)
    if tells_envelope:
        names = dice.choice(phrases.ENVELOPE_FIELDS)
        fields += zip(names, (envelope.mail_from, envelope.rcpt_to), strict=True)
    fields += _marked(Marker(occasion.run, envelope.test, occasion.target), values, key, dice)
    fields += [
        ("Subject", dice.choice(phrases.SUBJECTS).format_map(values)),
        ("Date", format_datetime(now)),
        ("Message-ID", message_id(envelope, identity, occasion, key=key)),
    ]
    dice.shuffle(fields)
    header = [f"{name}: {value}" for name, value in fields]
    body = _body(envelope, identity, occasion, key, dice, tells_envelope=not tells_envelope)
    return ("\r\n".join([*header, "", *body]) + "\r\n").encode("ascii")


def message_id(envelope: Envelope, identity: Identity, occasion: Occasion, *, key: bytes) -> str:
    """Return the Message-ID of *envelope*: the same for the same attempt, and signed."""
    token = envelope.recipient_token
    signed = code(Place.MESSAGE_ID, token, key)
    seed = hmac.digest(key, f"message-id {token} {occasion.attempt}".encode(), "sha256")
    dice = Random(seed)  # noqa: S311 — as above
    other = f"{dice.getrandbits(dice.choice((16, 32, 48, 64))):x}"
    parts = dice.choice(((signed, other), (other, signed), (str(occasion.attempt), other, signed)))
    host = dice.choice((identity.ehlo_name, envelope.sender_domain or identity.sender_domain))
    return f"<{dice.choice('.-_').join(parts)}@{host}>"


def _fields(envelope: Envelope, identity: Identity, dice: Random) -> list[tuple[str, str]]:
    """Return the fields that say whose message it is, for whom, and of what kind."""
    name = dice.choice(phrases.NAMES)
    author = f"{envelope.sender_token}@{envelope.sender_domain or identity.sender_domain}"
    recipient = f"{envelope.recipient_token}@{envelope.recipient_domain or identity.recipient_domain}"
    fields = [
        ("From", f"{name} <{author}>".lstrip()),
        ("To", dice.choice((recipient, f"<{recipient}>"))),
        ("Auto-Submitted", "auto-generated"),  # RFC 3834 §5: no program is to answer
    ]
    precedence, charset = dice.choice(phrases.PRECEDENCES), dice.choice(phrases.CHARSETS)
    if precedence:
        fields.append(("Precedence", precedence))
    if charset:
        encoding = ("Content-Transfer-Encoding", "7bit")
        fields += [("MIME-Version", "1.0"), ("Content-Type", f"text/plain; charset={charset}"), encoding]
    return fields


def _marked(marker: Marker, values: Mapping[str, str], key: bytes, dice: Random) -> list[tuple[str, str]]:
    """Return the field with a mark in the header, where there is one: the other marks are enough."""
    kind = dice.randrange(4)
    if kind == 0:
        return []
    if kind == 1:
        return [(MARK_FIELD, mark(marker, key))]
    return [(dice.choice(phrases.CODE_FIELDS), dice.choice(phrases.CODE_VALUES).format_map(values))]


def _body(
    envelope: Envelope,
    identity: Identity,
    occasion: Occasion,
    key: bytes,
    dice: Random,
    *,
    tells_envelope: bool,
) -> list[str]:
    """Return the lines of the text: the marked one first, the others in any order."""
    facts = {
        "literal": address_literal(occasion.target),
        "form": f"{envelope.test}, {envelope.title}",
        "tester": identity.ehlo_name,
        "why": _plain(occasion.why),
    }
    width = dice.randrange(66, 79)
    lines = [f"{dice.choice(phrases.FACT_NAMES[fact])}: {value}" for fact, value in facts.items()]
    if tells_envelope:
        lines += [f"MAIL FROM:{envelope.mail_from}", f"RCPT TO:{envelope.rcpt_to}"]
    dice.shuffle(lines)
    links = [
        _linked(dice.choice(phrases.LOOK_UPS), occasion.lookup_url, width),
        _linked(dice.choice(phrases.OPT_OUTS), occasion.opt_out_url, width),
        _linked(dice.choice(phrases.CONTACTS), occasion.contact, width),
    ]
    dice.shuffle(links)
    explanation = dice.choice(phrases.EXPLANATIONS)
    blocks = [
        lines,
        *links,
        _wrapped(explanation, width),
        _wrapped(dice.choice(phrases.REASSURANCES), width),
    ]
    dice.shuffle(blocks)
    signed = _spelt(code(Place.BODY, envelope.recipient_token, key), dice)
    first = f"{dice.choice(OPENINGS)} {signed}{dice.choice(('', '.'))}"
    text = [first, *(line for block in blocks for line in ("", *block))]
    return [f" {line}" if line.startswith(".") else line for line in text]


def _spelt(letters: str, dice: Random) -> str:
    """Return *letters* in one piece, or in groups: its readers look at letters and digits alone."""
    size = dice.choice((4, 5, 6, 8, len(letters)))
    return dice.choice("-.").join(letters[at : at + size] for at in range(0, len(letters), size))


def _linked(sentence: str, link: str, width: int) -> list[str]:
    """Return *sentence* and *link*, which has a line of its own."""
    return [*_wrapped(sentence, width), _plain(link)]


def _wrapped(paragraph: str, width: int) -> list[str]:
    return textwrap.wrap(paragraph, width, break_long_words=False, break_on_hyphens=False)


def _plain(setting: str) -> str:
    """Return *setting* fit for one line of the body: ASCII, short, not beginning with a dot."""
    return _NOT_PLAIN.sub("?", setting)[:_MAX_SETTING_OCTETS].lstrip(".")
