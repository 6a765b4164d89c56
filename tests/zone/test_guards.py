"""The guards: which generation may take the place of which."""

import dataclasses
from collections.abc import Callable
from ipaddress import IPv4Address

import numpy as np
import pytest

from rbl.errors import BadInput, Conflict
from rbl.names import Name
from rbl.terms import Change, Listed
from rbl.zone import guards
from rbl.zone.answers import Vocabulary
from rbl.zone.family import IPV4
from rbl.zone.flatten import Counts, Rows
from rbl.zone.index import Index, compile_index
from rbl.zone.listednames import NameTable
from rbl.zone.ranges import compile_table
from rbl.zone.zonefile import Kind, Limits, Reason, ZoneFile
from tests.zone.lists import entry, exemption, listing

ZoneWith = Callable[..., ZoneFile]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "an empty list"),
        ([listing("8.8.0.0/16"), listing("2001:4860::/32")], "as wide as is allowed"),
        ([exemption("10.0.0.0/8"), exemption("::/0")], "exemptions list nothing"),
        ([listing("127.0.0.2/32")], "a test point written out says nothing new"),
        ([listing("10.0.0.1/32", "forgotten")], "a reason that the zone file lacks lists nothing"),
    ],
)
def test_check_passes(zone: ZoneFile, rows: list[Listed], reason: str) -> None:
    """A sound list passes as the first one."""
    guards.check(None, compile_index(zone, 1, rows), 0.3)

    assert reason


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("10.1.2.3/32", "10.1.2.3/32 is listed, but 10.0.0.0/8 is reserved: private use (RFC 1918)."),
        ("192.0.2.0/24", "192.0.2.0/24 is listed, but 192.0.2.0/24 is reserved: documentation (RFC 5737)."),
        ("192.0.0.0/16", "192.0.0.0/16 is listed, but 192.0.0.0/24 is reserved: IETF protocol assignments"),
        ("224.0.0.1/32", "224.0.0.1/32 is listed, but 224.0.0.0/4 is reserved: multicast (RFC 5771)."),
        ("8.0.0.0/6", "8.0.0.0/6 is listed, but 10.0.0.0/8 is reserved: private use (RFC 1918)."),
        ("127.0.0.1/32", "127.0.0.1/32 is listed, but 127.0.0.0/8 is reserved: loopback (RFC 1122)."),
        ("127.0.0.4/32", "127.0.0.4/32 is listed, but 127.0.0.0/8 is reserved: loopback (RFC 1122)."),
        (
            "2001:db8::1/128",
            "2001:db8::1/128 is listed, but 2001:db8::/32 is reserved: documentation (RFC 3849).",
        ),
        ("fe80::/10", "fe80::/10 is listed, but fe80::/10 is reserved: link local (RFC 4291)."),
        ("4000::/16", "4000::/16 is listed, but 4000::/2 is reserved: not global unicast (RFC 4291)."),
    ],
)
def test_check_refuses_reserved_space(zone: ZoneFile, subject: str, message: str) -> None:
    """Reserved space is not listed, and no force helps (RFC 6471 §3.5)."""
    candidate = compile_index(zone, 1, [listing(subject)])

    with pytest.raises(BadInput) as refusal:
        guards.check(None, candidate, 1, forced=True)
    assert refusal.value.message.startswith(message)
    assert "reserved" == refusal.value.code


def test_reserved_space_is_listed_where_the_zone_file_says_so(zone_with: ZoneWith) -> None:
    """A zone file may list reserved space, and has its test points all the same."""
    zone = zone_with(limits=Limits(8, 8, list_reserved=True))
    candidate = compile_index(zone, 1, [listing("127.0.0.0/8"), listing("10.0.0.0/8"), listing("fc00::/8")])
    guards.check(None, candidate, 0.3)

    assert candidate.find_address(IPv4Address("127.0.0.1")) is None


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("8.8.0.0/15", "8.8.0.0/15 is listed, wider than the /16 that the zone file allows"),
        ("2001:4860::/31", "2001:4860::/31 is listed, wider than the /32 that the zone file allows"),
    ],
)
def test_check_refuses_wide_networks_unless_forced(zone: ZoneFile, subject: str, message: str) -> None:
    """A network wider than the zone file's limit needs an operator's force."""
    candidate = compile_index(zone, 1, [listing(subject)])
    guards.check(None, candidate, 0.3, forced=True)

    with pytest.raises(BadInput, match=message):
        guards.check(None, candidate, 0.3)


def test_check_refuses_every_name_at_once(name_zone: ZoneFile) -> None:
    """A wildcard for all names there are needs force."""
    candidate = compile_index(name_zone, 1, [listing("*")])
    guards.check(None, candidate, 0.3, forced=True)

    with pytest.raises(BadInput, match=r"\* is listed, which is every name there is"):
        guards.check(None, candidate, 0.3)


def test_check_finds_a_missing_test_point(zone: ZoneFile, zone_with: ZoneWith) -> None:
    """An index made for fewer values than the zone file has is refused."""
    more = zone_with(reasons=(Reason("other", (IPv4Address("127.0.0.9"),), "Other", 60, "Other"),))
    candidate = dataclasses.replace(compile_index(zone, 1, []), zone=more)

    with pytest.raises(BadInput, match=r"127\.0\.0\.9 is not listed, as RFC 5782 §5 requires"):
        guards.check(None, candidate, 0.3, forced=True)


def _with_everything_listed(zone: ZoneFile, name_zone: ZoneFile) -> Index:
    """Return an index in which all IPv4 addresses are listed, without test points."""
    vocabulary = Vocabulary(name_zone)
    rows = Rows(
        IPV4.from_numbers([0]),
        np.zeros(1, dtype=np.uint8),
        np.array([vocabulary.cause("open-relay", None)], dtype=np.uint32),
    )
    table = compile_table(IPV4, rows, vocabulary)
    return dataclasses.replace(compile_index(zone, 1, []), vocabulary=vocabulary, ipv4=table)


def test_check_finds_loopback_listed(zone: ZoneFile, name_zone: ZoneFile) -> None:
    """An index that lists 127.0.0.1 is refused."""
    candidate = _with_everything_listed(zone, name_zone)

    with pytest.raises(BadInput, match=r"127\.0\.0\.1 is listed, which RFC 5782 §5 forbids"):
        guards.check(None, candidate, 0.3, forced=True)


def test_check_knows_the_test_names(zone: ZoneFile, name_zone: ZoneFile) -> None:
    """A list of names without TEST is refused; INVALID is never listed."""
    guards.check(None, compile_index(name_zone, 1, [listing("invalid"), listing("spam.example")]), 0.3)
    candidate = dataclasses.replace(compile_index(zone, 1, []), zone=name_zone)

    with pytest.raises(BadInput, match="TEST is not listed, as RFC 5782 §5 requires"):
        guards.check(None, candidate, 0.3, forced=True)


def _hosts(count: int) -> list[Listed]:
    return [listing(f"8.8.{n >> 8}.{n & 0xFF}/32") for n in range(count)]


@pytest.mark.parametrize(
    ("before", "after", "share", "refused", "reason"),
    [
        (1000, 701, 0.3, False, "299 of 1000"),
        (1000, 700, 0.3, False, "exactly the share"),
        (1000, 699, 0.3, True, "301 of 1000"),
        (1000, 1301, 0.3, True, "new listings count as well"),
        (1000, 0, 1, False, "all of it is allowed"),
        (50, 149, 0.3, False, "99 changes are a day's work, however short the list"),
        (50, 150, 0.3, True, "100 are not"),
        (0, 1000, 0.3, False, "the first filling"),
    ],
)
def test_check_holds_back_great_changes(
    zone: ZoneFile,
    before: int,
    after: int,
    share: float,
    refused: bool,  # noqa: FBT001 - a table's column
    reason: str,
) -> None:
    """A change of more than the set share is held back until forced."""
    previous, candidate = compile_index(zone, 1, _hosts(before)), compile_index(zone, 2, _hosts(after))
    guards.check(previous, candidate, share, forced=True)
    try:
        guards.check(previous, candidate, share)
        held = False
    except Conflict:
        held = True

    assert refused == held, reason


def test_the_refusal_of_a_great_change_has_the_numbers(zone: ZoneFile) -> None:
    """The operator is told how many changes, of how many, between which serials."""
    with pytest.raises(Conflict) as refusal:
        guards.check(compile_index(zone, 1, _hosts(400)), compile_index(zone, 9, _hosts(200)), 0.3)

    assert (
        "200 changes to a list of 400 from serial 1 to 9 are more than the 30% allowed at once: look at the"
        " journal, then force them"
    ) == refusal.value.message


@pytest.mark.parametrize(
    ("change", "subject", "changes", "reason"),
    [
        (Change.DELISTED, "8.8.0.1/32", 1, "a listing went"),
        (Change.DELISTED, "9.9.9.9/32", 0, "it was not there"),
        (Change.LISTED, "8.8.0.1/32", 0, "it was there already"),
        (Change.LISTED, "2001:4860::/48", 1, "an IPv6 listing came"),
        (Change.LISTED, "8.0.0.0/8", 1, "a network wider than a block"),
        (Change.EXEMPTED, "8.8.0.1/32", 1, "an exemption beside the listing"),
        (Change.DELISTED, "2001:4861::/48", 1, "an IPv6 listing went"),
    ],
)
def test_changes_between_generations(
    zone: ZoneFile, change: Change, subject: str, changes: int, reason: str
) -> None:
    """What changed is counted by networks, whether generations share their blocks or not."""
    first = compile_index(zone, 1, [*_hosts(5), listing("2001:4861::/48")])
    followed = first.apply([entry(2, change, subject)])

    assert changes == guards.changes_between(first, followed), reason
    assert changes == guards.changes_between(first, followed.recompiled(zone)), reason


def test_changes_between_generations_of_names(name_zone: ZoneFile) -> None:
    """Names that came, went or became exempt are counted; what the zone file does not know is not."""
    first = compile_index(name_zone, 1, [listing("a.example"), listing("b.example")])
    followed = first.apply(
        [
            entry(2, Change.LISTED, "*.a.example"),
            entry(3, Change.DELISTED, "b.example"),
            entry(4, Change.EXEMPTED, "c.example"),
            entry(5, Change.LISTED, "d.example", "forgotten"),
        ]
    )

    assert (Kind.NAMES, 3) == (followed.zone.kind, guards.changes_between(first, followed))


class _EverythingListed(NameTable):
    """Names of which each is listed, whatever it is."""

    def find(self, labels: Name, vocabulary: Vocabulary) -> int:  # noqa: ARG002 - any name
        return vocabulary.test_name


def test_check_finds_invalid_listed(name_zone: ZoneFile) -> None:
    """An index that lists INVALID is refused."""
    names = _EverythingListed({}, {}, {}, Counts(0, 0, 0))
    candidate = dataclasses.replace(compile_index(name_zone, 1, []), names=names)

    with pytest.raises(BadInput, match="INVALID is listed, which RFC 5782 §5 forbids"):
        guards.check(None, candidate, 0.3, forced=True)
