"""Answers: the golden ones, the order of the checks, and that every answer is well formed."""

import random
import struct

import dns.message
import dns.name
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.config import Dns, RateLimit
from rbl.responder.answer import answer
from rbl.responder.client import Client
from rbl.responder.codes import Option, Outcome, Transport
from rbl.responder.rules import rules_of
from tests.responder.lists import ANYBODY, NOW, make_catalogue
from tests.responder.presentation import Golden, make_query, read_golden, show

CATALOGUE = make_catalogue()
RULES = rules_of(Dns(server_id="ns1.example.org", rate_limit=RateLimit(responses_per_second=0)))


def ask(packet: bytes, transport: Transport = Transport.UDP) -> bytes:
    """Return the answer to *packet*, which must have one."""
    reply = answer(packet, Client(ANYBODY.address, transport), CATALOGUE, RULES, NOW).packet
    assert reply is not None
    return reply


@pytest.mark.parametrize("golden", read_golden("answers.txt"), ids=lambda golden: golden.question)
def test_golden_answers(golden: Golden) -> None:
    """Each question of tests/golden/answers.txt has exactly the answer written below it."""
    packet, transport = make_query(golden.question)
    reply = ask(packet, transport)

    assert golden.lines == show(reply), golden.why


@pytest.mark.parametrize("golden", read_golden("answers.txt"), ids=lambda golden: golden.question)
def test_the_question_comes_back_byte_for_byte(golden: Golden) -> None:
    """Every answer has the query's id, and its question as it came, with the case of each letter."""
    packet, transport = make_query(golden.question)
    name = dns.name.from_text(golden.question.split()[0]).to_wire()
    assert name is not None
    end = 12 + len(name) + 4
    reply = ask(packet, transport)

    assert (packet[:2], packet[12:end]) == (reply[:2], reply[12:end])


@given(st.integers(min_value=0, max_value=2**40 - 1))
def test_random_case_comes_back(bits: int) -> None:
    """Whatever the case of the letters, the answer is the same and in that case (0x20)."""
    text = "9.113.0.203.bl.test."
    name = "".join(letter.upper() if bits >> at & 1 else letter for at, letter in enumerate(text))
    reply = ask(make_query(f"{name} IN A")[0])

    assert ("NOERROR qr aa", f"answer {name} 900 IN A 127.0.0.2") == show(reply)


@pytest.mark.parametrize(
    ("packet", "zone", "outcome"),
    [
        (b"", "", Outcome.DROPPED),
        (bytes(12), "", Outcome.DECLINED),
        (make_query("bl.test. IN SOA version=1")[0], "", Outcome.DECLINED),
        (make_query("id.server. CH TXT")[0], "", Outcome.CHAOS),
        (make_query("example.com. IN A")[0], "", Outcome.REFUSED),
        (make_query("bl.test. IN AXFR")[0], "bl.test", Outcome.REFUSED),
        (make_query("new.test. IN SOA")[0], "new.test", Outcome.NOT_READY),
        (make_query("bl.test. IN SOA")[0], "bl.test", Outcome.APEX),
        (make_query("9.113.0.203.bl.test. IN A")[0], "bl.test", Outcome.LISTED),
        (make_query("9.113.0.203.bl.test. IN MX")[0], "bl.test", Outcome.NODATA),
        (make_query("113.0.203.bl.test. IN A")[0], "bl.test", Outcome.NODATA),
        (make_query("8.113.0.203.bl.test. IN A")[0], "bl.test", Outcome.NXDOMAIN),
    ],
)
def test_each_outcome_is_counted_for_its_zone(packet: bytes, zone: str, outcome: Outcome) -> None:
    """An answer says which zone it is from, empty for none of ours, and what became of the query."""
    reply = answer(packet, ANYBODY, CATALOGUE, RULES, NOW)

    assert (zone, outcome) == (reply.zone, reply.outcome)


@pytest.mark.parametrize(
    ("question", "rcode", "why"),
    [
        ("www.example.com. IN A version=1", "BADVERS", "4 before 6: the version before the zone"),
        ("2.0.0.127.new.test. CH A", "REFUSED", "6 before 7: the class before the index"),
        ("new.test. IN AXFR", "REFUSED", "6 before 7: what is never offered before what is not ready"),
        ("new.test. IN SOA", "SERVFAIL", "7 before 8: the SOA has no serial yet"),
        ("1.2.3.4.new.test. IN A", "SERVFAIL", "7 before 11: never NXDOMAIN for want of data"),
        ("er.bl.test. IN A", "NOERROR", "10 before 11: a zone lies below"),
    ],
)
def test_the_order_of_the_checks(question: str, rcode: str, why: str) -> None:
    """Where two rules fit, the earlier one answers."""
    reply = dns.message.from_wire(ask(make_query(question)[0]))

    assert rcode == dns.rcode.to_text(reply.rcode()), why


def test_declined_queries_keep_opt_and_question() -> None:
    """FORMERR comes with the question and an OPT where they were read (RFC 6891 §6.1.1)."""
    packet = bytearray(make_query("bl.test. IN SOA do")[0])
    packet[11] = 2  # two additional records, of which one is missing

    assert ("FORMERR qr", "opt version=0 udp=1232 do") == show(ask(bytes(packet)))


@pytest.mark.parametrize("flags", [0, 0x0100, 0x07F0, 0x07FF])
def test_notimp_is_a_header_alone(flags: int) -> None:
    """An unknown opcode comes back as NOTIMP with its opcode, and no other flag (RFC 8906 §8.1.4)."""
    packet = struct.pack("!6H", 7, 15 << 11 | flags, 1, 0, 0, 0) + b"anything"

    assert struct.pack("!6H", 7, 0x8000 | 15 << 11 | 4, 0, 0, 0, 0) == ask(packet)


@pytest.mark.parametrize("transport", list(Transport))
def test_notimp_has_an_opt_where_the_packet_has_one(transport: Transport) -> None:
    """An unknown opcode with the form of a query gets the OPT of every answer (RFC 6891 §7)."""
    packet = bytearray(make_query("bl.test. IN SOA do")[0])
    packet[2] |= 15 << 3

    assert ("NOTIMP qr", "opt version=0 udp=1232 do") == show(ask(bytes(packet), transport))


@pytest.mark.parametrize(
    ("why", "opcode", "additionals", "rest", "rcode"),
    [
        ("an opcode that is not known", 15, 1, b"", "NOTIMP"),
        ("an octet left over behind the OPT", 0, 1, b"\0", "FORMERR"),
        ("a record that is cut short behind it", 0, 2, b"\0\0\x01", "FORMERR"),
    ],
)
def test_declined_queries_get_a_cookie(
    why: str, opcode: int, additionals: int, rest: bytes, rcode: str
) -> None:
    """What is declined has a cookie too where the query's could be read, and a valid one is not limited."""
    strict = rules_of(Dns(rate_limit=RateLimit(responses_per_second=1)))

    def told(cookie: bytes) -> bytes:
        option = struct.pack("!HH", Option.COOKIE, len(cookie)) + cookie
        opt = struct.pack("!BHHIH", 0, 41, 1232, 0, len(option)) + option
        question = b"\x02bl\x04test\0\0\x06\0\x01"
        packet = struct.pack("!6H", 1, opcode << 11, 1, 0, 0, additionals) + question + opt + rest
        reply = answer(packet, ANYBODY, CATALOGUE, strict, NOW).packet
        assert reply is not None, why
        message = dns.message.from_wire(reply)
        assert rcode == dns.rcode.to_text(message.rcode())
        (found,) = message.options
        return bytes(found.to_wire())

    given = told(b"12345678")

    assert (b"12345678", 24) == (given[:8], len(given))
    assert [given] * 50 == [told(given) for _ in range(50)]


def test_chaos_is_refused_where_nothing_is_configured() -> None:
    """An empty version and name are not told to anybody, nor is NSID."""
    silent = rules_of(Dns(version="", server_id=""))
    shown = []
    for question in ("version.bind. CH TXT", "id.server. CH TXT", "bl.test. IN MX nsid"):
        reply = answer(make_query(question)[0], ANYBODY, CATALOGUE, silent, NOW).packet
        assert reply is not None
        shown.append(show(reply)[-1])

    assert ["REFUSED qr", "REFUSED qr", "opt version=0 udp=1232"] == shown


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(list(Transport)))
def test_any_answer_is_a_response_of_the_query(octets: bytes, transport: Transport) -> None:
    """Whatever comes, the answer parses, has QR and the query's id, and neither RA nor AD."""
    reply = answer(octets, Client(ANYBODY.address, transport), CATALOGUE, RULES, NOW).packet
    if reply is None:
        return
    dns.message.from_wire(reply)
    flags = struct.unpack_from("!H", reply, 2)[0]

    assert (octets[:2], 0x8000) == (reply[:2], flags & (0x8000 | 0x0080 | 0x0020))


def test_mutated_questions_are_all_answered() -> None:
    """20,000 changed queries get an answer that dnspython reads, or none where QR was set."""
    chance = random.Random(5782)
    seeds = [make_query(golden.question)[0] for golden in read_golden("answers.txt")]
    seen = set()
    for _ in range(20_000):
        octets = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 3)):
            octets[chance.randrange(len(octets))] = chance.choice((0, 1, 46, 48, 57, 64, 0xC0, 0xFF))
        reply = answer(bytes(octets), ANYBODY, CATALOGUE, RULES, NOW).packet
        if reply is None:
            assert octets[2] & 0x80
        else:
            assert len(reply) <= 1232
            seen.add(dns.rcode.to_text(dns.message.from_wire(reply).rcode()))

    assert {"NOERROR", "NXDOMAIN", "REFUSED", "FORMERR", "NOTIMP", "SERVFAIL", "BADVERS"} == seen
