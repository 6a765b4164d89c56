"""Which peers are the tested host by its address of the other family, and which only say so."""

from ipaddress import ip_address

import pytest

from rbl.probe import samehost
from rbl.probe.samehost import Handed, Suspicion
from rbl.terms import Address

V4, V6 = ip_address("192.0.2.66"), ip_address("2001:db8:66::66")
OTHER_4, OTHER_6 = ip_address("203.0.113.80"), ip_address("2001:db8:80::80")
NAME = "mail.relay.example"


def is_linked(target: Address, own_names: list[str], handed: Handed, dns: dict[str, set[Address]]) -> bool:
    """Return whether a peer is the tested host, by the addresses that *dns* gives to names."""
    found = samehost.suspicions(target, own_names, [handed])
    return any(samehost.confirms(target, each, dns.get(each.name, set())) for each in found)


@pytest.mark.parametrize(
    ("target", "own_names", "handed", "dns", "why"),
    [
        (V4, [NAME], Handed(V6, NAME), {NAME: {V4, V6}}, "tested over IPv4, delivers over IPv6"),
        (V6, [NAME], Handed(V4, NAME), {NAME: {V4, V6}}, "and the other way round"),
        (V4, ["Mail.Relay.Example."], Handed(V6, "MAIL.relay.example"), {NAME: {V4, V6}}, "in any case"),
        (V4, ["mx.relay.example", NAME], Handed(V6, NAME), {NAME: {V4, V6}}, "by one of its names"),
        (V4, [NAME], Handed(V6, NAME), {NAME: {V4, OTHER_4, V6, OTHER_6}}, "one of a farm"),
        (
            V4,
            [NAME],
            Handed(ip_address("2001:db8:66::8f2c:1"), NAME),
            {NAME: {V4, V6}},
            "a temporary address of its network (RFC 8981)",
        ),
    ],
)
def test_one_host(
    target: Address, own_names: list[str], handed: Handed, dns: dict[str, set[Address]], why: str
) -> None:
    """Its greeting, the peer's EHLO and the DNS say the same name."""
    assert is_linked(target, own_names, handed, dns), why


PROVIDER = "out.provider.example"


@pytest.mark.parametrize(
    ("target", "own_names", "handed", "dns", "why"),
    [
        (V4, [NAME], Handed(V6, NAME), {}, "the DNS does not answer, or knows no such name"),
        (
            V4,
            [NAME],
            Handed(V6, NAME),
            {NAME: {V4}},
            "who says its name is nobody that the name stands for",
        ),
        (V4, [NAME], Handed(V6, NAME), {NAME: {V6}}, "the tested host uses the name of another"),
        (V4, [NAME], Handed(V6, NAME), {NAME: {OTHER_4, V6}}, "also where that one has both families"),
        (
            V4,
            [NAME],
            Handed(OTHER_6, NAME),
            {NAME: {V4, V6}},
            "a user of the host who has its mail, with a machine of his own",
        ),
        (V4, [NAME], Handed(V6, "mx.relay.example"), {NAME: {V4, V6}}, "the peer is called otherwise"),
        (
            V4,
            [NAME],
            Handed(OTHER_6, PROVIDER),
            {NAME: {V4, OTHER_6}, PROVIDER: {OTHER_4, OTHER_6}},
            "its name in the DNS claims the provider's smart host, which does not call itself so",
        ),
        (
            V4,
            [PROVIDER],
            Handed(OTHER_6, PROVIDER),
            {PROVIDER: {OTHER_4, OTHER_6}},
            "it greets by the name of its provider's smart host, which the DNS does not give to it",
        ),
        (
            V4,
            [NAME],
            Handed(OTHER_6, "evil.example"),
            {"evil.example": {V4, OTHER_6}},
            "a stranger's name that claims the tested address: it never called itself so",
        ),
        (V4, [], Handed(V6, NAME), {NAME: {V4, V6}}, "a host that gives no name"),
        (V4, ["localhost"], Handed(V6, "localhost"), {"localhost": {V4, V6}}, "everybody's name"),
        (V4, ["[192.0.2.66]"], Handed(V6, "[192.0.2.66]"), {"[192.0.2.66]": {V4, V6}}, "no name"),
        (V4, ["192.0.2.66"], Handed(V6, "192.0.2.66"), {"192.0.2.66": {V4, V6}}, "an address is no name"),
        (V4, [""], Handed(V6, ""), {"": {V4, V6}}, "nothing is no name"),
        (V4, [NAME], Handed(OTHER_4, NAME), {NAME: {V4, OTHER_4}}, "the same family: its network decides"),
        (V6, [NAME], Handed(ip_address("192.0.2.67"), NAME), {NAME: {V4, V6}}, "an IPv4 neighbour"),
        (V4, ["a b.example"], Handed(V6, "a b.example"), {"a b.example": {V4, V6}}, "no host name"),
    ],
)
def test_what_only_says_so(
    target: Address, own_names: list[str], handed: Handed, dns: dict[str, set[Address]], why: str
) -> None:
    """Whatever of the three is missing, a person looks."""
    assert not is_linked(target, own_names, handed, dns), why


def test_only_the_hosts_own_names_are_asked_for() -> None:
    """However many peers give whatever names: each is suspected once, by a name of the tested host."""
    handed = [Handed(V6, f"n{number}.evil.example") for number in range(100)]

    assert [Suspicion(V6, NAME)] == samehost.suspicions(
        V4, [NAME], [*handed, Handed(V6, NAME), Handed(V6, NAME.upper())]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail.Example.", "mail.example"),
        ("a.b", "a.b"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
        (f"{'a' * 64}.example", None),
        (".".join(["a" * 60] * 5), None),
        ("mail..example", None),
        ("-mail.example", None),
        ("mail.example\x00", None),
        ("mäil.example", None),
        ("example", None),
    ],
)
def test_host_names(text: str, expected: str | None) -> None:
    """What may be asked of the DNS is a host name of two labels or more."""
    assert expected == samehost.host_name(text)
