"""Made-up lists, and what is answered from them, to hold what was written out against."""

from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import product

from hypothesis import strategies as st

from rbl.names import Name
from rbl.terms import Address
from rbl.zone.index import Index
from rbl.zone.zonefile import ApexRecords, Reason, ZoneFile
from tests.zone.conftest import make_zone
from tests.zone.lists import exemption, listing

Answer = tuple[list[str], list[str], int]  # values, texts, and the TTL

REASONS = (
    Reason("open-relay", (IPv4Address("127.0.0.2"),), "Open relay, see {url}", 300, "Open relay"),
    Reason(
        "multihop", (IPv4Address("127.0.0.3"), IPv4Address("127.0.0.8")), "Chain of {address}", 200, "Chain"
    ),
)
_TEXTS = (
    None,
    "costs $5 or $$",
    '=first "quoted"',
    " blank",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE} {address}",
)
_OCTET = st.integers(0, 3)
_SUBJECTS = st.one_of(
    st.builds("5.0.{}.{}/32".format, _OCTET, _OCTET),
    st.builds("5.0.{}.0/24".format, _OCTET),
    st.sampled_from(["5.0.0.0/16", "5.0.0.0/9", "5.0.2.0/23", "5.0.0.128/25", "0.0.0.0/0"]),
    st.sampled_from(["2a00::/16", "2a00::/33", "2a00:1::/128", "2a00::1/128", "::/0", "2a00::/127"]),
)
LISTED = st.one_of(
    st.builds(listing, _SUBJECTS, st.sampled_from(["open-relay", "multihop"]), st.sampled_from(_TEXTS)),
    st.builds(exemption, _SUBJECTS.filter(lambda subject: not subject.endswith("/0"))),
)
ASKED = [
    *(ip_address(f"5.0.{third}.{fourth}") for third in range(5) for fourth in (0, 1, 3, 4, 127, 128, 255)),
    *map(ip_address, ("4.255.255.255", "5.127.255.255", "5.128.0.0", "255.255.255.255", "127.0.0.1")),
    *map(ip_address, ("127.0.0.2", "127.0.0.3", "127.0.0.8", "2a00::", "2a00::1", "2a00::2", "2a00:1::")),
    *map(ip_address, ("2a00:7fff:ffff::", "2a00:8000::", "2a01::", "29ff::", "ffff::")),
]


def of_index(index: Index, address: Address) -> Answer:
    """Return what the index answers for *address*."""
    found = index.find_address(address)
    if found is None:
        return [], [], 0
    texts = [index.zone.render(text, str(address)) for text in found.texts]
    return sorted(map(str, found.values)), sorted(texts), found.ttl_seconds


def zone_with_apex() -> ZoneFile:
    """Return a list whose apex has records of its own."""
    zone = make_zone()
    own = ApexRecords(
        (IPv4Address("5.0.0.1"), IPv6Address("2a00::1")),
        ("about a list",),
        ((10, (b"mx", b"example")),),
        60,
    )
    return ZoneFile(
        zone.apex,
        zone.soa,
        zone.name_servers,
        zone.name_server_ttl_seconds,
        own,
        zone.reasons,
        zone.kind,
        zone.url,
        zone.limits,
        zone.ttl_seconds,
    )


NAMES = [
    listing("bad.example"),
    listing("*.worse.example", text="$ of {address}"),
    listing("invalid"),
    listing("test"),
    listing("gone.example", "no-such-reason"),
]
PAGE = "http://127.0.0.1:8080/a"

_NAME = st.lists(st.sampled_from(["a", "b", "test"]), min_size=1, max_size=3).map(".".join)
_NAMED = st.one_of(_NAME, _NAME.map("*.{}".format), st.just("*"))
LISTED_NAMES = st.one_of(
    st.builds(listing, _NAMED, st.sampled_from(["open-relay", "multihop"]), st.sampled_from([None, "own"])),
    st.builds(exemption, _NAMED),
)
ASKED_NAMES = [
    labels for count in (1, 2, 3, 4) for labels in product((b"a", b"b", b"test", b"invalid"), repeat=count)
]


def values_of_name(index: Index, labels: Name) -> list[str]:
    """Return the values that the index answers at the name of *labels*."""
    found = index.find_name(labels)
    return [] if found is None else sorted(map(str, found.values))
