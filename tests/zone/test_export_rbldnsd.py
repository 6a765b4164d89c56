"""Lists written for rbldnsd: whoever reads the file answers what the index answers."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.addresses import reversed_labels
from rbl.names import Name
from rbl.terms import Listed
from rbl.zone import export_rbldnsd
from rbl.zone.index import compile_index
from rbl.zone.rbldnsd import dataset
from rbl.zone.rbldnsd.dataset import Spec
from rbl.zone.rbldnsd.filezone import build
from rbl.zone.rbldnsd.generic import MX, TXT, A
from rbl.zone.rbldnsd.kinds import Kind as DatasetKind
from rbl.zone.rbldnsd.nametext import key_of
from rbl.zone.rbldnsd.part import Question, Rrsets
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.zonefile import Kind, ZoneFile
from tests.zone.conftest import make_zone
from tests.zone.written import (
    ASKED,
    ASKED_NAMES,
    LISTED,
    LISTED_NAMES,
    NAMES,
    PAGE,
    REASONS,
    Answer,
    of_index,
    values_of_name,
    zone_with_apex,
)


class FromFile:
    """A zone read from what was written for rbldnsd."""

    def __init__(self, folder: Path, lines: Iterable[str], zone: ZoneFile) -> None:
        (folder / "file").write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.dataset = dataset.read(Spec(DatasetKind.COMBINED, ("file",)), Options(), folder)
        self._zone = build(zone.apex, [self.dataset])

    def answer(self, labels: Name) -> Answer:
        """Return what is answered at *labels* under the apex."""
        rrsets = Rrsets()
        self._zone.find(Question(labels, key_of(labels), 255, 0), rrsets)
        values = sorted(str(IPv4Address(rdata)) for rdata in rrsets.rdatas.get(A, ()))
        texts = sorted(rdata[1:].decode() for rdata in rrsets.rdatas.get(TXT, ()))
        return values, texts, rrsets.ttl_seconds.get(A, 0)


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=60)
@given(listed=st.lists(LISTED, max_size=8))
def test_rbldnsd_file_answers_alike(tmp_path_factory: pytest.TempPathFactory, listed: list[Listed]) -> None:
    """Read as rbldnsd reads it, the file answers what the index does, and no line of it is refused."""
    zone = make_zone(reasons=REASONS)
    index = compile_index(zone, 7, listed)
    file = FromFile(tmp_path_factory.mktemp("export"), export_rbldnsd.lines(index), zone)

    assert () == file.dataset.faults
    assert {str(address): of_index(index, address) for address in ASKED} == {
        str(address): file.answer(reversed_labels(address)) for address in ASKED
    }


def test_head_of_an_rbldnsd_file(tmp_path: Path) -> None:
    """SOA, name servers and the records of the apex are those of the zone file, where rbldnsd has them."""
    zone = zone_with_apex()
    file = FromFile(tmp_path, export_rbldnsd.lines(compile_index(zone, 2**32 + 7, [])), zone)
    soa, servers = file.dataset.soa, file.dataset.name_servers
    rrsets = Rrsets()
    build(zone.apex, [file.dataset]).find(Question((), b"", 255, 0), rrsets)

    assert soa is not None
    assert servers is not None
    assert (300, zone.soa.mname, zone.soa.rname, 7, (3600, 600, 86400, 300)) == (
        soa.ttl_seconds,
        soa.mname,
        soa.rname,
        soa.serial,
        soa.times,
    )
    assert (3600, zone.name_servers) == (servers.ttl_seconds, servers.names)
    assert {
        A: [b"\x05\x00\x00\x01"],
        TXT: [b"\x0cabout a list"],
        MX: [b"\x00\x0a\x02mx\x07example\x00"],
    } == {rtype: list(rdatas) for rtype, rdatas in rrsets.rdatas.items()}


def test_names() -> None:
    """Names and wildcards are written as they are, with TEST and without INVALID."""
    lines = list(export_rbldnsd.lines(compile_index(make_zone(Kind.NAMES), 7, NAMES)))

    assert [
        "$DATASET dnset:relays.example @",
        "$TTL 300",
        f":127.0.0.2:Open relay, see {PAGE}/$",
        "test",
        "bad.example",
        "*.worse.example :127.0.0.2:$$ of $",
    ] == lines[3:]


@settings(deadline=None, max_examples=40)
@given(listed=st.lists(LISTED_NAMES, max_size=6))
def test_names_answer_alike(tmp_path_factory: pytest.TempPathFactory, listed: list[Listed]) -> None:
    """Whatever lies below wildcards, of whatever TTL, the file has the values of the index."""
    zone = make_zone(Kind.NAMES, reasons=REASONS)
    index = compile_index(zone, 7, [one for one in listed if one.subject != "*"])
    file = FromFile(tmp_path_factory.mktemp("export"), export_rbldnsd.lines(index), zone)

    assert () == file.dataset.faults
    assert {labels: values_of_name(index, labels) for labels in ASKED_NAMES} == {
        labels: file.answer(labels)[0] for labels in ASKED_NAMES
    }
