"""What DNS refuses: hostile and odd packets over UDP to the running list, and the answer to each."""

import socket
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from tests.refusals.conftest import Running

NAME = b"\x012\x010\x010\x03127\x06relays\x07example\x00"
HEADER = bytes.fromhex("1234 0100 0001 0000 0000 0000")


@dataclass(frozen=True, slots=True)
class Packet:
    """Octets, and what is answered: an RCODE and extended error (RFC 8914), or nothing at all."""

    why: str
    octets: bytes
    rcode: dns.rcode.Rcode | None
    extended: int | None = None


def packet(flags: str = "0100", counts: str = "0001 0000 0000 0000", rest: bytes = b"") -> bytes:
    """Return a packet with this header."""
    return bytes.fromhex(f"1234 {flags} {counts}") + rest


QUESTION = NAME + bytes.fromhex("0001 0001")
VERSION = b"\x07version\x04bind\x00" + bytes.fromhex("0010 0003")  # class CH: the reference path answers
OPT = bytes.fromhex("00 0029 04d0 00000000 0000")

TABLE = [
    Packet("empty", b"", None),
    Packet("shorter than a header", HEADER[:11], None),
    Packet("a response", packet("8100", rest=QUESTION), None),
    Packet("no question", packet(counts="0000 0000 0000 0000"), dns.rcode.FORMERR),
    Packet("two questions", packet(counts="0002 0000 0000 0000", rest=QUESTION * 2), dns.rcode.FORMERR),
    Packet("the question is cut off", packet(rest=QUESTION[:-3]), dns.rcode.FORMERR),
    Packet("a label of 64 octets", packet(rest=b"\x40" + b"a" * 64 + QUESTION), dns.rcode.FORMERR),
    Packet("a name over 255 octets", packet(rest=(b"\x3f" + b"a" * 63) * 4 + QUESTION), dns.rcode.FORMERR),
    Packet("a compressed question", packet(rest=b"\xc0\x0c\0\x01\0\x01"), dns.rcode.FORMERR),
    Packet("octets after the message", packet(rest=QUESTION + b"\0"), dns.rcode.FORMERR),
    Packet("two OPT", packet(counts="0001 0000 0000 0002", rest=QUESTION + OPT * 2), dns.rcode.FORMERR),
    Packet("STATUS", packet("1100", rest=QUESTION), dns.rcode.NOTIMP),
    Packet("UPDATE", packet("2900", rest=QUESTION), dns.rcode.NOTIMP),
    Packet(
        "EDNS version 1",
        packet(counts="0001 0000 0000 0001", rest=QUESTION + bytes.fromhex("00 0029 04d0 00010000 0000")),
        dns.rcode.BADVERS,
    ),
    Packet(
        "a name of nobody here",
        packet(counts="0001 0000 0000 0001", rest=b"\x05other\0\0\x01\0\x01" + OPT),
        dns.rcode.REFUSED,
        20,
    ),
    Packet(
        "class HS",
        packet(counts="0001 0000 0000 0001", rest=NAME + b"\0\x01\0\x04" + OPT),
        dns.rcode.REFUSED,
        20,
    ),
    Packet(
        "a zone transfer",
        packet(counts="0001 0000 0000 0001", rest=b"\x06relays\x07example\0\0\xfc\0\x01" + OPT),
        dns.rcode.REFUSED,
        21,
    ),
    Packet("an octet of 256", packet(rest=b"\x03256" + QUESTION), dns.rcode.NXDOMAIN),
    Packet("below a listed address", packet(rest=b"\x01x" + QUESTION), dns.rcode.NXDOMAIN),
]


@pytest.mark.parametrize("sent", TABLE, ids=lambda sent: sent.why)
def test_refusal(running: Running, sent: Packet) -> None:
    """An odd packet gets the answer of its RFC or none, no row changes, and the next query is answered."""
    before = running.rows()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(running.server.dns)
        client.settimeout(10)
        client.send(sent.octets)
        # What either path can answer comes in another order, but not what only the reference path does:
        # what has come before the last of these answers was for the odd packet.
        replies: list[bytes] = []
        for identity, question in ((b"\x43\x21", QUESTION), (b"\x43\x22", VERSION)):
            client.send(identity + packet(rest=question)[2:])
            while identity not in [reply[:2] for reply in replies]:
                replies.append(client.recv(65_535))

    messages = [dns.message.from_wire(reply, ignore_trailing=True) for reply in replies]
    odd = [message for message in messages if message.id not in (0x4321, 0x4322)]
    (good,) = [message for message in messages if message.id == 0x4321]
    assert dns.rcode.NOERROR == good.rcode()
    assert ([] if sent.rcode is None else [sent.rcode]) == [reply.rcode() for reply in odd]
    if sent.extended is not None:
        codes = [option.code for option in odd[0].options if isinstance(option, dns.edns.EDEOption)]
        assert [sent.extended] == codes
    assert before == running.rows()
    assert "Traceback" not in running.log()
