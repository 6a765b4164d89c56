"""Lists written as master files: who looks names up in one finds what the index has."""

from ipaddress import IPv6Address

import dns.name
import dns.rdatatype
import dns.zone
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.addresses import reversed_labels
from rbl.names import Name
from rbl.terms import Listed
from rbl.zone import export_bind
from rbl.zone.index import compile_index
from rbl.zone.zonefile import Kind
from tests.zone.conftest import make_zone
from tests.zone.lists import listing
from tests.zone.written import (
    ASKED,
    ASKED_NAMES,
    LISTED,
    LISTED_NAMES,
    NAMES,
    PAGE,
    REASONS,
    of_index,
    values_of_name,
    zone_with_apex,
)


@settings(deadline=None, max_examples=60)
@given(listed=st.lists(LISTED.filter(lambda one: not one.subject.endswith("/0")), max_size=8))
def test_master_file_answers_alike(listed: list[Listed]) -> None:
    """Looked up as RFC 4592 says, the master file has the values of the index, and its texts at hosts."""
    zone = make_zone(reasons=REASONS)
    index = compile_index(zone, 7, listed)
    master = read_master("\n".join(export_bind.lines(index)) + "\n")

    expected = {str(address): of_index(index, address)[0] for address in ASKED}
    assert expected == {str(address): look_up(master, reversed_labels(address), "A") for address in ASKED}


def read_master(text: str) -> dns.zone.Zone:
    """Return a master file as dnspython reads it."""
    return dns.zone.from_text(text, check_origin=False)


def look_up(master: dns.zone.Zone, labels: Name, rtype: str) -> list[str]:
    """Return the rdata at *labels*, which a wildcard may stand for (RFC 4592 §3.3)."""
    owners = {name for name, _ in master.iterate_rdatasets()}
    existing = {dns.name.Name(owner.labels[at:]) for owner in owners for at in range(len(owner.labels) + 1)}
    name = dns.name.Name(labels)
    if name not in existing:
        encloser = name
        while encloser not in existing:
            encloser = dns.name.Name(encloser.labels[1:])
        name = dns.name.Name((b"*", *encloser.labels))
    found = master.get_rdataset(name, rtype)
    return sorted(rdata.to_text() for rdata in found) if found is not None else []


def test_whole_master_file() -> None:
    """The master file has the apex, the test points also as mapped addresses, and escaped texts."""
    index = compile_index(zone_with_apex(), 7, [listing("5.0.0.9/32", text='say "\\" \x7f')])
    lines = list(export_bind.lines(index))

    assert [
        "@ 300 IN SOA ns1.example. hostmaster.example. 7 3600 600 86400 300",
        "@ 3600 IN NS ns1.example.",
        "@ 60 IN A 5.0.0.1",
        "@ 60 IN AAAA 2a00::1",
        '@ 60 IN TXT "about a list"',
        "@ 60 IN MX 10 mx.example.",
        "9.0.0.5 300 IN A 127.0.0.2",
        '9.0.0.5 300 IN TXT "say \\"\\\\\\" \\127"',
    ] == lines[3:11]
    mapped = ".".join(reversed(IPv6Address("::ffff:127.0.0.2").exploded.replace(":", "")))
    assert f"{mapped} 300 IN A 127.0.0.2" in lines
    assert "Open relay, see http://127.0.0.1:8080/a/127.0.0.2" in "\n".join(lines)


def test_names() -> None:
    """Names and wildcards are written as they are, with TEST and without INVALID."""
    lines = list(export_bind.lines(compile_index(make_zone(Kind.NAMES), 7, NAMES)))

    assert [
        "test 300 IN A 127.0.0.2",
        f'test 300 IN TXT "Open relay, see {PAGE}/test"',
        "bad.example 300 IN A 127.0.0.2",
        f'bad.example 300 IN TXT "Open relay, see {PAGE}/bad.example"',
        "*.worse.example 300 IN A 127.0.0.2",
        '*.worse.example 300 IN TXT "$ of worse.example"',
    ] == lines[5:]


@settings(deadline=None, max_examples=40)
@given(listed=st.lists(LISTED_NAMES, max_size=6))
def test_names_answer_alike(listed: list[Listed]) -> None:
    """Looked up as RFC 4592 says, whatever lies below wildcards has the values of the index."""
    index = compile_index(make_zone(Kind.NAMES, reasons=REASONS), 7, listed)
    master = read_master("\n".join(export_bind.lines(index)) + "\n")

    assert {labels: values_of_name(index, labels) for labels in ASKED_NAMES} == {
        labels: look_up(master, labels, "A") for labels in ASKED_NAMES
    }
