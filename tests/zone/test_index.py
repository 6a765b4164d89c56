"""The zone index, held against a model that looks at every listing for every question."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.addresses import parse_network
from rbl.terms import Address, Change, Entry, Listed, Network
from rbl.zone import index
from rbl.zone.index import AnswerSet, Index
from rbl.zone.zonefile import ZoneFile

ZoneWith = Callable[..., ZoneFile]
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def entry(
    serial: int, change: Change, subject: str, reason: str = "open-relay", text: str | None = None
) -> Entry:
    """Return a journal entry of the list relays.example."""
    shown = "" if change in {Change.EXEMPTED, Change.UNEXEMPTED} else reason
    return Entry("relays.example", serial, change, subject, shown, text, "test", "test", NOW)


def listing(subject: str, reason: str = "open-relay", text: str | None = None) -> Listed:
    """Return a live listing."""
    return Listed(subject, reason, text, exempt=False)


def exemption(subject: str) -> Listed:
    """Return a live exemption."""
    return Listed(subject, "", None, exempt=True)


# --- the model -----------------------------------------------------------------------------------


def live_after(entries: Iterable[Entry]) -> list[Listed]:
    """Return what is live after *entries*, worked out one by one."""
    live: dict[tuple[str, str], Listed] = {}
    for change in entries:
        key = (change.subject, change.reason)
        if change.change in {Change.LISTED, Change.EXEMPTED}:
            live[key] = Listed(change.subject, change.reason, change.text, change.change is Change.EXEMPTED)
        else:
            live.pop(key, None)
    return list(live.values())


def inner(address: Address) -> Address:
    """Return the IPv4 address inside a mapped or 6to4 address, or the address itself."""
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address.sixtofour or address
    return address


def inner_network(text: str) -> Network | None:
    """Return the network a subject is about, in the family that answers for it."""
    network = parse_network(text)
    if isinstance(network, IPv6Network) and network.subnet_of(IPv6Network("2002::/16")):
        if network.prefixlen > 48:
            return None
        return IPv4Network(((int(network.network_address) >> 80) & 0xFFFFFFFF, network.prefixlen - 16))
    return network


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
    for begin, end in pairwise(bounds):
        followed = followed.apply(entries[begin:end])
    at = edges(live_after([*entries, *(entry(0, Change.LISTED, e.subject) for e in entries)]))

    assert answers(compiled, at) == answers(followed, at)
    assert (compiled.live(), compiled.exempt(), compiled.ignored(), compiled.serial) == (
        followed.live(), followed.exempt(), followed.ignored(), followed.serial,
    )  # fmt: skip


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
