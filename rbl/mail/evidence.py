"""Which address a message proves: the host that handed the spam to the nominator's own MX.

Of the Received fields only those that the nominator's own servers wrote are believed, and of those
only the address of the TCP peer; everything below the first peer from outside is the spammer's
text and is never read. A message inside another one (forwarded as attachment, or an abuse report,
RFC 5965) is taken out only where the outer one was written by the nominator: a spammer could
attach a message with forged fields to his spam.

Own code throughout, since it decides whether a host is tested. Reserved addresses are the
caller's concern (``addresses.reserved_reason``). ``source`` takes messages apart, ``received``
reads one field, ``wrapping`` finds the message inside a message. Pure; logs nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_network

from rbl.addresses import parse_address
from rbl.errors import BadInput
from rbl.mail import received, source, wrapping
from rbl.mail.source import Source
from rbl.mail.wrapping import Wrapped
from rbl.terms import Address, Evidence, EvidenceFormat, Network, Nominator

# Servers give up a message for looping long before: Postfix at 50 hops, Exim at 30, Sendmail at 25.
_MAX_RECEIVED = 100
# 2 KiB: twice the longest line of RFC 5322 §2.1.1; servers write a few hundred octets.
_MAX_FIELD_OCTETS = 2_048
# A clock a little fast is no reason to refuse; a wrong year or zone is.
_CLOCK_SKEW = timedelta(minutes=10)
_MAX_SHOWN = 255

# Never a peer from outside: private use, loopback, link local, unique local. Carriers' shared space
# (100.64.0.0/10) is not here: an ISP's customers reach its MX from there. None of them is passed over
# unless the nominator registered it: behind a NAT or a container's proxy every peer looks like this, and
# the next field down is the spammer's.
INSIDE: tuple[Network, ...] = tuple(
    ip_network(network)
    for network in (
        "10.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)


@dataclass(frozen=True, slots=True)
class _Believed:
    """Whose fields are believed, and which peers in them are the nominator's own, or nobody's."""

    mx_names: frozenset[str]
    internal: tuple[Network, ...]
    private: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class _Proof:
    """The first hop from outside: the peer's address, and the field that names it."""

    address: Address
    helo: str
    field: str
    signed_in: bool


def read(
    raw: bytes,
    nominator: Nominator,
    now: datetime,
    max_age: timedelta,
    max_octets: int,
    *,
    inside: Iterable[Network] = INSIDE,
) -> Evidence:
    """Return which address *raw* proves, and when the nominator's MX took the spam from it.

    *raw* is the spam's source, a message with the spam attached, or an abuse report; *now* is
    aware. *inside* are networks that nobody outside has: a peer there proves nothing.

    Raises:
        BadInput: nothing is proven, or it is too old; the sentence says what to send instead.
    """
    believed = _Believed(nominator.mx_names, nominator.internal_networks, tuple(inside))
    if len(raw) > max_octets:
        raise BadInput(
            f"The evidence has {len(raw)} octets and at most {max_octets} are taken: "
            "send the whole header and only the beginning of the body.",
            code="too-large",
        )
    outer = source.read(raw)
    if not outer.octets.strip():
        raise BadInput("The evidence is empty: send the source of the spam, header and body.", code="empty")
    found = wrapping.find(outer)
    if found is None:
        spam, proof, form = outer, _prove_plain(outer, believed), EvidenceFormat.RFC822
    elif _came_from_outside(outer, found, believed):
        spam, proof, form = outer, _prove(outer, believed), EvidenceFormat.RFC822
    else:
        spam, form = wrapping.only_message(found), found.form
        proof = _prove(spam, believed)
        _compare_claim(found, proof)
    return Evidence(
        address=proof.address,
        received_at=_received_at(proof, now, max_age),
        format=form,
        message=spam.octets,
        message_id=_shown(_text(spam.first(b"message-id"))),
        helo=_shown(proof.helo),
        hop=_printable(proof.field),
    )


def _prove_plain(spam: Source, believed: _Believed) -> _Proof:
    """Return what *spam*, which is not wrapped, proves; tell whoever forwarded inline what went wrong."""
    try:
        return _prove(spam, believed)
    except BadInput as fault:
        if fault.code in ("no-received", "from-inside") and wrapping.is_inline_forward(spam):
            raise BadInput(
                "This is a forward with the spam in its text, where the spam's header is lost: "
                'use "forward as attachment", or send the source of the spam ("show original").',
                code="inline-forward",
            ) from None
        raise


def _prove(spam: Source, believed: _Believed) -> _Proof:
    """Return the first hop from outside, walking down the fields of the nominator's own servers."""
    values = spam.values(b"received")
    if not values:
        raise BadInput(
            "No Received field is left in the header, so nothing says where the message came from: "
            "send the unchanged source.",
            code="no-received",
        )
    if len(values) > _MAX_RECEIVED:
        raise BadInput(
            f"The message has {len(values)} Received fields, and one with more than {_MAX_RECEIVED} is no "
            "evidence.",
            code="too-many-received",
        )
    for value in values:
        proof = _hop_from_outside(value, believed)
        if proof:
            return proof
    raise BadInput(
        "Every Received field is of your own servers and names only your own networks: "
        "the message did not come from outside.",
        code="from-inside",
    )


def _hop_from_outside(value: bytes, believed: _Believed) -> _Proof | None:
    """Return what one trusted field proves, or None where the peer is inside and the next one counts."""
    if len(value) > _MAX_FIELD_OCTETS:
        raise BadInput(
            f"A Received field has {len(value)} octets, more than any mail server writes "
            f"({_MAX_FIELD_OCTETS} are read): {_quoted(value)}",
            code="header-too-long",
        )
    hop = received.read_hop(value.decode("latin-1"), believed.mx_names)
    if hop.ambiguous:
        raise BadInput(
            "A Received field can be read in two ways, since the client's text imitates your server's: "
            f"{_quoted(value)}",
            code="ambiguous-hop",
        )
    if hop.local and (not hop.by or hop.by in believed.mx_names or _is_inside_name(hop.by, believed)):
        return None
    if hop.by not in believed.mx_names:
        writer = _shown(_text(hop.by.encode("latin-1"))) or "a host without a name"
        raise BadInput(
            f"This Received field was written by {writer}, which is none of your registered MX names, "
            f"and is not believed: {_quoted(value)}. Send what your own MX received, or have "
            "the name registered.",
            code="not-your-mx",
        )
    if hop.peer is None:
        raise BadInput(
            f"Your server {hop.by} did not write which address the message came from in a form that is "
            f"known: {_quoted(value)}",
            code="no-peer-address",
        )
    if _is_in(hop.peer, believed.internal):
        return None
    if _is_in(hop.peer, believed.private):
        raise BadInput(
            f"Your server {hop.by} took the message from {hop.peer}, a private address not among the"
            " internal networks of your key: have it registered if the machine there is yours and writes a"
            " Received field of its own; behind a NAT or a proxy that hides its clients nothing is proven.",
            code="private-peer",
        )
    return _Proof(hop.peer, _text(hop.helo.encode("latin-1")), _text(value), hop.signed_in)


def _came_from_outside(outer: Source, found: Wrapped, believed: _Believed) -> bool:
    """Whether *outer* is the spam itself, with a message attached, rather than a nominator's wrapping.

    A nominator's own wrapping has no Received field, or its fields lead to his own network or to
    a user who signed in.

    Raises:
        BadInput: neither is certain.
    """
    if not outer.values(b"received"):
        return False
    try:
        proof = _prove(outer, believed)
    except BadInput as fault:
        if fault.code == "from-inside":
            return False
        raise
    if proof.signed_in:
        return False
    if any(_proves(message, believed) for message in found.messages):
        raise BadInput(
            f"The message came to you from {proof.address}, and one attached to it claims to have come to "
            "you as well: send the one you mean alone, as source, without the other.",
            code="ambiguous-wrapping",
        )
    return True


def _proves(message: Source, believed: _Believed) -> bool:
    try:
        _prove(message, believed)
    except BadInput:
        return False
    return True


def _compare_claim(found: Wrapped, proof: _Proof) -> None:
    """Raise BadInput where the report's Source-IP, a mere claim (RFC 5965 §3.2), is another address."""
    if found.claim is not None and found.claim != proof.address:
        raise BadInput(
            f"The report says Source-IP {found.claim}, but the message in it was handed to your MX by "
            f"{proof.address}.",
            code="claim-differs",
        )


def _received_at(proof: _Proof, now: datetime, max_age: timedelta) -> datetime:
    date = received.read_date(proof.field)
    if date is None:
        raise BadInput(
            "The Received field of your MX has no date with a time zone after its last semicolon: "
            f"{_quoted(proof.field.encode())}",
            code="no-date",
        )
    if date > now + _CLOCK_SKEW:
        raise BadInput(
            f"Your MX dates the message {date:%Y-%m-%d %H:%M} UTC, which is in the future: correct its "
            "clock.",
            code="from-the-future",
        )
    if date < now - max_age:
        raise BadInput(
            f"Your MX took the message at {date:%Y-%m-%d %H:%M} UTC; evidence must not be older than "
            f"{_duration(max_age)}.",
            code="too-old",
        )
    return date.astimezone(UTC)


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def _is_inside_name(by: str, believed: _Believed) -> bool:
    """Whether *by* is an address inside instead of a name: Google's inner hops write 6to4 of 10/8."""
    try:
        address = parse_address(by.removeprefix("[").removesuffix("]").removeprefix("ipv6:"))
    except BadInput:
        return False
    tunnelled = address.sixtofour if isinstance(address, IPv6Address) else None
    return _is_in(tunnelled or address, (*believed.internal, *believed.private))


def _duration(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} hours"


def _text(octets: bytes) -> str:
    """Return *octets* as text: UTF-8, and escapes for what is not."""
    return octets.decode("utf-8", "backslashreplace")


def _printable(text: str) -> str:
    """Return *text* with escapes for control characters, so that it stays one harmless line."""
    return "".join(
        c if c.isprintable() else " " if c == "\t" else c.encode("unicode_escape").decode() for c in text
    )


def _shown(text: str) -> str:
    return _printable(text)[:_MAX_SHOWN]


def _quoted(value: bytes) -> str:
    return repr(_shown(_text(value)))
