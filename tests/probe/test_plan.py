"""The envelopes of a test, exactly as they are sent."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.errors import BadInput
from rbl.probe import plan as planning
from rbl.probe.plan import Envelope, Identity, further, plan, suggested, title
from rbl.terms import Address
from rbl.testmessage import TokenKind

IDENTITY = Identity("tester.example.net", "td.example", "sd.example")
FOUR = ip_address("203.0.113.9")
SIX = ip_address("2001:db8::9")
ORDER = [
    "T01",
    "T33",
    "T03",
    "T04",
    "T05",
    "T07",
    "T09",
    "T10",
    "T11",
    "T02",
    "T06",
    "T12",
    "T08",
    "T15",
    "T24",
    "T13",
    "T23",
    "T28",
    "T21",
    "T16",
    "T25",
    "T20",
    "T22",
    "T14",
    "T19",
    "T17",
    "T18",
]


def tokens() -> Callable[[TokenKind], str]:
    """Return a source of tokens that anybody can guess: 0…, 1…, 2…"""
    numbers = count()
    return lambda kind: f"{kind.value}{next(numbers):020d}"


def same_token(kind: TokenKind) -> str:
    """Return the token that makes every recipient r00… and every sender s00…"""
    return kind.value + "0" * 20


R, S = "r" + "0" * 20, "s" + "0" * 20
HOST = f"<{S}@mail.example.co.uk>"


def envelopes_by_id(
    address: str = "203.0.113.9", hostname: str | None = "mail.example.co.uk"
) -> dict[str, Envelope]:
    everything = frozenset(f"T{number}" for number in range(26, 33))
    planned = plan(ip_address(address), IDENTITY, hostname, same_token, extensions=everything)
    return {envelope.test: envelope for envelope in planned}


@pytest.mark.parametrize(
    ("test", "mail_from", "rcpt_to"),
    [
        ("T01", f"<{S}@sd.example>", f"<{R}@td.example>"),
        ("T02", f"<{R}@td.example>", f"<{R}@td.example>"),
        ("T03", "<>", f"<{R}@td.example>"),
        ("T04", f"<{S}>", f"<{R}@td.example>"),
        ("T05", f"<{S}@localhost>", f"<{R}@td.example>"),
        ("T06", f"<{S}@tester.example.net>", f"<{R}@td.example>"),
        ("T07", f"<{S}@n{S}.td.example>", f"<{R}@td.example>"),
        ("T08", HOST, f"<{R}@td.example>"),
        ("T09", f"<{S}@[203.0.113.9]>", f"<{R}@td.example>"),
        ("T10", "<postmaster@mail.example.co.uk>", f"<{R}@td.example>"),
        ("T11", f"<{S}@example.co.uk>", f"<{R}@td.example>"),
        ("T12", f"{S}@sd.example", f"{R}@td.example"),
        ("T13", HOST, f'<"{R}@td.example">'),
        ("T14", HOST, f'<"{R}%td.example">'),
        ("T15", HOST, f"<{R}%td.example@mail.example.co.uk>"),
        ("T16", HOST, f"<{R}%td.example@[203.0.113.9]>"),
        ("T17", HOST, f"<{R}@td.example@mail.example.co.uk>"),
        ("T18", HOST, f"<{R}@td.example@[203.0.113.9]>"),
        ("T19", HOST, f'<"{R}@td.example@mail.example.co.uk">'),
        ("T20", HOST, f'<"{R}@td.example"@[203.0.113.9]>'),
        ("T21", HOST, f"<@mail.example.co.uk:{R}@td.example>"),
        ("T22", HOST, f"<@[203.0.113.9]:{R}@td.example>"),
        ("T23", HOST, f"<td.example!{R}>"),
        ("T24", HOST, f"<td.example!{R}@mail.example.co.uk>"),
        ("T25", HOST, f"<td.example!{R}@[203.0.113.9]>"),
        ("T26", "<>", f"<{R}%td.example@mail.example.co.uk>"),
        ("T27", f"<{S}@sd.example>", f"<IMCEASMTP-{R}+40td+2Eexample@example.co.uk>"),
        ("T28", HOST, f'<"{R}@td.example"@mail.example.co.uk>'),
        ("T29", HOST, f"<{R}%td.example>"),
        ("T30", HOST, f"<mail.example.co.uk!td.example!{R}>"),
        ("T31", HOST, f"<@mail.example.co.uk,@mail.example.co.uk:{R}@td.example>"),
        ("T32", HOST, f"<{R}%td.example%mail.example.co.uk@mail.example.co.uk>"),
        ("T33", f"<{S}@sd.example>", f"<{R}@td.example.>"),
    ],
)
def test_envelope_is_sent_exactly_so(test: str, mail_from: str, rcpt_to: str) -> None:
    """Each form is sent letter for letter as the catalogue of relay tests has it."""
    envelope = envelopes_by_id()[test]

    assert (envelope.mail_from, envelope.rcpt_to) == (mail_from, rcpt_to)
    assert envelope.skipped is None


def test_order_of_sending() -> None:
    """The forms come in the order in which open relays most often fall for them."""
    assert [envelope.test for envelope in plan(FOUR, IDENTITY, "mail.example.com", tokens())] == ORDER


def test_order_follows_what_was_seen_to_relay() -> None:
    """The row of what relays most comes first, and it first in its row; rows are not cut."""
    planned = plan(FOUR, IDENTITY, "mail.example.com", tokens(), seen={"T15": 3, "T09": 4, "T24": 5})
    order = [envelope.test for envelope in planned]

    assert ["T24", "T15", "T08"] == order[:3]
    assert ["T18", "T09", "T01"] == order[14:17]
    assert sorted(ORDER) == sorted(order)
    rows = [envelope.sender_form for envelope in planned]
    assert len({*rows}) == sum(one != other for one, other in zip(rows, [*rows[1:], ""], strict=True))


def test_what_relayed_last_is_the_very_first() -> None:
    """Whatever was seen elsewhere, the form that relayed last comes before all others."""
    planned = plan(FOUR, IDENTITY, "mail.example.com", tokens(), first="T31", seen={"T01": 9})

    assert ["T31", "T08"] == [envelope.test for envelope in planned][:2]


def test_recipient_under_another_top_level_domain() -> None:
    """Where the collector has a domain under another top-level domain, it is a recipient as well."""
    planned = plan(FOUR, replace(IDENTITY, other_domain="td.test"), None, same_token)
    by_id = {envelope.test: envelope for envelope in planned}

    assert (f"<{S}@sd.example>", f"<{R}@td.test>") == (by_id["T34"].mail_from, by_id["T34"].rcpt_to)
    assert by_id["T34"].sender_form == by_id["T01"].sender_form


def test_further_forms_are_envelopes_of_their_own() -> None:
    """What is added to a plan has tokens of its own, and none of what the plan has."""
    added = further(frozenset({"T29", "T32"}), FOUR, IDENTITY, "mail.example.com", tokens())

    assert ["T29", "T32"] == [envelope.test for envelope in added]
    assert 4 == len({token for one in added for token in (one.recipient_token, one.sender_token)})


def test_every_form_has_its_own_two_tokens() -> None:
    """No two addresses of a plan share a token, and each says by its letter which of the two it is."""
    planned = plan(FOUR, IDENTITY, "mail.example.com", tokens())
    recipients = [envelope.recipient_token for envelope in planned]
    senders = [envelope.sender_token for envelope in planned]

    assert {token[0] for token in recipients} == {"r"}
    assert {token[0] for token in senders} == {"s"}
    assert len({token[1:] for token in recipients + senders}) == 2 * len(planned)


def test_ipv6_literals_carry_their_tag() -> None:
    """An IPv6 host is written [IPv6:…] wherever its address stands in a form."""
    by_id = envelopes_by_id("2001:db8::9")

    assert by_id["T09"].mail_from == f"<{S}@[IPv6:2001:db8::9]>"
    assert by_id["T22"].rcpt_to == f"<@[IPv6:2001:db8::9]:{R}@td.example>"


@pytest.mark.parametrize("hostname", [None, "localhost", "evil.example>\r\nQUIT", ""])
def test_without_a_host_name_its_forms_do_not_apply(hostname: str | None) -> None:
    """Forms that need the host's name are left out where it gives none, or none that may be sent."""
    planned = envelopes_by_id(hostname=hostname).values()
    skipped = {envelope.test for envelope in planned if envelope.skipped is not None}

    assert skipped == {
        *("T08", "T10", "T11", "T15", "T17", "T19", "T21", "T24", "T26", "T27", "T28", "T30", "T31", "T32")
    }
    assert {e.skipped for e in planned if e.skipped} == {planning.NO_HOSTNAME, planning.NO_DOMAIN}
    assert all(e.mail_from == e.rcpt_to == "" for e in planned if e.skipped)


def test_without_a_host_name_the_address_is_the_forged_sender() -> None:
    """Recipient forms that need no host name are tried with a sender at the host's address."""
    assert envelopes_by_id(hostname=None)["T16"].mail_from == f"<{S}@[203.0.113.9]>"


def test_domain_that_is_the_host_name_is_not_tried_twice() -> None:
    """T11 does not repeat T08 where the host's name is its domain."""
    by_id = envelopes_by_id(hostname="example.com")

    assert by_id["T11"].skipped == planning.SAME_DOMAIN
    assert by_id["T27"].skipped is None


def test_public_suffix_is_nobodys_domain() -> None:
    """A host that calls itself by a public suffix has no domain of its own to forge."""
    assert envelopes_by_id(hostname="co.uk")["T11"].skipped == planning.NO_DOMAIN


def test_line_that_would_be_too_long_is_not_sent() -> None:
    """A form that would not fit a command line is left out."""
    longest = ".".join(["x" * 60] * 4) + ".example"
    by_id = envelopes_by_id(hostname=longest)

    assert by_id["T31"].skipped == planning.TOO_LONG
    assert by_id["T08"].skipped is None


@given(hostname=st.text(max_size=300), target=st.ip_addresses())
def test_no_host_name_breaks_a_command(hostname: str, target: Address) -> None:
    """Whatever the server calls itself, each argument is one printable ASCII word under 501 octets."""
    for envelope in plan(target, IDENTITY, hostname, tokens()):
        for argument in (envelope.mail_from, envelope.rcpt_to):
            assert len(argument) <= 500
            assert all("\x21" <= letter <= "\x7e" for letter in argument)


@pytest.mark.parametrize("token", ["", "a" * 19, "a" * 48, "A" * 20, "a" * 19 + "%", "a" * 20 + "\n"])
def test_weak_or_unsafe_tokens_are_refused(token: str) -> None:
    """A token too short to be unguessable, too long, or with a meaning in some form, is refused."""
    with pytest.raises(BadInput):
        plan(FOUR, IDENTITY, None, lambda kind: kind.value + token)


@pytest.mark.parametrize("argument", ["", "<a@b>\r\nRSET", "<a b@c>", "<é@b>", "x" * 501])
def test_envelope_that_could_not_be_sent_is_refused(argument: str) -> None:
    """An envelope read back from anywhere cannot smuggle a command."""
    with pytest.raises(BadInput):
        Envelope("T01", "title", "<>", argument, R, S)


@pytest.mark.parametrize(
    ("platform", "accepted", "expected"),
    [
        (None, (), ()),
        ("postfix", ("T01",), ()),
        ("domino", (), ("T26",)),
        ("exchange_55", (), ("T27",)),
        (None, ("T15", "T24"), ("T29", "T30", "T32")),
        ("lotus_smtp_mta", ("T21", "T20"), ("T26", "T31")),
    ],
)
def test_extensions_are_suggested(
    platform: str | None, accepted: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """Further forms are tried for a platform known for them, or after a form like them."""
    assert frozenset(expected) == suggested(platform, frozenset(accepted))


def test_titles() -> None:
    """Every form has a title for people, and an unknown id has none."""
    titles = {title(f"T{number:02}") for number in range(1, 35)}

    assert len(titles) == 34
    assert "" not in titles
    assert title("T99") == ""
