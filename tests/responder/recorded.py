"""What rbldnsd answered, as it was recorded: tests/golden/rbldnsd, one file a case.

A case has the data files, the arguments, the lines that were refused, and for each question the rcode,
the flags and the records of each section; ``silent`` where there was no reply. ``dump`` is what ``-d``
printed.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
from prometheus_client import CollectorRegistry

from rbl.cli import rbldnsdoptions
from rbl.config import Dns
from rbl.responder import filezones
from rbl.responder.client import Client
from rbl.responder.codes import Transport
from rbl.responder.filechanges import Caution
from rbl.responder.filefollower import FileFollower, FileMetrics, parse_assignments
from rbl.zone.rbldnsd.reading import Options

GOLDEN = Path(__file__).parent.parent / "golden" / "rbldnsd"
SECTIONS = ("answer", "authority", "additional")
LOOPBACK = Client(ip_address("127.0.0.1"), Transport.UDP)


def names() -> list[str]:
    """Return the names of all cases."""
    return sorted(path.stem for path in GOLDEN.glob("*.json"))


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded case."""

    name: str
    record: Mapping[str, Any]

    @property
    def arguments(self) -> list[str]:
        """The command line, with an address of our own."""
        return ["-b", "127.0.0.1/0", *self.record["options"], *self.record["zones"]]


def read(name: str) -> Case:
    """Return the case *name*."""
    return Case(name, json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8")))


def ask(asked: Mapping[str, Any]) -> bytes:
    """Return the packet of a question as it is recorded."""
    query = dns.message.make_query(asked["name"], asked["type"], asked.get("class", "IN"))
    query.flags = dns.flags.RD if asked.get("recursion") else dns.flags.Flag(0)
    if "opcode" in asked:
        query.set_opcode(dns.opcode.from_text(asked["opcode"]))
    if "edns" in asked:
        query.use_edns(asked["edns"], payload=1232)
    return query.to_wire()


def show(packet: bytes | None) -> dict[str, Any]:
    """Return a reply in the form of the records; sections in no particular order."""
    if packet is None:
        return {"silent": True}
    message = dns.message.from_wire(packet)
    shown: dict[str, Any] = {
        "rcode": dns.rcode.to_text(message.rcode()),
        "flags": dns.flags.to_text(message.flags),
    }
    for section in SECTIONS:
        lines = [line for rrset in getattr(message, section) for line in rrset.to_text().splitlines()]
        if lines:
            shown[section] = sorted(lines)
    return shown


def expected(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is recorded of a reply, in the form of ``show``."""
    fields = {name: asked[name] for name in ("silent", "rcode", "flags", *SECTIONS) if name in asked}
    return {name: sorted(value) if name in SECTIONS else value for name, value in fields.items()}


class Served:
    """Data files that are read and answered from as ``rbl rbldnsd`` does, without its sockets."""

    def __init__(self, folder: Path, arguments: list[str], files: Mapping[str, str | bytes]) -> None:
        self.line = rbldnsdoptions.parse(arguments)
        for name, text in files.items():
            (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
        self.registry = CollectorRegistry()
        self.follower = FileFollower(
            parse_assignments(self.line.zones),
            Options(
                self.line.ttl_seconds,
                self.line.least_ttl_seconds,
                self.line.most_ttl_seconds,
                self.line.accept_host_bits,
                self.line.decompress,
            ),
            folder,
            FileMetrics(self.registry),
            None if self.line.any_change else Caution(),
        )
        self.loaded = self.follower.follow()

    def reply(self, packet: bytes, client: Client = LOOPBACK) -> bytes | None:
        """Return the reply to *packet*."""
        version = {0: "rbldnsd", 1: "rbldnsd"}.get(self.line.hidden, "")
        style = filezones.Style(Dns(version=version, max_udp_octets=2048), self.line.minimal)
        return filezones.answer(packet, client, self.follower.catalogue, style, time.time()).packet

    def answer(self, name: str, rtype: str = "A", client: Client = LOOPBACK) -> str:
        """Return in one line what is answered: rcode, then the rdata of each record, sorted."""
        packet = self.reply(ask({"name": name, "type": rtype}), client)
        if packet is None:
            return "silent"
        message = dns.message.from_wire(packet)
        rdatas = sorted(rdata.to_text() for rrset in message.answer for rdata in rrset)
        return " ".join([dns.rcode.to_text(message.rcode()), *rdatas])
