"""From rbldnsd's data files to listings."""

from collections.abc import Iterable
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.errors import BadInput
from rbl.terms import Listed
from rbl.zone.index import Index, compile_index
from rbl.zone.rbldnsd import dataset
from rbl.zone.rbldnsd.dataset import Dataset, Spec, Watch
from rbl.zone.rbldnsd.filezone import build
from rbl.zone.rbldnsd.generic import TXT, A
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.listings import ListGate, Listings
from rbl.zone.rbldnsd.nametext import key_of
from rbl.zone.rbldnsd.part import Question, Rrsets
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.zonefile import Kind as ListKind
from rbl.zone.zonefile import Limits, Reason, ZoneFile
from tests.zone.conftest import make_zone

BOTH = Reason("both", (IPv4Address("127.0.0.4"), IPv4Address("127.0.0.5")), "Both", 300, "Both")
RELAY = Reason("open-relay", (IPv4Address("127.0.0.2"),), "Open relay, see {url}", 300, "Open relay")
OTHER = Reason("other", (IPv4Address("127.0.0.2"),), "Something else", 300, "Other")
MULTIHOP = Reason("multihop", (IPv4Address("127.0.0.3"),), "Relay chain", 300, "Chain")
REASONS = (RELAY, OTHER, MULTIHOP, BOTH)


def read(folder: Path, zone: ZoneFile, kind: Kind, text: str, reason: str | None = None) -> Dataset:
    """Return a dataset read from *text* as an import does."""
    file = folder / f"{kind}-{len(list(folder.iterdir()))}"
    file.write_text(text, encoding="latin-1")
    watch = Watch(ListGate(zone, reason))
    return dataset.read(Spec(kind, (file.name,)), Options(), folder, watch)


def rows(
    folder: Path, kind: Kind, text: str, zone: ZoneFile | None = None, reason: str | None = None
) -> list[tuple[str, str, str | None]]:
    """Return the listings that *text* makes."""
    zone = zone or make_zone(reasons=REASONS)
    return list(Listings(zone, [read(folder, zone, kind, text, reason)], reason).rows())


NARROW = Limits(24, 48)
_REFUSED = [
    # why, dataset, line, reason
    ("private space", Kind.IP4SET, "10.0.0.1", "reserved: private use (RFC 1918)"),
    ("a range that reaches into reserved space", Kind.IP4SET, "9.255.255.0-10.0.0.3", "reserved: private"),
    ("the test point", Kind.IP4SET, "127.0.0.2", "a test point: the list has its own (RFC 5782 §5)"),
    ("too wide", Kind.IP4TRIE, "5.0.0.0/23", "wider than the /24 that the zone file allows"),
    (
        "no reason has the value",
        Kind.IP4SET,
        "5.0.0.1 :9:x",
        "127.0.0.9 is the value of no reason in the zone",
    ),
    ("parameters", Kind.IP4TRIE, "5.0.0.1 :2:x @ key=require", "parameters after an @: a listing has none"),
    (
        "a field of ours",
        Kind.IP4SET,
        "5.0.0.1 :2:{url}",
        "{address} or {url} in the text would be filled in",
    ),
    ("not UTF-8", Kind.IP4SET, "5.0.0.1 :2:\xe9", "the text is not UTF-8"),
    ("a carriage return", Kind.IP4SET, "5.0.0.1 :2:x\r", "the text has control characters"),
    ("documentation space", Kind.IP6TRIE, "2001:db8::1", "reserved: documentation (RFC 3849)"),
    ("an IPv6 network too wide", Kind.IP6TRIE, "2a00::/32", "wider than the /48 that the zone file allows"),
    ("a mapped address", Kind.IP6TRIE, "::ffff:5.0.0.1", "invalid address"),
    ("an alias", Kind.IP6TRIE, "::ffff:500:1", "an alias of an IPv4 network: list that one"),
    ("a name among addresses", Kind.DNSET, "example.com", "this is a list of addresses"),
    (
        "a record",
        Kind.GENERIC,
        "www A 1.2.3.4",
        "no listing: what the apex answers stands in the zone file",
    ),
]


@pytest.mark.parametrize(("why", "kind", "line", "reason"), _REFUSED, ids=[row[0] for row in _REFUSED])
def test_refused_lines(tmp_path: Path, why: str, kind: Kind, line: str, reason: str) -> None:
    """What a list cannot have is refused with the number of its line and the reason."""
    zone = make_zone(reasons=REASONS, limits=NARROW)
    found = read(tmp_path, zone, kind, f"\n{line}\n")

    assert (1, 2, True) == (len(found.faults), found.faults[0].line, reason in found.faults[0].reason)
    assert [] == list(Listings(zone, [found]).rows())


_NAMES_REFUSED = [
    ("odd octets", Kind.DNSET, "a\\032b.com", "a name has letters, digits, hyphens and underscores only"),
    (
        "a star that is a label",
        Kind.DNSET,
        "x.\\*.com",
        "a name has letters, digits, hyphens and underscores only",
    ),
    (
        "a star before a wildcard",
        Kind.DNSET,
        "*.*.example.com",
        "a name has letters, digits, hyphens and underscores only",
    ),
    ("an address", Kind.IP4SET, "5.0.0.1", "this is a list of names"),
    ("an IPv6 address", Kind.IP6TSET, "2a00:0:0:1", "this is a list of names"),
]


@pytest.mark.parametrize(
    ("why", "kind", "line", "reason"), _NAMES_REFUSED, ids=[row[0] for row in _NAMES_REFUSED]
)
def test_refused_lines_of_a_list_of_names(
    tmp_path: Path, why: str, kind: Kind, line: str, reason: str
) -> None:
    """A list of names takes names alone."""
    zone = make_zone(ListKind.NAMES, REASONS)
    found = read(tmp_path, zone, kind, line + "\n")

    assert [reason] == [fault.reason for fault in found.faults]


_TAKEN = [
    # why, dataset, text, rows
    ("one address", Kind.IP4SET, "5.0.0.1", [("5.0.0.1/32", "open-relay", None)]),
    ("a member of a set", Kind.IP4TSET, ":3:x\n5.0.0.1", [("5.0.0.1/32", "multihop", "x")]),
    (
        "the reason's own text is not kept twice",
        Kind.IP4SET,
        "5.0.0.1 :3:Relay chain",
        [("5.0.0.1/32", "multihop", None)],
    ),
    (
        "of two reasons with a value the one whose text it is",
        Kind.IP4SET,
        "5.0.0.1 :2:Something else",
        [("5.0.0.1/32", "other", None)],
    ),
    (
        "what was asked for",
        Kind.IP4SET,
        "5.0.0.1 :2:see $ $$",
        [("5.0.0.1/32", "open-relay", "see {address} $")],
    ),
    (
        "an exclusion cuts a network",
        Kind.IP4SET,
        "5.0.0.0/30\n!5.0.0.1",
        [("5.0.0.0/32", "open-relay", None), ("5.0.0.2/31", "open-relay", None)],
    ),
    (
        "two texts of one value are two reasons",
        Kind.IP4SET,
        "5.0.0.1 :2:a\n5.0.0.1 :2:b",
        [("5.0.0.1/32", "open-relay", "a"), ("5.0.0.1/32", "other", "b")],
    ),
    (
        "values that a reason has together",
        Kind.IP4SET,
        "5.0.0.1 :4:x\n5.0.0.1 :5:x\n5.0.0.1 :3:y",
        [("5.0.0.1/32", "both", "x"), ("5.0.0.1/32", "multihop", "y")],
    ),
    (
        "networks that touch stay as narrow as the zone file wants",
        Kind.IP4SET,
        "5.0.0.0/16\n5.1.0.0/16",
        [("5.0.0.0/16", "open-relay", None), ("5.1.0.0/16", "open-relay", None)],
    ),
    ("an IPv6 network", Kind.IP6TRIE, "2a00:1:2::/48 :3", [("2a00:1:2::/48", "multihop", None)]),
    (
        "an exclusion cuts an IPv6 network, in reserved space it is nothing",
        Kind.IP6TRIE,
        "2a00:1:2::/127\n!2a00:1:2::1\n!2001:db8::1",
        [("2a00:1:2::/128", "open-relay", None)],
    ),
    ("an IPv6 subnet", Kind.IP6TSET, "2a00:0:0:1", [("2a00:0:0:1::/64", "open-relay", None)]),
    (
        "one file for the zone and its sub-zones",
        Kind.COMBINED,
        "$DATASET ip4set:x @ sub\n5.0.0.1\n$DATASET ip4set:y sub\n5.0.0.2",
        [("5.0.0.1/32", "open-relay", None)],
    ),
]


@pytest.mark.parametrize(("why", "kind", "text", "expected"), _TAKEN, ids=[row[0] for row in _TAKEN])
def test_taken_lines(
    tmp_path: Path, why: str, kind: Kind, text: str, expected: list[tuple[str, str, str | None]]
) -> None:
    """Each entry becomes the listings that answer as it does."""
    assert expected == rows(tmp_path, kind, text + "\n")


def test_names(tmp_path: Path) -> None:
    """Names are listed as they are, wildcards below a name; a wildcard's text speaks of the entry."""
    text = "plain.com :2:about $\n*.below.com :2:about $\n.both.com\n"
    zone = make_zone(ListKind.NAMES, REASONS)

    assert [
        ("plain.com", "open-relay", "about {address}"),
        ("both.com", "open-relay", None),
        ("*.below.com", "open-relay", "about below.com"),
        ("*.both.com", "open-relay", None),
    ] == rows(tmp_path, Kind.DNSET, text, zone)


def test_exclusions_of_names(tmp_path: Path) -> None:
    """An exclusion hides what its dataset has above, and is told where nothing else lists the name."""
    text = (
        "$DATASET dnset @\n*.example.com :2:\n!a.example.com\n!b.example.com\n"
        "$DATASET dnset @\na.example.com :3:\n"
    )
    zone = make_zone(ListKind.NAMES, REASONS)
    listings = Listings(zone, [read(tmp_path, zone, Kind.COMBINED, text)])

    assert [
        ("a.example.com", "multihop", None),
        ("*.example.com", "open-relay", None),
    ] == list(listings.rows())
    assert ["!b.example.com: an exclusion of a name: a list of names has none"] == listings.lost


def test_one_reason_for_all(tmp_path: Path) -> None:
    """A reason that is named is for every entry, whatever its value; of two texts one is kept."""
    zone = make_zone(reasons=REASONS)
    found = read(tmp_path, zone, Kind.IP4SET, "5.0.0.1 :9:a\n5.0.0.1 :8:b\n", "multihop")
    listings = Listings(zone, [found], "multihop")

    assert [("5.0.0.1/32", "multihop", "a")] == list(listings.rows())
    assert ["127.0.0.8: of several texts for multihop at one place one was kept"] == listings.lost


def test_an_unknown_reason(tmp_path: Path) -> None:
    """A reason that the zone file does not have is refused with those it has."""
    with pytest.raises(
        BadInput, match=r"'none' is no reason of relays\.example: known are open-relay, multihop"
    ):
        Listings(make_zone(), [], "none")


def test_a_variable_that_a_listing_cannot_say(tmp_path: Path) -> None:
    """A variable is in many texts: one with a field of ours refuses the dataset."""
    zone = make_zone(reasons=REASONS)
    found = read(tmp_path, zone, Kind.IP4SET, "$1 {url}\n5.0.0.1 :2:$1\n")

    with pytest.raises(BadInput, match="would be filled in"):
        Listings(zone, [found])


def test_half_a_reason_is_told(tmp_path: Path) -> None:
    """A value that a reason has only with others cannot be listed without them."""
    zone = make_zone(reasons=REASONS)
    listings = Listings(zone, [read(tmp_path, zone, Kind.IP4SET, "5.0.0.1 :4:x\n")])

    assert [] == list(listings.rows())
    assert ["127.0.0.4 without the other values of its reason: no reason is this one"] == listings.lost


def test_what_is_for_sub_zones_alone_is_told(tmp_path: Path) -> None:
    """Entries for names below the apex are not of this list, and that is told."""
    zone = make_zone(reasons=REASONS)
    found = read(tmp_path, zone, Kind.COMBINED, "$DATASET ip4set sub\n5.0.0.1\n")

    assert ["ip4set with 1 entries: it is for names below the apex"] == Listings(zone, [found]).lost


_HOST = st.integers(0, 3)
_ENTRY = st.builds(
    lambda not_listed, text, value: f"{'!' if not_listed else ''}{text}{value}",
    st.booleans(),
    st.one_of(
        st.builds("5.0.{}.{}".format, _HOST, _HOST),
        st.builds("5.0.{}.{}-{}".format, _HOST, _HOST, st.integers(3, 9)),
        st.builds("5.0.{}".format, _HOST),
        st.builds("5.0.0.0/{}".format, st.integers(22, 31)),
    ),
    st.sampled_from(["", " :2:text $", " :3"]),
)


@pytest.mark.unmeasured
@settings(deadline=None, max_examples=50)
@given(entries=st.lists(st.lists(_ENTRY, max_size=8), min_size=1, max_size=2))
def test_listings_answer_what_the_files_did(
    tmp_path_factory: pytest.TempPathFactory, entries: list[list[str]]
) -> None:
    """Whatever lies inside what, every address has the values and the texts of the files."""
    folder = tmp_path_factory.mktemp("files")
    zone = make_zone(reasons=(RELAY, MULTIHOP, BOTH))
    datasets = [read(folder, zone, Kind.IP4SET, "\n".join(lines) + "\n") for lines in entries]
    listed = [Listed(*row, exempt=False) for row in Listings(zone, datasets).rows()]
    index = compile_index(zone, 1, listed)

    expected = {address: _of_files(datasets, address) for address in _asked()}
    assert expected == {address: _of_index(index, address) for address in _asked()}


def _asked() -> Iterable[str]:
    return [f"5.0.{third}.{fourth}" for third in range(5) for fourth in (0, 1, 2, 3, 4, 9, 10, 200)]


def _of_files(datasets: list[Dataset], address: str) -> tuple[set[str], bool]:
    """Return the values at *address*, and whether the text of the files is there."""
    labels = tuple(label.encode() for label in reversed(address.split(".")))
    rrsets = Rrsets()
    build((b"relays", b"example"), datasets).find(Question(labels, key_of(labels), 255, 0), rrsets)
    values = {str(IPv4Address(rdata)) for rdata in rrsets.rdatas.get(A, ())}
    return values, any(f"text {address}".encode() in rdata for rdata in rrsets.rdatas.get(TXT, ()))


def _of_index(index: Index, address: str) -> tuple[set[str], bool]:
    found = index.find_address(ip_address(address))
    if found is None:
        return set(), False
    texts = [index.zone.render(text, address) for text in found.texts]
    return {str(value) for value in found.values}, f"text {address}" in texts
