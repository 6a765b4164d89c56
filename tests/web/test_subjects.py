"""What a request means by a network or a name, in a list of either kind."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from rbl.errors import BadInput
from rbl.names import OwnerName
from rbl.store.listings import Subject
from rbl.web import subjects
from rbl.web.parts import Parts
from rbl.zone.zonefile import Limits
from tests.web.world import NAMES_ZONE, SECOND_ZONE, ZONE


@pytest.mark.parametrize(
    ("zone", "text", "subject"),
    [
        (ZONE, "8.8.8.0/28", ip_network("8.8.8.0/28")),
        (ZONE, "2A00::1", ip_network("2a00::1/128")),
        (NAMES_ZONE, "Spam.example.", OwnerName((b"spam", b"example"), wildcard=False)),
        (NAMES_ZONE, "*.spam.example", OwnerName((b"spam", b"example"), wildcard=True)),
        (NAMES_ZONE, "7.100.51.198", OwnerName((b"7", b"100", b"51", b"198"), wildcard=False)),
    ],
)
def test_read(parts: Parts, zone: str, text: str, subject: Subject) -> None:
    """A list of addresses reads networks, a list of names reads names."""
    assert subject == subjects.read(parts, zone, text)


@pytest.mark.parametrize(
    ("zone", "text", "code", "reason"),
    [
        (ZONE, "spam.example", "wrong-kind", "a name"),
        (ZONE, "*.spam.example", "wrong-kind", "names below one"),
        (ZONE, "*", "wrong-kind", "every name"),
        (ZONE, "8.8.8", "bad-address", "no top-level domain is a number: an address gone wrong"),
        (ZONE, "8.8.8.8/24", "bad-network", "a network gone wrong"),
        (ZONE, "a b", "bad-address", "nothing at all"),
        (NAMES_ZONE, "8.8.8.0/24", "wrong-kind", "a network"),
        (NAMES_ZONE, "8.8.8.8/24", "wrong-kind", "a network gone wrong"),
        (NAMES_ZONE, "2a00::1", "wrong-kind", "an IPv6 address"),
        (NAMES_ZONE, "a b", "bad-name", "nothing at all"),
    ],
)
def test_read_refuses(parts: Parts, zone: str, text: str, code: str, reason: str) -> None:
    """What is of the other kind is told from what is of neither."""
    with pytest.raises(BadInput) as refusal:
        subjects.read(parts, zone, text)

    assert code == refusal.value.code, reason


@pytest.mark.parametrize(
    ("zone", "network", "name", "code"),
    [
        (ZONE, "8.8.8.0/28", None, None),
        (NAMES_ZONE, None, "spam.example", None),
        (ZONE, None, "spam.example", "wrong-kind"),
        (ZONE, None, "8.8.8.8", "wrong-kind"),
        (NAMES_ZONE, "spam.example", None, "wrong-kind"),
        (NAMES_ZONE, None, "8.8.8.8", "wrong-kind"),
        (NAMES_ZONE, None, "*", "too-many-names"),
        (SECOND_ZONE, "8.8.8.0/23", None, "network-too-wide"),
    ],
)
def test_read_new(parts: Parts, zone: str, network: str | None, name: str | None, code: str | None) -> None:
    """What is new must be of the list's kind, and no more than its zone file allows."""
    narrow = replace(parts.zone_files[SECOND_ZONE], limits=Limits(widest_ipv4_prefix=24))
    parts = replace(parts, zone_files={**parts.zone_files, SECOND_ZONE: narrow})
    told = None
    try:
        subjects.read_new(parts, zone, network=network, name=name, reason="pool")
    except BadInput as refusal:
        told = refusal.code

    assert code == told


def test_an_unknown_reason_is_refused_with_the_known_ones(parts: Parts) -> None:
    """Whoever lists learns which reasons there are."""
    with pytest.raises(BadInput) as refusal:
        subjects.read_new(parts, NAMES_ZONE, network=None, name="a.example", reason="spite")

    assert f"{NAMES_ZONE} has no reason 'spite', only: open-relay, pool" == refusal.value.message
