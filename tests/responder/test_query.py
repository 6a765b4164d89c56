"""Taking queries apart: what is declined and how, and that no bytes at all raise or take long."""

import random
import struct

import dns.edns
import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.responder.codes import Rcode
from rbl.responder.query import Declined, Edns, Query, parse

QNAME = b"\x019\x03113\x010\x03203\x02bL\x04tEsT\x00"
QUESTION = QNAME + struct.pack("!HH", 1, 1)
IXFR = QNAME + struct.pack("!HH", 251, 1)
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)
TSIG = b"\x03key\0" + struct.pack("!HHIH", 250, 255, 0, 0)
SOA = b"\xc0\x0c" + struct.pack("!HHIH", 6, 1, 0, 4) + b"soa."
OTHER = b"\x01x\xc0\x0c" + struct.pack("!HHIH", 65280, 1, 0, 3) + b"abc"


def packet(
    body: bytes = QUESTION,
    questions: int = 1,
    answers: int = 0,
    authorities: int = 0,
    additionals: int = 0,
    flags: int = 0,
) -> bytes:
    """Return a query with these counts, whatever is in *body*."""
    return struct.pack("!6H", 4711, flags, questions, answers, authorities, additionals) + body


def opt(options: bytes, ttl: int = 0, size: int = 1232) -> bytes:
    """Return an OPT record."""
    return b"\0" + struct.pack("!HHIH", 41, size, ttl, len(options)) + options


def option(code: int, value: bytes) -> bytes:
    """Return an EDNS option."""
    return struct.pack("!HH", code, len(value)) + value


def test_a_plain_query() -> None:
    """A query's name is read in lower case and its question is kept as it came."""
    query = parse(packet(flags=0x0100))

    expected = Query(4711, 0x0100, (b"9", b"113", b"0", b"203", b"bl", b"test"), 1, 1, QUESTION, None)
    assert expected == query


def test_a_query_for_the_root() -> None:
    """The root has no labels."""
    query = parse(packet(b"\0\0\2\0\1"))

    assert isinstance(query, Query)
    assert () == query.qname


def test_bytes_that_are_no_text_are_kept_in_a_label() -> None:
    """A label may hold any octet, and only ASCII letters have a lower case (RFC 4343 §2.1)."""
    query = parse(packet(b"\x04\xc3\x84A.\0\0\1\0\1"))

    assert isinstance(query, Query)
    assert (b"\xc3\x84a.",) == query.qname


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "nothing"),
        (packet()[:11], "less than a header"),
        (packet(flags=0x8000), "a response: two servers would answer each other for ever"),
        (b"\xff" * 600, "a response of nonsense"),
    ],
)
def test_what_is_not_answered(octets: bytes, why: str) -> None:
    """Less than a header, and responses, are not answered."""
    assert parse(octets) is None, why


@pytest.mark.parametrize("opcode", range(1, 16))
@pytest.mark.parametrize("body", [b"", QUESTION])
def test_other_opcodes(opcode: int, body: bytes) -> None:
    """Any opcode but QUERY is NOTIMP from the header alone, whatever follows it (RFC 8906 §3.1.4)."""
    assert Declined(4711, opcode << 11, Rcode.NOTIMP) == parse(packet(body, flags=opcode << 11))


LONG_63 = b"\x3f" + b"a" * 63
LONGEST_NAME = LONG_63 * 3 + b"\x3d" + b"a" * 61 + b"\0"


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (packet(questions=0, body=b""), "no question"),
        (packet(QUESTION * 2, questions=2), "two questions (RFC 9619)"),
        (packet(questions=65535), "more questions than octets"),
        (packet(b""), "the question is missing"),
        (packet(QUESTION[:-1]), "the class is cut short"),
        (packet(QUESTION[:-5]), "the name has no end"),
        (packet(b"\x05abc"), "the label is cut short"),
        (packet(b"\xc0\x0c\0\1\0\1"), "a pointer to itself as the qname"),
        (packet(b"\x01a\xc0\x0c\0\1\0\1"), "a pointer inside the qname"),
        (packet(b"\x40a\0\0\1\0\1"), "a label of 64 octets, or the type of RFC 2673"),
        (packet(b"\x80a\0\0\1\0\1"), "a label type that is not assigned"),
        (packet(b"\x3e" + b"a" * 62 + LONGEST_NAME + b"\0\1\0\1"), "a name of more than 255 octets"),
        (packet(LONGEST_NAME[:-1] + b"\x01a\0" + b"\0\1\0\1"), "a name of 257 octets"),
        (packet(b"\x01a" * 2000 + b"\0\0\1\0\1"), "2,000 labels"),
    ],
)
def test_a_question_that_cannot_be_read(octets: bytes, why: str) -> None:
    """Without exactly one readable question it is FORMERR from the header alone."""
    assert Declined(4711, 0, Rcode.FORMERR) == parse(octets), why


@pytest.mark.parametrize(
    ("octets", "edns", "why"),
    [
        (packet(opt(b""), 0, additionals=1), Edns(1232), "an OPT without a cookie"),
        (packet(opt(option(10, b"1")), 0, additionals=1), Edns(1232), "a short cookie"),
        (packet(OTHER, 0, additionals=1), None, "no OPT"),
        (packet(b"", 0, additionals=1), None, "it is missing"),
    ],
)
def test_without_a_question_there_must_be_a_cookie(octets: bytes, edns: Edns | None, why: str) -> None:
    """A query without a question is FORMERR unless it asks for a cookie (RFC 7873 §5.4)."""
    assert Declined(4711, 0, Rcode.FORMERR, b"", edns) == parse(octets), why


def test_a_query_for_a_cookie() -> None:
    """Header, OPT and cookie are a query; its name is empty (RFC 7873 §5.4)."""
    octets = packet(opt(option(10, b"12345678")), 0, additionals=1)

    assert Query(4711, 0, (), 0, 0, b"", Edns(1232, cookie=b"12345678")) == parse(octets)


@pytest.mark.parametrize(
    "records", [{"answers": 1}, {"authorities": 1}], ids=["in the answer", "in authority"]
)
def test_a_query_for_a_cookie_has_no_records(records: dict[str, int]) -> None:
    """With anything but an OPT it is FORMERR."""
    octets = packet(SOA + opt(option(10, b"12345678")), 0, additionals=1, **records)

    assert Declined(4711, 0, Rcode.FORMERR) == parse(octets)


def test_the_longest_name() -> None:
    """255 octets are a name, the lengths and the root's octet included (RFC 1035 §2.3.4)."""
    query = parse(packet(LONGEST_NAME + b"\0\1\0\1"))

    assert isinstance(query, Query)
    assert [63, 63, 63, 61] == [len(label) for label in query.qname]


@pytest.mark.parametrize(
    ("octets", "edns", "why"),
    [
        (packet(QUESTION + b"x"), None, "an octet is left over"),
        (packet(answers=1, body=QUESTION + SOA), None, "a query has no answers"),
        (packet(authorities=1, body=QUESTION + SOA), None, "a query has no authority"),
        (packet(IXFR + SOA * 2, authorities=2), None, "IXFR has one SOA"),
        (packet(IXFR + OTHER, authorities=1), None, "IXFR has an SOA and nothing else"),
        (packet(additionals=1), None, "a record is missing"),
        (packet(QUESTION + OTHER[:-1], additionals=1), None, "a record is cut short"),
        (packet(QUESTION + OPT[:-1], additionals=1), None, "the OPT is cut short"),
        (packet(QUESTION + b"\x3f", additionals=1), None, "an owner name without an end"),
        (packet(QUESTION + b"\x41" + OPT, additionals=1), None, "an owner name of an unknown form"),
        (packet(QUESTION + b"\xc0", additionals=1), None, "half a pointer"),
        (packet(QUESTION + b"\x01x" * 200 + OTHER, additionals=1), None, "an owner name too long"),
        (packet(QUESTION + OTHER * 9, additionals=9), None, "more records than anybody needs"),
        (packet(QUESTION + TSIG + OPT, additionals=2), None, "TSIG is not the last (RFC 8945 §5.2)"),
        (packet(QUESTION + b"\x01x" + OPT, additionals=1), None, "OPT is not owned by the root"),
        (packet(QUESTION + b"\xc0\x0c" + OPT[1:], additionals=1), None, "OPT is owned by a pointer"),
        (packet(QUESTION + OPT * 2, additionals=2), Edns(1232), "two OPTs (RFC 6891 §6.1.1)"),
        (packet(QUESTION + OPT + b"x", additionals=1), Edns(1232), "an octet after the OPT"),
        (packet(QUESTION + OPT, additionals=2), Edns(1232), "the record after the OPT is missing"),
        (packet(QUESTION + opt(b"\0"), additionals=1), Edns(1232), "an option is cut short"),
        (packet(QUESTION + opt(option(3, b"a")[:-1]), additionals=1), Edns(1232), "its value is too"),
        (packet(QUESTION + opt(option(10, b"1234567")), additionals=1), Edns(1232), "a short cookie"),
        (packet(QUESTION + opt(option(10, b"1" * 9)), additionals=1), Edns(1232), "an odd cookie"),
        (packet(QUESTION + opt(option(10, b"1" * 41)), additionals=1), Edns(1232), "a long cookie"),
    ],
)
def test_records_that_a_query_cannot_have(octets: bytes, edns: Edns | None, why: str) -> None:
    """What follows a readable question is FORMERR with the question, and OPT as far as it was read."""
    question = octets[12 : 12 + len(QUESTION)]

    assert Declined(4711, 0, Rcode.FORMERR, question, edns) == parse(octets), why


@pytest.mark.parametrize(
    ("octets", "edns", "why"),
    [
        (packet(QUESTION + OPT, additionals=1), Edns(1232), "a plain OPT"),
        (packet(QUESTION + OTHER + OPT, additionals=2), Edns(1232), "OPT need not come first"),
        (packet(QUESTION + OPT + TSIG, additionals=2), Edns(1232), "TSIG after OPT"),
        (packet(QUESTION + OTHER, additionals=1), None, "some other record"),
        (packet(IXFR + SOA + OPT, authorities=1, additionals=1), Edns(1232), "an IXFR query"),
        (packet(QUESTION + opt(b"", 0x8000), additionals=1), Edns(1232, dnssec_ok=True), "DO"),
        (packet(QUESTION + opt(b"", size=0), additionals=1), Edns(0), "any size"),
        (packet(QUESTION + opt(b"", 0x7FFF), additionals=1), Edns(1232), "flags nobody knows"),
        (packet(QUESTION + opt(b"\1", 1 << 16), additionals=1), Edns(1232, 1), "another version's options"),
        (packet(QUESTION + opt(b"", 0xFF << 16), additionals=1), Edns(1232, 255), "any version"),
        (packet(QUESTION + opt(option(3, b"")), additionals=1), Edns(1232, nsid=True), "NSID"),
        (packet(QUESTION + opt(option(3, b"x")), additionals=1), Edns(1232, nsid=True), "NSID, filled"),
        (
            packet(QUESTION + opt(option(10, b"12345678") + option(10, b"")), additionals=1),
            Edns(1232, cookie=b"12345678"),
            "the first cookie counts (RFC 7873 §5.2)",
        ),
        (
            packet(QUESTION + opt(option(10, b"1" * 40)), additionals=1),
            Edns(1232, cookie=b"1" * 40),
            "the longest cookie",
        ),
        (packet(QUESTION + opt(option(65001, b"x") * 64), additionals=1), Edns(1232), "64 options"),
        (
            packet(QUESTION + opt(option(9, b"") * 64 + option(3, b"")), additionals=1),
            Edns(1232),
            "the 65th option is passed over",
        ),
        (packet(QUESTION + opt(option(9, b"") * 1000), additionals=1), Edns(1232), "and all after it"),
    ],
)
def test_records_that_a_query_may_have(octets: bytes, edns: Edns | None, why: str) -> None:
    """OPT is found wherever it stands in ADDITIONAL; what is not known is passed over."""
    query = parse(octets)

    assert isinstance(query, Query), why
    assert edns == query.edns, why


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_another_version_of_edns_without_a_question(lenient: bool) -> None:  # noqa: FBT001
    """It is well formed, so that the client hears BADVERS and not FORMERR (RFC 6891 §6.1.3)."""
    query = parse(packet(opt(b"", 1 << 16), questions=0, additionals=1), lenient=lenient)

    assert Query(4711, 0, (), 0, 0, b"", Edns(1232, 1)) == query


@pytest.mark.parametrize(
    ("octets", "edns", "why"),
    [
        (packet(QUESTION + b"xyz"), None, "octets after the question"),
        (packet(QUESTION + OPT + b"xyz", additionals=1), Edns(1232), "octets after OPT"),
        (packet(QUESTION + OTHER, answers=1), None, "an answer"),
        (packet(QUESTION + OTHER + OPT, authorities=1, additionals=1), Edns(1232), "an authority and OPT"),
        (packet(QUESTION + OPT, answers=1), None, "an OPT where none can stand"),
        (packet(QUESTION, answers=1), None, "an answer that is missing"),
        (packet(QUESTION + OPT, additionals=2), Edns(1232), "a record after OPT that is missing"),
        (packet(QUESTION + b"\x41" + OPT, additionals=2), None, "an owner name of an unknown form"),
        (packet(QUESTION + OTHER * 9, additionals=9), None, "more records than anybody needs"),
        (packet(QUESTION + TSIG + OPT, additionals=2), Edns(1232), "TSIG before OPT"),
    ],
)
def test_what_rbldnsd_passes_over(octets: bytes, edns: Edns | None, why: str) -> None:
    """Read leniently, a question counts whatever stands behind it; read strictly it is FORMERR."""
    query = parse(octets, lenient=True)

    assert isinstance(query, Query), why
    assert edns == query.edns, why
    assert isinstance(parse(octets), Declined), why


@pytest.mark.parametrize(
    ("octets", "edns", "why"),
    [
        (packet(QUESTION + OPT * 2, additionals=2), Edns(1232), "two OPTs"),
        (packet(QUESTION + OPT[:-1] + b"\1", additionals=1), None, "OPT is cut short"),
        (packet(QUESTION + opt(b"\0"), additionals=1), Edns(1232), "an option is"),
        (packet(QUESTION + b"\x01x" + OPT, additionals=1), None, "OPT is not owned by the root"),
        (packet(b"", questions=0), None, "no question"),
    ],
)
def test_what_is_declined_leniently_too(octets: bytes, edns: Edns | None, why: str) -> None:
    """The form of OPT is looked at all the same (RFC 6891 §6.1.1), and that there is one question."""
    query = parse(octets, lenient=True)

    assert isinstance(query, Declined), why
    assert (Rcode.FORMERR, edns) == (query.rcode, query.edns), why


def _seeds() -> list[bytes]:
    """Return packets worth changing: most of what the tables above have."""
    cookie = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
    query = dns.message.make_query("2.0.0.127.bl.test.", "TXT", use_edns=0, options=[cookie])
    return [
        packet(),
        packet(IXFR + SOA + OPT + TSIG, authorities=1, additionals=2),
        packet(
            QUESTION + opt(option(3, b"") + option(10, b"1" * 24) + option(12, b"\0" * 40)), additionals=1
        ),
        packet(LONGEST_NAME + b"\0\1\0\1" + OTHER + OPT, additionals=2),
        query.to_wire(),
    ]


def test_mutated_packets_never_raise() -> None:
    """40,000 packets with octets changed, cut, doubled or pointed elsewhere are all taken or declined."""
    chance = random.Random(1035)
    kinds: set[type] = set()
    for seed in _seeds() * 8_000:
        octets = bytearray(seed)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(octets) + 1)
            match chance.randrange(4):
                case 0 if at < len(octets):
                    octets[at] = chance.choice((0, 1, 12, 63, 64, 0xC0, 0xFF, chance.randrange(256)))
                case 1:
                    del octets[at : at + chance.randrange(8)]
                case 2:
                    octets[at:at] = octets[at : at + chance.randrange(32)]
                case _:
                    octets[at:at] = chance.randbytes(chance.randrange(8))
        kinds.add(type(parse(bytes(octets))))

    assert {Query, Declined, type(None)} == kinds


@given(st.binary(max_size=1500))
def test_random_bytes_never_raise(octets: bytes) -> None:
    """Any bytes are taken, declined or dropped."""
    assert isinstance(parse(octets), Query | Declined | None)


@given(st.binary(max_size=600), st.sampled_from([(1, 0, 0, 1), (1, 0, 1, 2), (1, 0, 0, 8)]))
def test_random_bytes_after_a_question_never_raise(
    octets: bytes, counts: tuple[int, int, int, int]
) -> None:
    """Any bytes where records should be are taken or declined."""
    header = struct.pack("!6H", 1, 0, *counts)

    assert isinstance(parse(header + IXFR + octets), Query | Declined)


@given(
    st.lists(st.binary(min_size=1, max_size=63), max_size=3), st.integers(0, 65535), st.integers(0, 65535)
)
def test_every_well_formed_question_is_read(labels: list[bytes], qtype: int, qclass: int) -> None:
    """Any name, type and class of a well-formed question comes out again."""
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    query = parse(packet(name + struct.pack("!HH", qtype, qclass)))

    assert isinstance(query, Query)
    assert (tuple(label.lower() for label in labels), qtype, qclass) == (
        query.qname,
        query.qtype,
        query.qclass,
    )
