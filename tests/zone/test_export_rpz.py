"""Lists written as response policy zones."""

from collections.abc import Callable

from rbl.zone import export_rpz
from rbl.zone.index import compile_index
from rbl.zone.zonefile import Kind, ZoneFile
from tests.zone.conftest import make_zone
from tests.zone.lists import exemption, listing
from tests.zone.written import NAMES


def test_policy_zone(zone_with: Callable[..., ZoneFile]) -> None:
    """A policy zone has every network once, in the form that resolvers read, and no loopback address."""
    listed = [
        listing("5.0.0.0/24"),
        exemption("5.0.0.0/32"),
        listing("2a00:1::/32"),
        listing("2a00::1/128"),
    ]
    lines = list(export_rpz.lines(compile_index(zone_with(), 7, listed)))

    assert [
        "32.1.0.0.5.rpz-ip CNAME .",
        "31.2.0.0.5.rpz-ip CNAME .",
        "30.4.0.0.5.rpz-ip CNAME .",
        "29.8.0.0.5.rpz-ip CNAME .",
        "28.16.0.0.5.rpz-ip CNAME .",
        "27.32.0.0.5.rpz-ip CNAME .",
        "26.64.0.0.5.rpz-ip CNAME .",
        "25.128.0.0.5.rpz-ip CNAME .",
        "128.1.zz.2a00.rpz-ip CNAME .",
        "32.zz.1.2a00.rpz-ip CNAME .",
    ] == lines[4:]


def test_names() -> None:
    """Names and wildcards are written as they are, with TEST and without INVALID."""
    lines = list(export_rpz.lines(compile_index(make_zone(Kind.NAMES), 7, NAMES)))

    assert ["test CNAME .", "bad.example CNAME .", "*.worse.example CNAME ."] == lines[4:]


def test_exceptions_from_wildcards() -> None:
    """What is excepted from a wildcard passes, and names between are named with what is below them."""
    listed = [listing("*.worse.example"), listing("a.b.worse.example"), exemption("fine.worse.example")]
    lines = list(export_rpz.lines(compile_index(make_zone(Kind.NAMES), 7, listed)))

    assert [
        "test CNAME .",
        "a.b.worse.example CNAME .",
        "*.a.b.worse.example CNAME .",
        "b.worse.example CNAME .",
        "*.b.worse.example CNAME .",
        "*.worse.example CNAME .",
        "fine.worse.example CNAME rpz-passthru.",
        "*.fine.worse.example CNAME .",
    ] == lines[4:]


def test_names_that_would_be_policies() -> None:
    """A listed name that resolvers would read as a policy of addresses is left out."""
    listed = [listing("32.1.0.0.5.rpz-ip"), listing("*.rpz-nsdname"), listing("rpz.example")]
    lines = list(export_rpz.lines(compile_index(make_zone(Kind.NAMES), 7, listed)))

    assert ["test CNAME .", "rpz.example CNAME ."] == lines[4:]
