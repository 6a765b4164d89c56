"""The zone index, held against a model that looks at every listing for every question."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.errors import Conflict
from rbl.terms import Address, Change, Entry, Listed, Network
from rbl.zone import index
from rbl.zone.index import AnswerSet, Index
from rbl.zone.zonefile import Reason, ZoneFile
from tests.zone.lists import entry, exemption, listing, live_after

ZoneWith = Callable[..., ZoneFile]


# --- the model -----------------------------------------------------------------------------------


def inner(address: Address) -> Address:
    """Return the IPv4 address inside a mapped or 6to4 address, or the address itself."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def inner_network(text: str) -> Network | None:
    """Return the network a subject is about; none where an IPv4 network answers in its place."""
    network = ip_network(text)
    inside = any(
        isinstance(network, IPv6Network) and network.subnet_of(IPv6Network(other))
        for other in ("2002::/16", "::ffff:0:0/96")
    )
    return None if inside else network


TEST_POINTS = {
    ip_address("127.0.0.1"): None,
    ip_address("127.0.0.2"): AnswerSet((IPv4Address("127.0.0.2"),), ("Open relay, see {url}",), 300),
    ip_address("127.0.0.3"): AnswerSet((IPv4Address("127.0.0.3"),), ("Relay chain, see {url}",), 200),
}


def find_by_scan(zone: ZoneFile, live: Sequence[Listed], address: Address) -> AnswerSet | None:
    """Return what *address* answers, by looking at every listing."""
    address = inner(address)
    if address in TEST_POINTS:
        return TEST_POINTS[address]
    around = [
        (network, row) for row in live if (network := inner_network(row.subject)) and address in network
    ]
    if any(row.exempt for _, row in around):
        return None
    known = [(network, row) for network, row in around if row.reason in zone.reasons]
    if not known:
        return None
    longest = max(network.prefixlen for network, _ in known)
    rows = {row.reason: row for network, row in known if network.prefixlen == longest}
    reasons = [reason for name, reason in zone.reasons.items() if name in rows]
    texts = [rows[reason.name].text for reason in reasons]
    return AnswerSet(
        tuple(sorted({value for reason in reasons for value in reason.addresses})),
        tuple(
            dict.fromkeys(
                reason.text if text is None else text for reason, text in zip(reasons, texts, strict=True)
            )
        ),
        min(reason.ttl_seconds for reason in reasons),
    )


def edges(live: Sequence[Listed]) -> list[Address]:
    """Return the addresses at and beside both ends of every listing: where an answer may change."""
    found: set[Address] = set(TEST_POINTS) | {IPv4Address(0), IPv6Address(0), IPv4Address("127.0.0.4")}
    for row in live:
        network = inner_network(row.subject)
        if network is not None:
            first, last = int(network.network_address), int(network.broadcast_address)
            kind = type(network.network_address)
            found |= {
                kind(n) for n in (first - 1, first, last, last + 1) if 0 <= n < 2**network.max_prefixlen
            }
    return sorted(found, key=lambda address: (address.version, int(address)))


# --- what is drawn -------------------------------------------------------------------------------

# Few bits vary, so that networks meet, nest and repeat; lengths on both sides of a block's 16 bits.
ipv4_networks = st.builds(
    lambda value, length: str(ip_network((value, length), strict=False)),
    st.sampled_from([0x00000000, 0x7F000000, 0xCB007100, 0xCB010000, 0xFFFF0000]).flatmap(
        lambda base: st.integers(0, 0xFF).map(lambda low: base | low)
    ),
    st.sampled_from([0, 8, 14, 15, 16, 17, 23, 24, 24, 29, 30, 31, 31, 32, 32, 32]),
)
ipv6_networks = st.builds(
    lambda base, low, length: str(ip_network((base | low, length), strict=False)),
    st.sampled_from(
        [0, 0xFFFF00000000, 0x2002CB00710000000000000000000000, 0x20014860 << 96, ((1 << 112) - 1) << 16]
    ),
    st.sampled_from([0, 1, 2, 3, 0xFFFF]),
    st.sampled_from([0, 14, 15, 16, 17, 32, 33, 48, 64, 65, 95, 96, 120, 127, 128, 128]),
)
changes = st.lists(
    st.tuples(
        st.sampled_from([Change.LISTED, Change.LISTED, Change.LISTED, *Change]),
        ipv4_networks | ipv6_networks,
        st.sampled_from(["open-relay", "multihop", "forgotten"]),
        st.sampled_from([None, None, "own text"]),
    ),
    max_size=20,
).map(lambda drawn: [entry(serial, *change) for serial, change in enumerate(drawn, start=1)])


def answers(generation: Index, addresses: Iterable[Address]) -> list[tuple[Address, AnswerSet | None]]:
    """Return what *generation* answers for each of *addresses*."""
    return [(address, generation.find_address(address)) for address in addresses]


@given(entries=changes)
@settings(max_examples=100, deadline=None)
def test_find_address_agrees_with_a_scan(zone: ZoneFile, entries: list[Entry]) -> None:
    """An index answers at every edge of every listing what a scan of all listings answers."""
    live = live_after(entries)
    compiled = index.compile_index(zone, 9, live)
    at = edges(live)

    assert [(address, find_by_scan(zone, live, address)) for address in at] == answers(compiled, at)


@given(entries=changes, cut=st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_listed_networks_agree_with_a_scan(zone: ZoneFile, entries: list[Entry], cut: int) -> None:
    """Of every listed address it is known which network lists it: the most specific of a known reason."""
    live = live_after(entries)
    followed = index.compile_index(zone, 0, []).apply(entries[:cut]).apply(entries[cut:])
    known = [
        network for row in live if row.reason in zone.reasons and (network := inner_network(row.subject))
    ]
    listed = [
        address
        for address in edges(live)
        if inner(address) not in TEST_POINTS and followed.find_address(address)
    ]
    expected = {
        address: max(
            (network for network in known if inner(address) in network),
            key=lambda network: network.prefixlen,
        )
        for address in listed
    }

    assert expected == followed.listed_networks(listed)


@pytest.mark.parametrize("address", ["203.0.113.10", "127.0.0.2", "::ffff:7f00:2", "2001:4860::1"])
def test_what_is_not_listed_is_in_no_listed_network(zone: ZoneFile, address: str) -> None:
    """Neither test points, nor what an unknown reason or an exemption alone is about."""
    compiled = index.compile_index(
        zone, 9, [listing("203.0.113.10/32", "forgotten"), exemption("2001:4860::/32")]
    )

    assert {} == compiled.listed_networks([ip_address(address)])


@given(entries=changes, cuts=st.lists(st.integers(0, 30), max_size=4))
@settings(max_examples=100, deadline=None)
def test_apply_answers_what_compiling_answers(
    zone: ZoneFile, entries: list[Entry], cuts: list[int]
) -> None:
    """A list followed in batches of any size answers and counts what a list compiled at once does."""
    live = live_after(entries)
    compiled = index.compile_index(zone, len(entries), live)
    followed = index.compile_index(zone, 0, [])
    bounds = [0, *sorted(cuts), len(entries)]
    for begin, end in itertools.pairwise(bounds):
        followed = followed.apply(entries[begin:end])
    at = edges(live_after([*entries, *(entry(0, Change.LISTED, e.subject) for e in entries)]))

    assert answers(compiled, at) == answers(followed, at)
    assert (compiled.live(), compiled.exempt(), compiled.ignored(), compiled.serial) == (
        followed.live(), followed.exempt(), followed.ignored(), followed.serial,
    )  # fmt: skip
    assert compiled.keys == followed.keys


@given(entries=changes, asked=ipv4_networks | ipv6_networks)
@settings(max_examples=100, deadline=None)
def test_has_below_agrees_with_a_scan(zone: ZoneFile, entries: list[Entry], asked: str) -> None:
    """A network has something below exactly where one of its addresses is listed."""
    live = live_after(entries)
    compiled = index.compile_index(zone, 9, live).apply([entry(9, Change.LISTED, "203.0.113.77/32")])
    live = [*live, listing("203.0.113.77/32")]
    network = ip_network(asked)
    inside: list[Address] = [network.network_address]
    inside += [address for address in edges(live) if address in network]
    if isinstance(network, IPv6Network):
        forms = [IPv6Address(f"::ffff:{a}") for a in edges(live) if isinstance(a, IPv4Address)]
        forms += [
            IPv6Address(0x2002 << 112 | int(a) << 80) for a in edges(live) if isinstance(a, IPv4Address)
        ]
        inside += [address for address in forms if address in network]

    assert any(find_by_scan(zone, live, address) for address in inside) == compiled.has_below(network)


# --- by example ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "values", "reason"),
    [
        ("203.0.113.9", ["127.0.0.2"], "the most specific network wins"),
        ("203.0.113.8", ["127.0.0.3"], "the wider one answers beside it"),
        ("203.0.114.0", [], "just after the end of a network"),
        ("8.8.8.8", [], "an exemption inside a listing"),
        ("8.8.4.4", [], "a listing inside an exemption is hidden too"),
        ("8.9.0.0", ["127.0.0.3"], "just after an exemption the listing goes on"),
        ("9.9.9.9", ["127.0.0.2", "127.0.0.3"], "two reasons at one network both answer"),
        ("::ffff:203.0.113.9", ["127.0.0.2"], "an IPv4-mapped address is the IPv4 address"),
        ("2002:cb00:7109::1", ["127.0.0.2"], "so is a 6to4 address"),
        ("2001:4860:0:1::", ["127.0.0.2"], "IPv6"),
        ("2001:4861::", [], "just after an IPv6 network"),
        ("127.0.0.2", ["127.0.0.2"], "RFC 5782 §5"),
        ("127.0.0.3", ["127.0.0.3"], "RFC 5782 §5: a test point for each value"),
        ("::ffff:7f00:2", ["127.0.0.2"], "RFC 5782 §5"),
        ("127.0.0.1", [], "RFC 5782 §5"),
        ("::ffff:7f00:1", [], "RFC 5782 §5"),
        ("127.0.0.4", [], "no reason has this value"),
    ],
)
def test_find_address(zone: ZoneFile, address: str, values: list[str], reason: str) -> None:
    """Each address answers by the most specific listing around it, unless it is exempt."""
    compiled = index.compile_index(
        zone,
        1,
        [
            listing("203.0.113.9/32"),
            listing("203.0.113.0/24", "multihop"),
            listing("8.0.0.0/8", "multihop"),
            exemption("8.8.0.0/16"),
            listing("8.8.4.4/32"),
            listing("9.9.9.9/32", "multihop"),
            listing("9.9.9.9/32", "open-relay"),
            listing("2001:4860::/32"),
        ],
    )
    answer = compiled.find_address(ip_address(address))

    assert values == [str(value) for value in answer.values] if answer else values == [], reason


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("127.0.0.0/8", "an exemption around the test points"),
        ("0.0.0.0/0", "an exemption of everything"),
        ("127.0.0.2/32", "an exemption of the test point itself"),
    ],
)
def test_test_points_cannot_be_switched_off(zone: ZoneFile, subject: str, reason: str) -> None:
    """The test points are listed whatever is exempt (RFC 5782 §5)."""
    compiled = index.compile_index(zone, 1, [exemption(subject)])

    assert compiled.find_address(ip_address("127.0.0.2")) is not None, reason


def test_the_first_test_point_answers_with_the_first_reason(zone_with: ZoneWith) -> None:
    """Where no reason has 127.0.0.2, it answers with the values of the first reason."""
    value = IPv4Address("127.0.0.7")
    zone = zone_with(reasons=(Reason("other", (value,), "Other", 60, "Other"),))
    answer = index.compile_index(zone, 1, []).find_address(ip_address("127.0.0.2"))

    assert AnswerSet((value,), ("Other",), 60) == answer


def test_reasons_with_one_value_share_its_test_point(zone_with: ZoneWith) -> None:
    """A value that two reasons have is tested with the texts of both."""
    value = IPv4Address("127.0.0.2")
    zone = zone_with(
        reasons=(Reason("one", (value,), "One", 60, "One"), Reason("two", (value,), "Two", 30, "Two"))
    )
    answer = index.compile_index(zone, 1, []).find_address(value)

    assert AnswerSet((value,), ("One", "Two"), 30) == answer


def test_a_listings_own_text_wins(zone: ZoneFile) -> None:
    """A listing with a text of its own answers that text in place of its reason's."""
    compiled = index.compile_index(zone, 1, [listing("203.0.113.9/32", text="{own}")])
    answer = compiled.find_address(ip_address("203.0.113.9"))

    assert AnswerSet((IPv4Address("127.0.0.2"),), ("{own}",), 300) == answer


def test_listing_again_replaces_the_text(zone: ZoneFile) -> None:
    """A second entry for the same network and reason takes the place of the first."""
    compiled = index.compile_index(zone, 1, [listing("203.0.113.9/32", text="old")])
    applied = compiled.apply([entry(2, Change.LISTED, "203.0.113.9/32", text="new")])
    found = [one.find_address(ip_address("203.0.113.9")) for one in (compiled, applied)]

    assert [("old",), ("new",), 1] == [*(answer.texts for answer in found if answer), applied.live()]


def test_unknown_reasons_are_counted_and_answer_nothing(zone: ZoneFile) -> None:
    """A listing whose reason left the zone file does not hide the wider one around it."""
    compiled = index.compile_index(
        zone,
        1,
        [listing("203.0.113.9/32", "forgotten"), listing("203.0.113.0/24"), exemption("8.8.8.8/32")],
    )

    assert compiled.find_address(ip_address("203.0.113.9")) is not None
    assert (1, 1, 1) == (compiled.live(), compiled.exempt(), compiled.ignored())


def test_unusable_subjects_are_counted_until_they_go(zone: ZoneFile) -> None:
    """A subject that is no network is set aside, counted, and forgotten when it is delisted."""
    compiled = index.compile_index(zone, 1, [listing("mail.example")])
    gone = compiled.apply(
        [entry(2, Change.DELISTED, "mail.example"), entry(3, Change.DELISTED, "nonsense")]
    )

    assert (1, 0) == (compiled.ignored(), gone.ignored())


def test_names_that_are_none_are_unusable(name_zone: ZoneFile) -> None:
    """In a list of names too, a subject that is no name is set aside and counted."""
    compiled = index.compile_index(name_zone, 1, [listing("a..b"), listing("192.0.2.0/24"), listing("a.b")])

    assert (1, 2) == (compiled.live(), compiled.ignored())


@pytest.mark.parametrize(
    ("serial", "next_serial", "reason"),
    [
        (5, 4, "one before the last"),
        (2**32 - 1, 2**31 - 1, "RFC 1982: half the circle away is not after"),
        (0, 2**32 - 1, "RFC 1982: before, on the other side of the wrap"),
    ],
)
def test_apply_refuses_entries_out_of_order(
    zone: ZoneFile, serial: int, next_serial: int, reason: str
) -> None:
    """An entry from before the index's serial is refused: the journal was mixed up."""
    compiled = index.compile_index(zone, serial, [])

    with pytest.raises(Conflict, match=f"serial {next_serial} comes after serial {serial}"):
        compiled.apply([entry(next_serial, Change.LISTED, "203.0.113.9/32")])
    assert serial == compiled.serial, reason


def test_apply_goes_on_after_the_wrap(zone: ZoneFile) -> None:
    """Serial 0 follows serial 4294967295 (RFC 1982)."""
    compiled = index.compile_index(zone, 2**32 - 1, [])

    assert 0 == compiled.apply([entry(0, Change.LISTED, "203.0.113.9/32")]).serial


def test_apply_leaves_the_old_generation_as_it_was(zone: ZoneFile) -> None:
    """Whoever still holds the old generation sees nothing of the new one."""
    old = index.compile_index(zone, 1, [listing("203.0.113.9/32")])
    new = old.apply(
        [entry(2, Change.DELISTED, "203.0.113.9/32"), entry(3, Change.LISTED, "203.0.113.10/32", text="x")]
    )
    at = [ip_address("203.0.113.9"), ip_address("203.0.113.10")]

    assert [[True, False], [False, True]] == [
        [generation.find_address(address) is not None for address in at] for generation in (old, new)
    ]


def test_apply_of_nothing_changes_nothing(zone: ZoneFile) -> None:
    """An empty batch gives an index of the same serial and content."""
    old = index.compile_index(zone, 1, [listing("203.0.113.9/32")])
    new = old.apply([])

    assert (1, 1) == (new.serial, new.live())


def test_apply_drops_texts_that_nothing_uses(zone: ZoneFile) -> None:
    """Texts of listings long gone do not pile up for ever."""
    generation = index.compile_index(zone, 0, [listing("203.0.113.9/32", text="kept")])
    for serial in range(1, 5):
        generation = generation.apply(
            [entry(serial, Change.LISTED, "203.0.113.10/32", text=f"{serial}/{n}") for n in range(1500)]
        )

    assert len(generation.vocabulary.causes) < 4000
    assert [("kept",), ("4/1499",)] == [
        answer.texts
        for address in ("203.0.113.9", "203.0.113.10")
        if (answer := generation.find_address(ip_address(address)))
    ]


def test_many_changed_blocks_are_folded(zone: ZoneFile) -> None:
    """A list that changed all over answers from one piece again, and the same."""
    subjects = [f"{n >> 8}.{n & 0xFF}.7.7/32" for n in range(0x0100, 0x7000)]
    compiled = index.compile_index(zone, 0, [listing(subject) for subject in subjects])
    followed = index.compile_index(zone, 0, [listing(subjects[0])])
    for begin in range(1, len(subjects), 10_000):
        followed = followed.apply(
            [entry(1, Change.LISTED, one) for one in subjects[begin : begin + 10_000]]
        )
    at = [ip_address(subject.removesuffix("/32")) for subject in subjects]

    assert answers(compiled, at) == answers(followed, at)
    assert len(followed.ipv4.overlay) < 20_000


def test_a_change_of_most_blocks_at_once(zone: ZoneFile) -> None:
    """A network as wide as the whole space comes and goes."""
    old = index.compile_index(zone, 0, [listing("203.0.113.9/32", "multihop")])
    wide = old.apply([entry(1, Change.LISTED, "0.0.0.0/0")])
    gone = wide.apply([entry(2, Change.DELISTED, "0.0.0.0/0")])
    at = [ip_address("203.0.113.9"), ip_address("203.0.113.10")]

    assert [[True, False], [True, True], [True, False]] == [
        [generation.find_address(address) is not None for address in at] for generation in (old, wide, gone)
    ]


def test_recompiling_with_another_zone_file(zone: ZoneFile, zone_with: ZoneWith) -> None:
    """The same listings answer with the reasons that the zone file has now."""
    old = index.compile_index(
        zone, 7, [listing("203.0.113.9/32"), listing("203.0.113.10/32", "new"), listing("nonsense")]
    )
    value = IPv4Address("127.0.0.9")
    new = old.recompiled(zone_with(reasons=(Reason("new", (value,), "New", 60, "New"),)))

    assert [(1, 2, 7), (1, 2, 7)] == [(one.live(), one.ignored(), one.serial) for one in (old, new)]
    assert [None, AnswerSet((value,), ("New",), 60)] == [
        new.find_address(ip_address(address)) for address in ("203.0.113.9", "203.0.113.10")
    ]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("203.0.113.0/24", "a network around a listing"),
        ("203.0.0.0/8", "a network of many blocks"),
        ("203.0.113.9/32", "the listing itself"),
        ("8.8.8.0/24", "a network inside a listing"),
        ("127.0.0.0/24", "the test points"),
        ("0.0.0.0/0", "everything"),
        ("::ffff:127.0.0.0/120", "the test points in IPv6"),
        ("::/80", "all IPv4-mapped addresses are in it"),
        ("2002:cb00:7109:1::/64", "a part of a listed 6to4 site"),
        ("2000::/4", "all 6to4 addresses are in it"),
        ("2001:4860::/28", "a network around an IPv6 listing"),
        ("2001:4860:1::/48", "a network inside an IPv6 listing"),
    ],
)
def test_has_below(zone: ZoneFile, asked: str, reason: str) -> None:
    """A network with something listed in it, or itself inside a listing, has something below."""
    rows = [listing("203.0.113.9/32"), listing("8.8.0.0/16"), listing("2001:4860::/32")]

    assert index.compile_index(zone, 1, rows).has_below(ip_network(asked)), reason


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("203.0.113.0/29", "just before a listing"),
        ("203.0.113.10/31", "just after a listing"),
        ("9.0.0.0/8", "blocks without anything"),
        ("8.8.8.0/24", "an exemption"),
        ("::ffff:9.0.0.0/104", "no IPv4 listing in it"),
        ("2002:900::/24", "no IPv4 listing in it"),
        ("4000::/4", "no IPv6 listing in it"),
        ("2001:4861::/32", "just after an IPv6 listing"),
    ],
)
def test_has_nothing_below(zone: ZoneFile, asked: str, reason: str) -> None:
    """A network without anything listed in it has nothing below."""
    rows = [
        listing("203.0.113.9/32"),
        listing("8.8.0.0/16"),
        exemption("8.8.8.0/24"),
        listing("2001:4860::/32"),
    ]

    assert not index.compile_index(zone, 1, rows).has_below(ip_network(asked)), reason


def test_keys_come_and_go_by_the_journal(zone: ZoneFile) -> None:
    """A key is valid from its entry to that of its revocation, and is no listing."""
    digest, other = "ab" * 32, "cd" * 32
    made = index.compile_index(zone, 1, [Listed(other, "", None, exempt=False, key=True)]).apply(
        [entry(2, Change.KEYED, digest), entry(3, Change.LISTED, "9.9.9.9/32")]
    )
    revoked = made.apply([entry(4, Change.UNKEYED, digest)])

    assert (frozenset({digest, other}), frozenset({other})) == (made.keys, revoked.keys)
    assert (1, 0, 4) == (revoked.live(), revoked.ignored(), revoked.serial)
