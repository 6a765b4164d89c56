"""Lists of names, held against a model that looks at every listing for every question."""

import itertools
from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.terms import Change, Entry, Listed
from rbl.zone import index
from rbl.zone.zonefile import Kind, ZoneFile
from tests.zone.lists import entry, exemption, listing, live_after


def labels(name: str) -> tuple[bytes, ...]:
    """Return the labels of *name*."""
    return tuple(label.encode() for label in name.split("."))


name_subjects = st.builds(
    lambda star, parts: star + ".".join(parts),
    st.sampled_from(["", "*."]),
    st.lists(st.sampled_from(["a", "b", "test", "invalid"]), min_size=1, max_size=4),
)
name_changes = st.lists(
    st.tuples(
        st.sampled_from([Change.LISTED, Change.LISTED, *Change]),
        name_subjects | st.just("*"),
        st.sampled_from(["open-relay", "multihop", "forgotten"]),
        st.sampled_from([None, "own text"]),
    ),
    max_size=15,
).map(lambda drawn: [entry(serial, *change) for serial, change in enumerate(drawn, start=1)])


def covers(subject: str, name: str) -> bool:
    """Whether *subject* of a list of names is about *name*."""
    return name.endswith(subject.removeprefix("*")) if subject.startswith("*.") else subject in {"*", name}


def name_is_listed(zone: ZoneFile, live: Sequence[Listed], name: str) -> bool:
    """Return whether *name* is listed, by looking at every listing."""
    about = [row for row in live if covers(row.subject, name)]
    if name in {"test", "invalid"}:
        return name == "test"
    return not any(row.exempt for row in about) and any(row.reason in zone.reasons for row in about)


ASKED = [
    ".".join(parts)
    for n in (1, 2, 3)
    for parts in itertools.product(["a", "b", "test", "invalid"], repeat=n)
]


@given(entries=name_changes, cut=st.integers(0, 15))
@settings(max_examples=100, deadline=None)
def test_find_name_agrees_with_a_scan(name_zone: ZoneFile, entries: list[Entry], cut: int) -> None:
    """Compiled or followed, a list of names answers what a scan of all listings answers."""
    live = live_after(entries)
    compiled = index.compile_index(name_zone, 9, live)
    followed = index.compile_index(name_zone, 0, []).apply(entries[:cut]).apply(entries[cut:])

    assert [name_is_listed(name_zone, live, name) for name in ASKED] == [
        compiled.find_name(labels(name)) is not None for name in ASKED
    ]
    assert [compiled.find_name(labels(name)) for name in ASKED] == [
        followed.find_name(labels(name)) for name in ASKED
    ]
    assert [compiled.has_name_below(labels(name)) for name in ASKED] == [
        followed.has_name_below(labels(name)) for name in ASKED
    ]
    assert (compiled.live(), compiled.exempt(), compiled.ignored(), compiled.keys) == (
        followed.live(), followed.exempt(), followed.ignored(), followed.keys,
    )  # fmt: skip


@given(entries=name_changes)
@settings(max_examples=100, deadline=None)
def test_listing_agrees_with_a_scan(name_zone: ZoneFile, entries: list[Entry]) -> None:
    """Of every listed name it is known what lists it: itself, else the nearest wildcard above it."""
    live = live_after(entries)
    compiled = index.compile_index(name_zone, 9, live)
    known = {row.subject for row in live if row.reason in name_zone.reasons}
    listed = [name for name in ASKED if compiled.find_name(labels(name)) and name != "test"]
    expected = [
        next(
            subject
            for subject in (
                name,
                *("*." + ".".join(name.split(".")[at:]) for at in range(1, 1 + name.count("."))),
                "*",
            )
            if subject in known
        )
        for name in listed
    ]

    assert expected == [str(compiled.names.listing(labels(name), compiled.vocabulary)) for name in listed]
    assert compiled.names.listing((b"test",), compiled.vocabulary) is None


@given(entries=name_changes)
@settings(max_examples=100, deadline=None)
def test_names_above_a_listed_name_are_there(name_zone: ZoneFile, entries: list[Entry]) -> None:
    """Above every listed name something is said to be below, or it would be hidden (RFC 8020)."""
    compiled = index.compile_index(name_zone, 9, live_after(entries))
    listed = [name for name in ASKED if compiled.find_name(labels(name))]
    above = [labels(name)[at:] for name in listed for at in range(1, len(labels(name)) + 1)]

    assert [True for _ in above] == [compiled.has_name_below(name) for name in above]


@pytest.mark.parametrize(
    ("name", "below", "reason"),
    [
        ("", True, "TEST is below the apex"),
        ("example", True, "spam.example is"),
        ("spam.example", False, "nothing below a name listed alone"),
        ("wild.example", True, "all names are"),
        ("x.wild.example", True, "all names below it are as well"),
        ("gone.example", False, "only an exempt name is"),
        ("other", False, "nothing at all"),
    ],
)
def test_has_name_below(name_zone: ZoneFile, name: str, below: bool, reason: str) -> None:  # noqa: FBT001 - a table's column
    """A name exists where something below it is listed (RFC 8020)."""
    compiled = index.compile_index(
        name_zone, 1, [listing("spam.example"), listing("*.wild.example"), exemption("ham.gone.example")]
    )

    assert below == compiled.has_name_below(labels(name) if name else ()), reason


def test_each_kind_of_list_holds_its_own_kind(zone: ZoneFile, name_zone: ZoneFile) -> None:
    """A list of addresses has no names and no TEST, and a list of names no addresses."""
    rows = [listing("203.0.113.9/32"), listing("spam.example")]
    of_addresses, of_names = (index.compile_index(one, 1, rows) for one in (zone, name_zone))

    assert [Kind.ADDRESSES, Kind.NAMES] == [of_addresses.zone.kind, of_names.zone.kind]
    assert (None, None) == (
        of_addresses.find_name((b"test",)),
        of_addresses.find_name((b"spam", b"example")),
    )
    assert (None, None) == tuple(of_names.find_address(ip_address(a)) for a in ("203.0.113.9", "127.0.0.2"))


def test_names_above_go_with_the_last_listing_below(name_zone: ZoneFile) -> None:
    """A name exists only as long as something below it is listed."""
    two = index.compile_index(name_zone, 1, [listing("a.example"), listing("b.example")])
    one = two.apply([entry(2, Change.DELISTED, "a.example")])
    none = one.apply([entry(3, Change.DELISTED, "b.example")])

    assert [True, True, False] == [
        generation.has_name_below((b"example",)) for generation in (two, one, none)
    ]
