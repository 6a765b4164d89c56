"""Zone files: what is read from them, and what their author is told of each fault."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from rbl.errors import ConfigError
from rbl.zone import zonefile
from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile

WHOLE = """\
apex = "Relays.Example."
kind = "addresses"
url = "https://list.example.org/a/{address}"
ttl_seconds = 600

[soa]
mname = "ns1.example"
rname = "host.master@example.org"
ttl_seconds = 400
refresh_seconds = 1
retry_seconds = 2
expire_seconds = 3
minimum_seconds = 200

[ns]
names = ["ns1.example", "relays.example"]
ttl_seconds = 7200

[apex_records]
addresses = ["192.0.2.1", "2001:db8::1"]
texts = ["A list"]
mail_exchangers = [{ preference = 5, name = "mail.example" }]
ttl_seconds = 900

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2", "127.0.0.10"]
text = "Open relay {address}, see {url}"

[reasons.multihop]
addresses = ["127.0.0.3"]
text = "Chain"
ttl_seconds = 60

[limits]
widest_ipv4_prefix = 12
widest_ipv6_prefix = 40
list_reserved = true
"""


def write(tmp_path: Path, text: str) -> Path:
    """Write *text* as a zone file."""
    path = tmp_path / "list.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(tmp_path: Path, text: str) -> list[str]:
    """Return the faults that reading *text* reports, without the path."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as refusal:
        zonefile.read(path)
    return [fault.removeprefix(str(path)) for fault in refusal.value.faults]


def test_read_takes_everything(tmp_path: Path) -> None:
    """A file that sets everything is read as it stands, with the apex in lower case."""
    expected = ZoneFile(
        apex=(b"relays", b"example"),
        soa=Soa((b"ns1", b"example"), (b"host.master", b"example", b"org"), 400, 1, 2, 3, 200),
        name_servers=((b"ns1", b"example"), (b"relays", b"example")),
        name_server_ttl_seconds=7200,
        apex_records=ApexRecords(
            (IPv4Address("192.0.2.1"), IPv6Address("2001:db8::1")),
            ("A list",),
            ((5, (b"mail", b"example")),),
            900,
        ),
        reasons={
            "open-relay": Reason(
                "open-relay",
                (IPv4Address("127.0.0.2"), IPv4Address("127.0.0.10")),
                "Open relay {address}, see {url}",
                600,
                "Open relay",
            ),
            "multihop": Reason("multihop", (IPv4Address("127.0.0.3"),), "Chain", 60, "multihop"),
        },
        kind=Kind.ADDRESSES,
        url="https://list.example.org/a/{address}",
        limits=Limits(12, 40, list_reserved=True),
        ttl_seconds=600,
    )

    assert expected == zonefile.read(write(tmp_path, WHOLE))


def test_the_shipped_list_is_sound() -> None:
    """The zone file to copy is read without a fault and lists open relays as 127.0.0.2."""
    zone = zonefile.read(Path(__file__).parents[2] / "zones" / "relays.example.toml")

    assert "relays.example" == zone.apex_text
    assert ((IPv4Address("127.0.0.2"),), "Open relay, see {url}") == (
        zone.first_reason.addresses,
        zone.first_reason.text,
    )


def test_reasons_cannot_be_changed(tmp_path: Path) -> None:
    """The reasons of a list that was read are immutable."""
    zone = zonefile.read(write(tmp_path, WHOLE))

    with pytest.raises(TypeError):
        zone.reasons["other"] = zone.first_reason  # type: ignore[index]  # that it fails is the point


def test_negative_ttl_is_the_smaller_one(tmp_path: Path) -> None:
    """Negative answers are kept for the smaller of SOA TTL and MINIMUM (RFC 2308)."""
    assert 200 == zonefile.read(write(tmp_path, WHOLE)).soa.negative_ttl_seconds


def test_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    """The fingerprint is the same for the same content and another for any change."""
    one, same = (zonefile.read(write(tmp_path, text)) for text in (WHOLE, "# a comment\n" + WHOLE))
    other = zonefile.read(write(tmp_path, WHOLE.replace("Chain", "A chain")))

    assert [True, False] == [one.fingerprint == same.fingerprint, one.fingerprint == other.fingerprint]


@pytest.mark.parametrize(
    ("template", "text", "reason"),
    [
        ("{address} {url}", "192.0.2.1 https://list.example.org/a/192.0.2.1", "both fields are filled in"),
        ("{other} {", "{other} {", "a listing's own text may contain anything"),
        ("{address}" * 2, "192.0.2.1192.0.2.1", "as often as they stand there"),
    ],
)
def test_render(tmp_path: Path, template: str, text: str, reason: str) -> None:
    """A template's fields are filled in, and nothing else is touched."""
    assert text == zonefile.read(write(tmp_path, WHOLE)).render(template, "192.0.2.1"), reason


def test_render_does_not_look_at_what_it_filled_in(tmp_path: Path) -> None:
    """What looks like a field in what is filled in stays as it is."""
    assert "{url}" == zonefile.read(write(tmp_path, WHOLE)).render("{address}", "{url}")


REFUSALS = [
    ("apex =", "# apex =", ": apex: is missing"),
    ('"Relays.Example."', '"a..b"', ":1: apex: 'a..b' is not a domain name: it has an empty label"),
    (
        '"Relays.Example."',
        f'"{"a" * 63}.{"a" * 63}.{"a" * 63}"',
        ":1: apex: is too long: with the 32 nibbles of an IPv6 address before it, 255 octets are exceeded",
    ),
    ('"Relays.Example."', "5", ":1: apex: 5 is not a text: write it in quotes"),
    ('"addresses"\n', '"mixed"\n', ':2: kind: \'mixed\' is neither "addresses" nor "names"'),
    (
        "https://list",
        "list",
        ":3: url: 'list.example.org/a/{address}' is not a web address: write https://…/{address}",
    ),
    ("/a/{address}", "/a", ":3: url: must contain {address}, and no other field"),
    ("/a/{address}", "/a/{address}/{x}", ":3: url: must contain {address}, and no other field"),
    ("= 600", "= 2147483648", ":4: ttl_seconds: 2147483648 is not a whole number from 0 to 2147483647"),
    ("= 600", "= -1", ":4: ttl_seconds: -1 is not a whole number from 0 to 2147483647"),
    ("= 600", "= true", ":4: ttl_seconds: True is not a whole number from 0 to 2147483647"),
    (
        "= 600",
        "= 600\nttl_second = 5",
        ":5: ttl_second: there is no such setting: did you mean ttl_seconds?",
    ),
    (
        "= 600",
        "= 600\ncolour = 5",
        (
            ":5: colour: there is no such setting: known are kind, apex, ttl_seconds, url, ns, limits, soa,"
            " apex_records, reasons, access, keys"
        ),
    ),
    ("mname =", "# mname =", ":6: soa.mname: is missing"),
    (
        "host.master@example.org",
        "host master@example.org",
        (
            ":8: soa.rname: 'host master@example.org' is not a plain mail address: check what"
            " stands before the @"
        ),
    ),
    (
        "refresh_seconds = 1",
        "refresh_seconds = 0",
        ":10: soa.refresh_seconds: 0 is not a whole number from 1 to 2147483647",
    ),
    ('["ns1.example", "relays.example"]', "[]", ":16: ns.names: is empty: at least one is needed"),
    (
        '["ns1.example", "relays.example"]',
        "[5]",
        ':16: ns.names: [5] is not a list of texts: write ["…", "…"]',
    ),
    ('["ns1.example", "relays.example"]', '["a.b", "a.b"]', ":16: ns.names: says the same twice"),
    (
        '"relays.example"]',
        '"ns2.RELAYS.example"]',
        (
            ":16: ns.names: 'ns2.RELAYS.example' lies below the apex, where only listings are answered: its"
            " address could not be found. Name the server elsewhere, or the apex itself and set"
            " apex_records.addresses"
        ),
    ),
    (
        '"192.0.2.1", ',
        '"192.0.2", ',
        ":20: apex_records.addresses: '192.0.2' is not an IP address: write it as 192.0.2.1 or 2001:db8::1",
    ),
    (
        "preference = 5",
        "preference = 65536",
        ":22: apex_records.mail_exchangers.preference: 65536 is not a whole number from 0 to 65535",
    ),
    (
        "[{ preference = 5",
        "[5, { preference = 5",
        (
            ":22: apex_records.mail_exchangers: [5, {'preference': 5, 'name':"
            " 'mail.example'}] is not a list of tables: write [[apex_records.mail_exchangers]]"
        ),
    ),
    (
        '"127.0.0.3"',
        '"10.0.0.1"',
        (
            ":31: reasons.multihop.addresses: 10.0.0.1 is no value of a list: RFC 5782 §2.3"
            " wants one in 127.0.0.0/8"
        ),
    ),
    (
        '"127.0.0.3"',
        '"127.0.0.1"',
        ":31: reasons.multihop.addresses: 127.0.0.1 must never be listed, and so is no value: RFC 5782 §5",
    ),
    (
        '"127.0.0.3"',
        '"127.255.255.254"',
        (
            ":31: reasons.multihop.addresses: 127.255.255.254 is read as an error by users of other lists:"
            " 127.255.255.x is no value"
        ),
    ),
    (
        '"Chain"',
        '"Chain {name}"',
        ":32: reasons.multihop.text: only {address} and {url} may stand in braces",
    ),
    (
        '"Chain"',
        r'"Chain\u0007"',
        r":32: reasons.multihop.text: 'Chain\x07' is empty or has control characters",
    ),
    (
        '"Chain"',
        f'"{"x" * 970}{{address}}"',
        ":32: reasons.multihop.text: is too long: 1009 octets with its fields filled in, of 1000 at most",
    ),
    (
        "[reasons.multihop]",
        "[reasons.Multihop]",
        (
            ":30: reasons.Multihop: a reason has a name of 2 to 63 letters a-z, digits and"
            " hyphens, not digits alone"
        ),
    ),
    ("= 12", "= 33", ":36: limits.widest_ipv4_prefix: 33 is not a whole number from 0 to 32"),
    ("= true", '= "yes"', ":38: limits.list_reserved: 'yes' is neither true nor false"),
]


@pytest.mark.parametrize(("old", "new", "fault"), REFUSALS, ids=[fault for _, _, fault in REFUSALS])
def test_read_refuses(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """One fault is reported as one sentence with its line, table and key."""
    assert WHOLE.count(old) >= 1

    assert [fault] == faults_of(tmp_path, WHOLE.replace(old, new, 1))


def test_read_reports_all_faults_together(tmp_path: Path) -> None:
    """An almost empty file is told everything that is missing at once."""
    text = 'soa = 5\n[reasons]\n[ns]\nnames = "ns1.example"\n'

    assert [
        ": apex: is missing",
        ": url: is missing",
        ":1: soa: 5 is not a table: write [soa]",
        ':4: ns.names: \'ns1.example\' is not a list of texts: write ["…", "…"]',
        ":2: reasons: has no reason: write at least [reasons.open-relay]",
    ] == faults_of(tmp_path, text)


def test_read_names_the_line_of_a_syntax_error(tmp_path: Path) -> None:
    """A file that is no TOML is refused with the place of the mistake."""
    assert [": Invalid value (at line 1, column 8)"] == faults_of(tmp_path, "apex = relays.example\n")


def test_read_refuses_what_is_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused."""
    path = tmp_path / "list.toml"
    path.write_bytes(b"apex = '\xff'")

    with pytest.raises(ConfigError, match=r"list\.toml: 'utf-8' codec"):
        zonefile.read(path)


def test_read_refuses_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    path = tmp_path / "none.toml"

    with pytest.raises(ConfigError) as refusal:
        zonefile.read(path)

    assert [f"{path}: there is no such file"] == refusal.value.faults


def test_a_list_of_names_needs_no_room_for_addresses(tmp_path: Path) -> None:
    """The apex of a list of names may be longer than that of a list of addresses."""
    apex = ".".join(["a" * 63] * 3)
    text = WHOLE.replace("Relays.Example.", apex).replace('"addresses"', '"names"')

    assert apex == zonefile.read(write(tmp_path, text)).apex_text
