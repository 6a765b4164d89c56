"""Questions and answers as text: the form of tests/golden/*.txt, read and written with dnspython.

A file holds blocks with a blank line between them:

    ; why this answer is right
    ? <qname> <class> <type> [edns] [version=1] [udp=512] [do] [nsid] [rd] [cd] [tcp]
    <rcode> <flags>
    <section> <owner> <TTL> <class> <type> <rdata>        each record of the answer
    opt version=0 udp=1232 [do] [<option>]                where it has one
"""

from dataclasses import dataclass
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode

from rbl.responder.codes import Transport

GOLDEN = Path(__file__).parent.parent / "golden"


@dataclass(frozen=True, slots=True)
class Golden:
    """One block: the question's line, and what must be answered."""

    why: str
    question: str
    lines: tuple[str, ...]


def read_golden(name: str) -> list[Golden]:
    """Return the blocks of a file in tests/golden."""
    blocks = (GOLDEN / name).read_text(encoding="utf-8").strip().split("\n\n")
    golden = []
    for block in blocks:
        why, question, *lines = block.split("\n")
        golden.append(Golden(why.removeprefix("; "), question.removeprefix("? "), tuple(lines)))
    return golden


def make_query(question: str) -> tuple[bytes, Transport]:
    """Return the packet and the transport that a question's line describes."""
    qname, rclass, rtype, *words = question.split()
    options = dict(word.partition("=")[::2] for word in words)
    edns: dict[str, object] = {}
    if "edns" in options or options.keys() & {"version", "udp", "do", "nsid"}:
        asked = [dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")] if "nsid" in options else []
        edns = {
            "use_edns": int(options.get("version", "0")),
            "payload": int(options.get("udp", "1232")),
            "options": asked,
            "want_dnssec": "do" in options,
        }
    flags = (dns.flags.RD if "rd" in options else 0) | (dns.flags.CD if "cd" in options else 0)
    query = dns.message.make_query(qname, rtype, rclass, flags=flags, id=4711, **edns)  # type: ignore[arg-type]
    return query.to_wire(), Transport.TCP if "tcp" in options else Transport.UDP


def show(packet: bytes) -> tuple[str, ...]:
    """Return the lines of an answer as a golden block has them."""
    message = dns.message.from_wire(packet)
    lines = [f"{dns.rcode.to_text(message.rcode())} {dns.flags.to_text(message.flags).lower()}"]
    for section, rrsets in (
        ("answer", message.answer),
        ("authority", message.authority),
        ("additional", message.additional),
    ):
        lines += [f"{section} {line}" for rrset in rrsets for line in rrset.to_text().split("\n")]
    if message.edns >= 0:
        words = ["opt", f"version={message.edns}", f"udp={message.payload}"]
        words += ["do"] if message.ednsflags & dns.flags.DO else []
        words += [option.to_text() for option in message.options]
        lines.append(" ".join(words))
    return tuple(lines)
