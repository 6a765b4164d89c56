"""Lists written as master files: who looks names up in one finds what the index has."""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address

import dns.zone
import pytest
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

# Names of both families meet below 5 and 0.5: 5.0.0.0/16, 5000::/4, and what lies in them.
_MEETING = st.builds(
    listing,
    st.sampled_from(["5000::/4", "5000::/8", "5001::/16", "5000:1::/32", "5001:2300::/24", "5.0.0.0/24"]),
    st.sampled_from(["open-relay", "multihop"]),
)
_NARROW = LISTED.filter(lambda one: not one.subject.endswith(("/0", "/9")))
_MET = [
    *ASKED,
    *map(ip_address, ("5000::", "5001::", "5001:23ff::1", "5002::", "5900::1", "5a00::", "5fff::1")),
]


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=40)
@given(listed=st.lists(st.one_of(_NARROW, _MEETING), max_size=8))
def test_master_file_answers_alike(listed: list[Listed]) -> None:
    """Looked up as RFC 4592 says, the master file has the values of the index, and its texts at hosts."""
    zone = make_zone(reasons=REASONS)
    index = compile_index(zone, 7, listed)
    master = Master(export_bind.lines(index))

    expected = {str(address): of_index(index, address)[0] for address in _MET}
    assert expected == {str(address): master.values(reversed_labels(address)) for address in _MET}


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("2.0.0.0/8", export_bind.MOST_FOR_AN_OCTET),
        ("2.0.0.0/16", 246 + 10 * 256),
        ("2.0.0.0/24", 256),
        ("2.10.0.0/16", 1),
        ("20.0.0.0/8", 1),
        ("2000::/4", 6 + 10 * 6 + 100 * 16 - 1),  # 2002::/16 is answered as IPv4
        ("2000::/16", 1),
        ("a000::/4", 1),
    ],
)
def test_what_is_written_out(subject: str, names: int) -> None:
    """A network costs a wildcard, or where both families meet, the names that are promised at most."""
    plain = compile_index(make_zone(), 7, [])
    index = compile_index(make_zone(), 7, [listing(subject)])
    own = set(Master(export_bind.lines(index)).owners) - set(Master(export_bind.lines(plain)).owners)

    assert names == len(own)


class Master:
    """The addresses of a master file, looked up as a name server does (RFC 4592 §3.3)."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.owners: dict[Name, list[str]] = {}
        for line in lines:
            owner, _, rest = line.partition(" ")
            if owner[0] not in ";$@":
                values = self.owners.setdefault(tuple(owner.encode().split(b".")), [])
                values += rest.split()[3:] if rest.split()[2] == "A" else []
        self._existing = {owner[at:] for owner in self.owners for at in range(len(owner) + 1)} | {()}

    def values(self, labels: Name) -> list[str]:
        """Return the addresses at *labels*, or at the wildcard that stands for them."""
        if labels not in self._existing:
            above = next(labels[at:] for at in range(len(labels) + 1) if labels[at:] in self._existing)
            labels = (b"*", *above)
        return sorted(self.owners.get(labels, []))


def test_whole_master_file() -> None:
    """The master file has the apex, the test points also as mapped addresses, and escaped texts."""
    index = compile_index(zone_with_apex(), 7, [listing("5.0.0.9/32", text='say "\\" \x7f')])
    lines = list(export_bind.lines(index))

    dns.zone.from_text("\n".join(lines) + "\n", check_origin=False)
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


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=40)
@given(listed=st.lists(LISTED_NAMES, max_size=6))
def test_names_answer_alike(listed: list[Listed]) -> None:
    """Looked up as RFC 4592 says, whatever lies below wildcards has the values of the index."""
    index = compile_index(make_zone(Kind.NAMES, reasons=REASONS), 7, listed)
    master = Master(export_bind.lines(index))

    assert {labels: values_of_name(index, labels) for labels in ASKED_NAMES} == {
        labels: master.values(labels) for labels in ASKED_NAMES
    }
