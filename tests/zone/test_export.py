"""What every form of a written-out list has in common."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from rbl.zone import export
from rbl.zone.index import compile_index
from rbl.zone.zonefile import Kind, Reason
from tests.zone.conftest import make_zone
from tests.zone.lists import exemption, listing
from tests.zone.written import NAMES


@pytest.mark.parametrize(
    ("why", "template", "expected"),
    [
        ("nothing to fill in", "Listed", ["Listed"]),
        ("the address", "{address} is listed", ["", " is listed"]),
        ("the page about it", "see {url}.", ["see http://127.0.0.1:8080/a/", "."]),
        ("what is no field stays", "{other} {", ["{other} {"]),
    ],
)
def test_pieces_of_a_text(why: str, template: str, expected: list[str]) -> None:
    """Between two pieces stands what was asked for."""
    assert expected == export.pieces(make_zone(), template)


def test_pairs() -> None:
    """The values of a reason stand with its text, those of a test point with the text of each reason."""
    two, three, four = (IPv4Address(f"127.0.0.{last}") for last in (2, 3, 4))
    reasons = (
        Reason("first", (two, three), "a", 300, "First"),
        Reason("second", (three, four), "b", 300, "Second"),
    )
    both = [listing("5.0.0.1/32", "first"), listing("5.0.0.1/32", "second", "own")]
    index = compile_index(make_zone(reasons=reasons), 7, both)
    found = export.pairs(index)
    of_both, of_three = (index.find_address(IPv4Address(one)) for one in ("5.0.0.1", "127.0.0.3"))
    assert of_both is not None
    assert of_three is not None

    assert [(two, "a"), (three, "a"), (three, "own"), (four, "own")] == found[of_both]
    assert [(three, "a"), (three, "b")] == found[of_three]


def test_ipv4_within_ipv6_is_no_matter_of_ipv6() -> None:
    """What lists the IPv6 networks around mapped and 6to4 addresses does not list them."""
    index = compile_index(make_zone(), 7, [listing("::/0")])
    found = [
        (IPv6Address(one.first), IPv6Address(one.last))
        for one in export.addresses(index)
        if one.bits == 128
    ]
    edges = (
        "::",
        "::fffe:ffff:ffff",
        "::1:0:0:0",
        "2001:" + "ffff:" * 6 + "ffff",
        "2003::",
        "ffff:" * 7 + "ffff",
    )

    assert [*map(IPv6Address, edges)] == [edge for one in found for edge in one]


def test_listed_names() -> None:
    """TEST comes first, INVALID and TEST of the list's own are passed over, exceptions have no answer."""
    excepted = [exemption("fine.worse.example"), exemption("*.fine.example")]
    names = compile_index(make_zone(Kind.NAMES), 7, [*NAMES, *excepted])

    assert [
        ("test", True),
        ("bad.example", True),
        ("fine.worse.example", False),
        ("*.worse.example", True),
    ] == [(str(subject), answer is not None) for subject, answer in export.names(names)]
    assert [] == list(export.names(compile_index(make_zone(), 7, [])))


def test_names_between() -> None:
    """Names above others are there too where a wildcard stands for them, each with what is below it."""
    found = [listing("a.b.worse.example"), listing("*.worse.example"), listing("bad.example")]
    names = compile_index(make_zone(Kind.NAMES), 7, [*found, exemption("fine.worse.example")])

    assert [
        ("test", True),
        ("a.b.worse.example", True),
        ("*.a.b.worse.example", True),
        ("b.worse.example", True),
        ("*.b.worse.example", True),
        ("*.worse.example", True),
        ("bad.example", True),
        ("fine.worse.example", False),
        ("*.fine.worse.example", True),
    ] == [(str(subject), answer is not None) for subject, answer in export.names_and_above(names)]
    assert [] == list(export.names_and_above(compile_index(make_zone(), 7, [])))


def test_listed_addresses() -> None:
    """Ranges come by family and address, test points among them."""
    index = compile_index(make_zone(), 7, [listing("2a00::/16"), listing("5.0.0.0/31")])
    first = int(IPv4Address("5.0.0.0"))

    assert [(first, first + 1, 32), (0x2A00 << 112, (0x2A01 << 112) - 1, 128)] == [
        (each.first, each.last, each.bits) for each in export.addresses(index) if each.first >> 24 != 127
    ]


def test_dotted() -> None:
    """Odd octets of a name are escaped."""
    assert "host\\.master.example" == export.dotted((b"host.master", b"example"))
