"""Zones as master files, held against what ``rbldnsd -d`` printed."""

from pathlib import Path

import dns.name
import dns.zone
import pytest

from rbl.responder.filefollower import parse_assignments
from rbl.zone.rbldnsd import dump
from rbl.zone.rbldnsd.dataset import Dataset
from rbl.zone.rbldnsd.filezone import build
from tests.responder import recorded
from tests.zone.rbldnsd.lines import APEX, NOW, dataset

# Where a zone is printed otherwise than by rbldnsd, and why.
DIFFERENCES = {
    "crlf": "the record took the carriage return in a text for the end of a line",
    "ip6tset": "names above an excluded one exist, which no wildcard reaches: what is left is printed",
    "ip6trie": "the text of a network speaks of its address, not of one cut at the half of a group",
    "issue27": "rbldnsd loses entries that differ in their last octet alone",
}
_KEPT = 40  # lines of each record; of more the rest was not kept


def _with_owners(lines: list[str]) -> list[str]:
    """Return *lines* with the owner in each, without what stands for it."""
    owner, whole = "", []
    for line in lines:
        if line.startswith("\t"):
            line = owner + line  # noqa: PLW2901 — what the line stands for
        elif not line.startswith("$"):
            owner = line.partition("\t")[0]
        whole.append(line)
    return whole


def _dumped(datasets: list[Dataset]) -> list[str]:
    return [line.decode().rstrip("\n") for line in dump.lines(build(APEX, datasets), datasets, NOW)]


@pytest.mark.parametrize("name", sorted(set(recorded.names()) - DIFFERENCES.keys()))
def test_a_recorded_zone_is_printed_as_rbldnsd_does(name: str, tmp_path: Path) -> None:
    """Every line that rbldnsd printed of a case is printed too, and no other."""
    case = recorded.read(name)
    served = recorded.Served(tmp_path, case.arguments, case.record["files"])
    expected = case.record.get("dump", [])
    assert parse_assignments(served.line.zones)
    printed = [
        line.decode("latin-1").rstrip("\n")
        for zone, datasets in served.follower.by_zone()
        for line in dump.lines(zone, datasets, NOW)
    ]

    kept = [line for line in _with_owners(expected) if not line.startswith("$ORIGIN")]
    whole = [line for line in _with_owners(printed) if not line.startswith("$ORIGIN")]
    assert [] == [line for line in kept if line not in whole]
    if 0 < len(expected) < _KEPT:
        assert sorted(kept) == sorted(whole)


def test_a_printed_zone_says_the_same_to_another_server(tmp_path: Path) -> None:
    """dnspython reads what is printed; networks of IPv6 are written as whole nibbles."""
    lines = "$SOA 1 a.t h.t 1 1 2 3 4\n$NS 1h a.t\n2001:db8::/47 in\n!2001:db8:1::/48\n2001:db8::1 one\n"
    zone = dns.zone.from_text("\n".join(_dumped([dataset(tmp_path, "ip6trie", lines)])))
    texts = {rdata.to_text() for _, rdataset in zone.iterate_rdatasets("TXT") for rdata in rdataset}

    assert dns.name.from_text("bl.test.") == zone.origin
    assert {'"in"', '"one"'} == texts
    assert not [name for name in zone.nodes if name.labels[-9:-7] == (b"1", b"0")]


def test_what_is_hidden_is_not_printed(tmp_path: Path) -> None:
    """Entries for those with a key, or before their time, are left out; quotes are escaped."""
    lines = 'a @ key=require\nb "x\\y" @ ts=1;delay=1\n!c\n'

    assert [
        "$ORIGIN\tbl.test.",
        "$TTL 2100",
        "b\tA\t127.0.0.2",
        '\tTXT\t"\\"x\\\\y\\""',
        "c\tCNAME\texcluded",
    ] == _dumped([dataset(tmp_path, "dnhash", lines), dataset(tmp_path, "acl", "10/8\n")])


def test_sub_zones_come_before_the_zone(tmp_path: Path) -> None:
    """A sub-zone has its origin, and a TTL where it is another; the zone itself comes last."""
    lines = "$TTL 50\n$DATASET ip4tset a @\n10.0.0.1\n$DATASET generic a\n$TTL 70\n@ MX 5 m.t\n"

    assert [
        "$ORIGIN\tbl.test.",
        "$TTL 50",
        "$ORIGIN a.bl.test.",
        "1.0.0.10\tA\t127.0.0.2",
        "$TTL 70",
        "@\t70\tMX\t5\tm.t.",
        "$TTL 50",
        "$ORIGIN bl.test.",
        "1.0.0.10\tA\t127.0.0.2",
    ] == [line for line in _dumped([dataset(tmp_path, "combined", lines)]) if line]
