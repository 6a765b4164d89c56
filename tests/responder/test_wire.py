"""Packing: sizes, truncation, long texts; dnspython reads everything back."""

import struct
from ipaddress import IPv4Address

import dns.message
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.config import Dns
from rbl.responder import wire
from rbl.responder.codes import ExtendedError, Outcome, Rcode, Transport
from rbl.responder.query import Edns, Query
from rbl.responder.wire import Response

QUESTION = b"\x01a\x02bl\x04test\0\0\x10\0\1"


def make_query(edns: Edns | None = None) -> Query:
    """Return a TXT query."""
    return Query(1, 0, (b"a", b"bl", b"test"), 16, 1, QUESTION, edns)


def read(packet: bytes) -> dns.message.Message:
    """Return *packet* as dnspython reads it; TC is no fault."""
    return dns.message.from_wire(packet)


@pytest.mark.parametrize(
    ("edns", "transport", "most", "why"),
    [
        (None, Transport.UDP, 512, "without EDNS (RFC 1035 §4.2.1)"),
        (Edns(0), Transport.UDP, 512, "less than 512 counts as 512"),
        (Edns(700), Transport.UDP, 700, "what the client can take"),
        (Edns(65535), Transport.UDP, 1232, "never more than is configured"),
        (None, Transport.TCP, 65535, "TCP's own limit, EDNS or not"),
        (Edns(512), Transport.TCP, 65535, "the size is of UDP"),
    ],
)
def test_answers_keep_to_the_size(edns: Edns | None, transport: Transport, most: int, why: str) -> None:
    """An answer of exactly the limit goes out whole; one octet more is truncated to the question."""
    own = 12 + len(QUESTION) + (11 if edns else 0)
    fitting = _response_of(most - own)
    larger = _response_of(most - own + 1)

    whole = wire.pack(make_query(edns), fitting, transport, Dns())
    cut = wire.pack(make_query(edns), larger, transport, Dns())

    assert (most, 0) == (len(whole), whole[2] & 2), why
    assert (own, 2) == (len(cut), cut[2] & 2), why


def _response_of(octets: int) -> Response:
    """Return a response whose answer takes *octets*; what is in it does not matter."""
    return Response(Rcode.NOERROR, Outcome.LISTED, answer=wire.RRset(1, bytes(octets)))


@given(st.binary(max_size=60), st.booleans())
def test_a_cookie_is_one_more_option(
    cookie: bytes,
    nsid: bool,  # noqa: FBT001  # drawn
) -> None:
    """A cookie stands behind whatever other options there are, each of its length (RFC 6891 §6.1.2)."""
    response = Response(Rcode.NOERROR, Outcome.NODATA, extended_error=ExtendedError.PROHIBITED)
    dns = Dns(server_id="ns1")
    query = make_query(Edns(1232, nsid=nsid, cookie=cookie))
    plain = wire.pack(query, response, Transport.UDP, dns)
    packed = wire.pack(query, response, Transport.UDP, dns, cookie)
    option = struct.pack("!HH", 10, len(cookie)) + cookie if cookie else b""
    at = 12 + len(QUESTION) + 9  # where the OPT has the length of its options

    assert plain[at + 2 :] + option == packed[at + 2 :]
    assert len(packed) - at - 2 == int.from_bytes(packed[at : at + 2])


def test_truncation_keeps_whole_rrsets() -> None:
    """Forty texts do not fit 512 octets: TC, the question, the OPT, and not a part of them."""
    rrset = wire.pack_texts([f"reason number {number}" for number in range(40)], 60)
    response = Response(Rcode.NOERROR, Outcome.LISTED, authoritative=True, answer=rrset)
    message = read(wire.pack(make_query(Edns(512)), response, Transport.UDP, Dns()))

    assert (True, [], 0) == (bool(message.flags & dns.flags.TC), message.answer, message.edns)
    full = read(wire.pack(make_query(Edns(512)), response, Transport.TCP, Dns()))
    assert 40 == len(full.answer[0])


@given(st.text(max_size=3000))
def test_texts_are_split_in_strings(text: str) -> None:
    """A text of any length is strings of at most 255 octets which together are the text."""
    rrset = wire.pack_texts([text], 60)
    response = Response(Rcode.NOERROR, Outcome.LISTED, answer=rrset)
    (rdata,) = read(wire.pack(make_query(), response, Transport.TCP, Dns())).answer[0]

    octets = text.encode()[:4096]
    assert octets == b"".join(rdata.strings)
    assert all(len(string) == 255 for string in rdata.strings[:-1])


@pytest.mark.parametrize(
    ("text", "strings"),
    [
        ("", [0]),
        ("a" * 255, [255]),
        ("a" * 256, [255, 1]),
        ("a" * 5000, [255] * 16 + [16]),
        ("\ud800", [1]),
    ],
)
def test_texts_at_the_edges(text: str, strings: list[int]) -> None:
    """An empty text is one empty string, a huge one is cut, and half a surrogate pair is a '?'."""
    response = Response(Rcode.NOERROR, Outcome.LISTED, answer=wire.pack_texts([text], 60))
    (rdata,) = read(wire.pack(make_query(), response, Transport.TCP, Dns())).answer[0]

    assert strings == [len(string) for string in rdata.strings]


def test_no_records_are_no_rrset() -> None:
    """A zone without an address, text or mail exchanger of its own has no set of them."""
    assert [None] * 3 == [
        wire.pack_addresses((), 60),
        wire.pack_texts((), 60),
        wire.pack_mail_exchangers((), 60),
    ]


def test_the_soa_is_owned_by_the_apex() -> None:
    """A set of one record can be owned by what stands further back in the question."""
    soa = wire.pack_soa((b"ns", b"test"), (b"a.b", b"test"), (1, 2, 3, 4, 2**32 - 1), 300)
    response = Response(Rcode.NXDOMAIN, Outcome.NXDOMAIN, authority=soa.below(2))
    message = read(wire.pack(make_query(), response, Transport.UDP, Dns()))

    assert "bl.test. 300 IN SOA ns.test. a\\.b.test. 1 2 3 4 4294967295" == message.authority[0].to_text()


def test_values_in_one_rrset() -> None:
    """All values of an address are one RRset in the order given."""
    rrset = wire.pack_addresses((IPv4Address("127.0.0.2"), IPv4Address("127.0.0.10")), 60)
    response = Response(Rcode.NOERROR, Outcome.LISTED, answer=rrset)
    (answer,) = read(wire.pack(make_query(), response, Transport.UDP, Dns())).answer

    assert "a.bl.test. 60 IN A 127.0.0.2\na.bl.test. 60 IN A 127.0.0.10" == answer.to_text()


def test_every_error_with_the_longest_question_fits_512_octets() -> None:
    """With the longest name, a reason and the longest NSID the answer still fits: it has no TC."""
    name = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"a" * 61 + b"\0"
    query = Query(1, 0, (), 1, 1, name + b"\0\1\0\1", Edns(512, nsid=True))
    response = Response(
        Rcode.REFUSED,
        Outcome.REFUSED,
        extended_error=ExtendedError.NOT_AUTHORITATIVE,
        extra_text="no zone of this server",
    )
    packet = wire.pack(query, response, Transport.UDP, Dns(server_id="n" * 300))

    assert (True, 0) == (len(packet) <= 512, packet[2] & 2)
    assert 128 == len(read(packet).options[1].to_wire())


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"", None),
        (b"\x12\x34\x01\x10" + bytes(7), None),
        (b"\x12\x34\x01\x10" + b"\xff" * 8, b"\x12\x34\x81\x12" + bytes(8)),
    ],
)
def test_servfail_from_the_header_alone(packet: bytes, expected: bytes | None) -> None:
    """SERVFAIL for a fault of ours needs the query's header and nothing behind it."""
    assert expected == wire.pack_servfail(packet)
