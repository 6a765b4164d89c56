"""Which address a message proves."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.errors import BadInput
from rbl.mail import evidence
from rbl.terms import Evidence, EvidenceFormat, Nominator, Role, Trust

Spam = Callable[..., bytes]
Read = Callable[[bytes], Evidence]

NOW = datetime(2024, 3, 5, 12, 0, tzinfo=UTC)
MX = "mx.nominator.example"
PEER = ip_address("198.51.100.7")
HOP = f"from helo.example (ptr.example [198.51.100.7]) by {MX} (Postfix) with ESMTP id 4F"
FORGED = f"from evil (evil [203.0.113.9]) by {MX} (Postfix) with ESMTP id 5A"
INSIDE = f"from {MX} ({MX} [192.0.2.25]) by store.nominator.example (Postfix) with ESMTP id 6B"
SIGNED_IN = f"from laptop (home.example [203.0.113.77]) by {MX} (Postfix) with ESMTPSA id 7C"


@pytest.fixture
def read(nominator: Nominator, now: datetime) -> Read:
    return lambda raw: evidence.read(raw, nominator, now, timedelta(days=7), 256 * 1024)


@pytest.fixture
def refusal(read: Read) -> Callable[[bytes], str]:
    """Give the code with which a message is refused."""

    def code(raw: bytes) -> str:
        with pytest.raises(BadInput) as caught:
            read(raw)
        assert caught.value.message.isprintable()
        return caught.value.code

    return code


def wrapped(spam: bytes, *received: str, transfer: str = "7bit", kind: str = "message/rfc822") -> bytes:
    """Forward *spam* as attachment."""
    fields = "".join(f"Received: {field}; Tue, 5 Mar 2024 12:30:00 +0100\r\n" for field in received)
    return (
        (
            f"{fields}From: user@nominator.example\r\nSubject: Fwd: Offer\r\nMIME-Version: 1.0\r\n"
            'Content-Type: multipart/mixed;\r\n boundary="=b(1)"\r\n\r\npreamble\r\n'
            "--=b(1)\r\n\r\nsee attachment\r\n"
            f"--=b(1)\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {transfer}\r\n\r\n"
        ).encode()
        + spam
        + b"\r\n--=b(1)--\r\nepilogue\r\n"
    )


def report(
    spam: bytes,
    facts: str = "Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n",
    kind: str = "message/rfc822",
    received: str = "",
    first: str = "text/plain",
    second: str = "message/feedback-report",
) -> bytes:
    """Put *spam* in an abuse report."""
    return (
        (
            f"{received}From: user@nominator.example\nContent-Type: multipart/report; boundary=b;\n"
            " report-type=Feedback-Report\n\n"
            f"--b\nContent-Type: {first}\n\nThis is a report\n--b\nContent-Type: {second}\n\n{facts}\n"
            f"--b\nContent-Type: {kind}\n\n"
        ).encode()
        + spam
        + b"\n--b--\n"
    )


def test_raw(read: Read, spam: Spam) -> None:
    """A raw message proves the peer of the nominator's MX, at the time that the MX wrote."""
    raw = spam(HOP, FORGED)

    assert Evidence(
        address=PEER,
        received_at=datetime(2024, 3, 5, 11, 0, tzinfo=UTC),
        format=EvidenceFormat.RFC822,
        message=raw,
        message_id="<1@spam.example>",
        helo="helo.example",
        hop=f"{HOP}; Tue, 5 Mar 2024 12:00:00 +0100",
    ) == read(raw)


@pytest.mark.parametrize(
    "before",
    [
        b"\xef\xbb\xbf",
        b"\r\n\n",
        b"From a@b Tue Mar  5\n",
        b">From a@b Tue Mar  5\r\n",
        b"\xef\xbb\xbf\nFrom x\n",
    ],
)
def test_what_mail_programs_add(read: Read, spam: Spam, before: bytes) -> None:
    """A byte order mark, empty lines and an mbox line before the message are left out of it."""
    raw = spam(HOP)

    assert raw == read(before + raw).message


def test_crlf_and_folding(read: Read, spam: Spam) -> None:
    """CRLF and folded fields are read as the server wrote them."""
    folded = HOP.replace(" by", "\n\tby").replace(" with", "\r\n        with")

    assert PEER == read(spam(folded).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")).address


@pytest.mark.parametrize(
    "above",
    [
        [INSIDE],
        [f"from localhost (localhost [127.0.0.1]) by {MX} (Postfix) with ESMTP id 1"],
        [f"from {MX} ([127.0.0.1]) by localhost ({MX} [127.0.0.1]) (amavisd-new, port 10024) with ESMTP"],
        [
            f"from x (x [10.1.2.3]) by {MX} with ESMTP",
            f"from x (x [IPv6:2001:db8:1::7]) by {MX} with ESMTP",
        ],
        [f"from mx ([203.0.113.20]) by {MX} with LMTP id 1"],
        [f"by {MX} (Postfix, from userid 1000) id 1"],
        ["(qmail 1234 invoked by uid 89); 5 Mar 2024 11:00:00 -0000"],
        ["by 2002:a05:6a10:1::1 with SMTP id 1"],
        ["by [10.0.0.1] with SMTP id 1"],
    ],
)
def test_inside_hops_are_skipped(nominator: Nominator, now: datetime, spam: Spam, above: list[str]) -> None:
    """Hops between the nominator's own servers are passed over, in every form they have."""
    filters = (ip_network("127.0.0.0/8"), ip_network("10.0.0.0/8"))
    registered = replace(nominator, internal_networks=(*nominator.internal_networks, *filters))
    found = evidence.read(spam(*above, HOP, FORGED), registered, now, timedelta(days=7), 256 * 1024)

    assert PEER == found.address


@pytest.mark.parametrize(
    "peer", ["127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.1.1", "IPv6:::1", "IPv6:fd00::1"]
)
def test_a_private_peer_is_passed_over_only_where_it_is_registered(
    refusal: Callable[[bytes], str], spam: Spam, peer: str
) -> None:
    """Behind a NAT or a proxy the field below is the spammer's own line, which would name a victim."""
    forged = f"from evil (evil [203.0.113.9]) by {MX} (Postfix) with ESMTP id 5A"

    assert "private-peer" == refusal(spam(f"from x (x [{peer}]) by {MX} with ESMTP", forged))


def test_a_private_peer_is_told_of_with_what_to_do(read: Read, spam: Spam) -> None:
    """The sentence names the server, the address and the setting."""
    with pytest.raises(
        BadInput, match=rf"{MX} took the message from 10\.1\.2\.3.*internal networks of your key"
    ):
        read(spam(f"from x (x [10.1.2.3]) by {MX} with ESMTP"))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], "no-received"),
        (["from x (y [203.0.113.9]) by mx.other.example with ESMTP"], "not-your-mx"),
        ([f"from {MX} ({MX} [203.0.113.9]) by evil.example with ESMTP"], "not-your-mx"),
        ([f"from x (y [203.0.113.9]) by x{MX} with ESMTP"], "not-your-mx"),
        ([f"from x (y [203.0.113.9]) by {MX}.evil.example with ESMTP"], "not-your-mx"),
        (["from x (y [203.0.113.9]) by 10.0.0.1 with ESMTP"], "not-your-mx"),
        (["by 203.0.113.1 with SMTP id 1"], "not-your-mx"),
        (["from x by mx.other.example with LMTP"], "not-your-mx"),
        (["by 2002:cb00:7101::1 with SMTP id 1"], "not-your-mx"),
        (["nonsense"], "not-your-mx"),
        ([INSIDE, "from x (y [203.0.113.9]) by mx.other.example with ESMTP"], "not-your-mx"),
        ([f"from x by {MX} with ESMTP", HOP], "no-peer-address"),
        ([INSIDE], "from-inside"),
        ([f"from x by {MX} y (z [203.0.113.9]) by {MX} with ESMTP"], "ambiguous-hop"),
        ([INSIDE] * 101, "too-many-received"),
        ([HOP + " x" * 1024], "header-too-long"),
        ([HOP + "; yesterday"], "no-date"),
        ([HOP + "; Tue, 5 Mar 2024 12:00:00"], "no-date"),
        ([HOP + "; Tue, 27 Feb 2024 10:59:00 +0000"], "too-old"),
        ([HOP + "; Tue, 5 Mar 2024 12:11:00 +0000"], "from-the-future"),
        ([HOP + "; Tue, 5 Mar 2125 12:11:00 +0000"], "from-the-future"),
    ],
)
def test_refusals(refusal: Callable[[bytes], str], spam: Spam, fields: list[str], code: str) -> None:
    """What proves nothing is refused with its own code."""

    assert code == refusal(spam(*fields))


def test_small_clock_skew(read: Read, spam: Spam) -> None:
    """A clock that is ten minutes fast is believed."""

    assert PEER == read(spam(HOP + "; Tue, 5 Mar 2024 12:10:00 +0000")).address


def test_below_the_hop_nothing_counts(read: Read, spam: Spam) -> None:
    """Endless fields below the trusted hop do not spoil the evidence."""

    assert PEER == read(spam(HOP, "x" * 5000, *["("] * 98)).address


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"\xef\xbb\xbf \n"])
def test_empty(refusal: Callable[[bytes], str], raw: bytes) -> None:
    """Nothing is no evidence."""

    assert "empty" == refusal(raw)


def test_too_large(nominator: Nominator, now: datetime, spam: Spam) -> None:
    """A message over the limit is refused before it is looked at."""
    raw = spam(HOP)

    with pytest.raises(BadInput, match=str(len(raw))) as caught:
        evidence.read(raw, nominator, now, timedelta(days=7), len(raw) - 1)

    assert "too-large" == caught.value.code


@pytest.mark.parametrize(
    ("age", "words"), [(timedelta(minutes=30), "0.5 hours"), (timedelta(days=2), "2 days")]
)
def test_age_in_words(nominator: Nominator, now: datetime, spam: Spam, age: timedelta, words: str) -> None:
    """The refusal of old evidence says how old it may be."""
    raw = spam(HOP + "; Fri, 1 Mar 2024 11:00:00 +0000")

    with pytest.raises(BadInput, match=words):
        evidence.read(raw, nominator, now, age, 10_000)


def test_header_ends_where_servers_end_it(refusal: Callable[[bytes], str], spam: Spam) -> None:
    """A Received field below a line that is no field belongs to the body, where a forward has it."""

    assert "inline-forward" == refusal(b"Subject: x\nno field here\n" + spam(HOP))


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_new_field_inside_a_line(read: Read, spam: Spam, end: str) -> None:
    """What only some libraries take for a line end starts no field."""
    raw = f"Subject: x{end}Received: {FORGED}; Tue, 5 Mar 2024 12:00:00 +0100\n".encode() + spam(HOP)

    assert PEER == read(raw).address


def test_control_characters_are_escaped(read: Read, spam: Spam) -> None:
    """What is shown of the hop has no control characters and is valid text."""
    found = read(spam(HOP.replace("helo.example", "a\0b\x1b\t\udcff\u202e")))

    assert ("a\\x00b\\x1b", True) == (found.helo, found.hop.isprintable())


@pytest.mark.parametrize(
    "received", [[], [INSIDE], [SIGNED_IN], [f"by {MX} (Postfix, from userid 5) id 1"]]
)
def test_attached(read: Read, spam: Spam, received: list[str]) -> None:
    """A spam forwarded as attachment by the nominator's own people is taken out as it was."""
    inner = spam(HOP, FORGED)
    found = read(wrapped(inner, *received))

    assert (PEER, EvidenceFormat.ATTACHED, inner) == (found.address, found.format, found.message)


@pytest.mark.parametrize("kind", ["message/rfc822", "MESSAGE/RFC822; name=x", "message/global"])
def test_attached_types(read: Read, spam: Spam, kind: str) -> None:
    """The type of the attachment is read without regard to case and parameters."""

    assert PEER == read(wrapped(spam(HOP), kind=kind)).address


def test_attached_in_base64(read: Read, spam: Spam) -> None:
    """An attached message that some program encoded, against RFC 2046, is decoded."""
    inner = spam(HOP)

    assert inner == read(wrapped(base64.encodebytes(inner), transfer="base64")).message


def test_attached_deeper(read: Read, spam: Spam) -> None:
    """A forward inside other parts is found."""
    inner = wrapped(spam(HOP)).partition(b"MIME-Version: 1.0\r\n")[2]
    outer = b"Subject: fwd\nContent-Type: multipart/signed; boundary=o\n\n--o\n" + inner + b"\n--o--\n"

    assert PEER == read(outer).address


def test_whole_body_is_the_message(read: Read, spam: Spam) -> None:
    """A message whose only part is the spam is a forward too."""

    assert EvidenceFormat.ATTACHED is read(b"Content-Type: message/rfc822\n\n" + spam(HOP)).format


def test_attachment_of_a_spam_is_not_believed(read: Read, spam: Spam) -> None:
    """A spam with some message attached is the evidence itself."""
    raw = wrapped(spam("from x (y [203.0.113.9]) by mx.other.example with SMTP"), HOP)

    assert (PEER, EvidenceFormat.RFC822, raw) == (read(raw).address, read(raw).format, read(raw).message)


def test_malformed_report_from_outside_is_spam(read: Read, spam: Spam) -> None:
    """A spam that looks like an abuse report is the evidence itself."""
    raw = report(b"x", facts="", received=f"Received: {HOP}; Tue, 5 Mar 2024 12:00:00 +0100\n")

    assert EvidenceFormat.RFC822 is read(raw).format


@pytest.mark.parametrize("wrap", [wrapped, report])
def test_forged_attachment(
    refusal: Callable[[bytes], str], spam: Spam, wrap: Callable[[bytes], bytes]
) -> None:
    """A message from outside with one attached that claims the nominator's MX too is refused."""
    outer = f"Received: {HOP}; Tue, 5 Mar 2024 12:00:00 +0100\n".encode() + wrap(spam(FORGED))

    assert "ambiguous-wrapping" == refusal(outer)


def test_wrapping_by_a_stranger(refusal: Callable[[bytes], str], spam: Spam) -> None:
    """An attached message is not believed where the outer one came by servers unknown."""

    assert "not-your-mx" == refusal(wrapped(spam(HOP), "from x (y [203.0.113.9]) by mx.other.example"))


def test_attached_message_has_its_own_faults(refusal: Callable[[bytes], str], spam: Spam) -> None:
    """The rules hold for the attached message."""

    assert "not-your-mx" == refusal(wrapped(spam("from x (y [203.0.113.9]) by mx.other.example")))


def test_several_attached(refusal: Callable[[bytes], str], spam: Spam) -> None:
    """One nomination is one spam."""
    two = spam(HOP) + b"\r\n--=b(1)\r\nContent-Type: message/rfc822\r\n\r\n" + spam(HOP)

    assert "several-messages" == refusal(wrapped(two))


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: Fwd: Offer\n\nBuy now\n",
        b"Subject: x\n\n-----Original Message-----\nFrom: a\n",
        b"Subject: x\n\n---------- Forwarded message ---------\nFrom: a\n",
        "Subject: x\n\n-----Ursprüngliche Nachricht-----\n".encode(),
        b"Subject: x\n\n> Received: from x (y [198.51.100.7]) by mx.nominator.example\n",
        b"> Received: from x (y [198.51.100.7]) by mx.nominator.example\n",
        f"Received: {INSIDE}; x\nSubject: WG: Offer\n\nBuy now\n".encode(),
    ],
)
def test_inline_forward(refusal: Callable[[bytes], str], raw: bytes) -> None:
    """A forward with the spam in its text is refused with the way to do it right."""

    assert "inline-forward" == refusal(raw)


@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers"])
@pytest.mark.parametrize("claim", ["", "Source-IP: 198.51.100.7\n", "Source-IP: [198.51.100.7]\n"])
def test_report(read: Read, spam: Spam, kind: str, claim: str) -> None:
    """An abuse report gives its third part; Source-IP may be missing, and must be right."""
    facts = f"Version: 0.1\nFeedback-Type: abuse\nUser-Agent: x\n{claim}Reported-URI: a\nReported-URI: b\n"
    inner = spam(HOP)
    found = read(report(inner, facts, kind))

    assert (PEER, EvidenceFormat.ARF, inner) == (found.address, found.format, found.message)


FACTS = "Feedback-Type: abuse\nUser-Agent: x\nVersion: 1\n"


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (FACTS + "Source-IP: 203.0.113.9\n", "claim-differs"),
        (FACTS + "Source-IP: here\n", "malformed-report"),
        (FACTS + "Source-IP: 198.51.100.7\nSource-IP: 198.51.100.7\n", "malformed-report"),
        (FACTS + "Version: 1\n", "malformed-report"),
        (FACTS + "Arrival-Date: x\nReceived-Date: x\n", "malformed-report"),
        (FACTS + "Received-Date: x\nReceived-Date: x\n", "malformed-report"),
        (FACTS + "Reporting-MTA: x\nReporting-MTA: x\n", "malformed-report"),
        ("Feedback-Type: abuse\nVersion: 1\n", "malformed-report"),
        ("User-Agent: x\nVersion: 1\n", "malformed-report"),
        ("Feedback-Type: abuse\nUser-Agent: x\n", "malformed-report"),
        ("Feedback-Type: abuse\nUser-Agent: x\nVersion: 2\n", "malformed-report"),
        ("Feedback-Type: not-spam\nUser-Agent: x\nVersion: 1\n", "not-a-complaint"),
        ("", "malformed-report"),
    ],
)
def test_report_fields(refusal: Callable[[bytes], str], spam: Spam, facts: str, code: str) -> None:
    """A report that breaks a MUST of RFC 5965, or claims another address, is refused."""

    assert code == refusal(report(spam(HOP), facts))


@pytest.mark.parametrize(
    "change",
    [
        {"first": "image/png"},
        {"second": "text/plain"},
        {"kind": "text/plain"},
        {"kind": "message/rfc822\n\nx\n--b\nContent-Type: text/plain"},
    ],
)
def test_report_parts(refusal: Callable[[bytes], str], spam: Spam, change: dict[str, str]) -> None:
    """A report has a text, the facts and the message, and nothing else."""

    assert "malformed-report" == refusal(report(spam(HOP), **change))


def test_report_with_alternative_texts(read: Read, spam: Spam) -> None:
    """The part for people may itself have parts."""

    assert PEER == read(report(spam(HOP), first="multipart/alternative; boundary=c")).address


def test_registered_address(nominator: Nominator, now: datetime, spam: Spam) -> None:
    """Networks that the nominator registers are inside, whatever they are."""
    nominator = replace(nominator, internal_networks=())

    found = evidence.read(spam(INSIDE), nominator, now, timedelta(days=7), 10_000)

    assert ip_address("192.0.2.25") == found.address


_PIECES = st.sampled_from(
    [
        b"Received: ", HOP.encode(), FORGED.encode(), INSIDE.encode(), b"; Tue, 5 Mar 2024 12:00:00 +0100",
        b"\n", b"\r\n", b"\r\n\r\n", b"\n\t", b"\n\n", b"--b", b"--", b"Content-Type: ", b"multipart/mixed",
        b"; boundary=b", b"; boundary*=x", b"; boundary*0=b; boundary*=c", b"; report-type=feedback-report",
        b"multipart/report", b"message/rfc822", b"message/feedback-report", b"Content-Transfer-Encoding: ",
        b"base64", b"quoted-printable", b"From x\n", b"\xef\xbb\xbf", b"Version: 1\n", b"User-Agent: x\n",
        b"Feedback-Type: abuse\n", b"Source-IP: 1.2.3.4\n", b"Subject: Fwd: x\n", b"\0", b"\xff", b"=",
    ]
)  # fmt: skip


@given(st.lists(_PIECES | st.binary(max_size=20), max_size=60))
def test_any_octets(pieces: list[bytes]) -> None:
    """Any octets prove the peer that a trusted field names, or are refused."""
    nominator = Nominator(1, "n", Role.NOMINATOR, Trust.NORMAL, frozenset({MX}), ())
    try:
        found = evidence.read(b"".join(pieces), nominator, NOW, timedelta(days=7), 1 << 20)
    except BadInput:
        return

    assert found.hop.isprintable()


@given(
    helo=st.binary(max_size=60),
    below=st.lists(_PIECES | st.binary(max_size=30), max_size=30),
    imitation=st.sampled_from([b"", b"[203.0.113.9]", b"x (y [203.0.113.9]) by " + MX.encode() + b" "]),
)
def test_spammer_text_never_names_an_address(helo: bytes, below: list[bytes], imitation: bytes) -> None:
    """Whatever a spammer says in HELO and sends as message, no address but his own is proven."""
    said = imitation + helo.replace(b"\n", b"")
    hop = b"from %b (ptr.example [198.51.100.7]) by %b with ESMTP; Tue, 5 Mar 2024 12:00:00 +0100"
    raw = b"Received: " + hop % (said, MX.encode()) + b"\n" + b"".join(below)
    nominator = Nominator(1, "n", Role.NOMINATOR, Trust.NORMAL, frozenset({MX}), ())
    try:
        found = evidence.read(raw, nominator, NOW, timedelta(days=7), 1 << 20)
    except BadInput:
        return

    assert PEER == found.address
