"""Names: reading them from text, within the limits of the wire; owner names of a list."""

import pytest

from rbl.errors import BadInput
from rbl.names import (
    Name,
    OwnerName,
    name_text,
    parse_mailbox,
    parse_name,
    parse_owner_name,
    reserved_reason,
    wire_octets,
)


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        ("relays.example", (b"relays", b"example"), "a plain name"),
        ("relays.example.", (b"relays", b"example"), "the final dot says nothing new"),
        ("NS1.Example", (b"NS1", b"Example"), "the case stays"),
        ("_spf.a-b.example", (b"_spf", b"a-b", b"example"), "underscores and hyphens are in use"),
        ("a" * 63, (b"a" * 63,), "the longest label"),
        (
            ".".join(["a" * 63] * 3 + ["a" * 61]),
            (*(b"a" * 63,) * 3, b"a" * 61),
            "the longest name: 255 octets",
        ),
    ],
)
def test_parse_name(text: str, labels: Name, reason: str) -> None:
    """A name is read as its labels."""
    assert labels == parse_name(text), reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not a domain name: it has an empty label"),
        (".", "'.' is not a domain name: it has an empty label"),
        ("a..b", "'a..b' is not a domain name: it has an empty label"),
        (
            "a b.example",
            "'a b.example' is not a domain name: letters, digits, hyphens and underscores only",
        ),
        (
            "b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example",
            r"'b\xfccher.example' is not ASCII: write the A-labels of the name (xn--…, RFC 5890 §2.3.2.1)",
        ),
        ("\ud800", r"'\ud800' is not ASCII: write the A-labels of the name (xn--…, RFC 5890 §2.3.2.1)"),
        ("a" * 64, f"{'a' * 64!r} has a label of more than 63 octets"),
        (
            ".".join(["a" * 63] * 4),
            f"{('.'.join(['a' * 63] * 4))[:80]!r} is longer than the 255 octets of a name",
        ),
    ],
)
def test_parse_name_refuses(text: str, message: str) -> None:
    """What is no name is refused with the text in question."""
    with pytest.raises(BadInput) as refusal:
        parse_name(text)

    assert message == refusal.value.message


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        ("hostmaster@example.org", (b"hostmaster", b"example", b"org"), "a mailbox"),
        (
            "host.master@example.org",
            (b"host.master", b"example", b"org"),
            "dots before the @ stay in one label",
        ),
        ("hostmaster.example.org", (b"hostmaster", b"example", b"org"), "the form of zone files"),
    ],
)
def test_parse_mailbox(text: str, labels: Name, reason: str) -> None:
    """A mailbox is read as the name that the SOA has for it."""
    assert labels == parse_mailbox(text), reason


@pytest.mark.parametrize(
    "text", ["@example.org", "a b@example.org", "\xfc@example.org", "a@b@example.org", "a@"]
)
def test_parse_mailbox_refuses(text: str) -> None:
    """What is no plain mail address is refused."""
    with pytest.raises(BadInput):
        parse_mailbox(text)


def test_name_text_escapes_dots_in_labels() -> None:
    """A dot inside a label is told from one between labels."""
    assert r"host\.master.example.org" == name_text(parse_mailbox("host.master@example.org"))


def test_wire_octets_counts_lengths_and_root() -> None:
    """A name takes an octet for each label's length and one for the root beside its labels."""
    assert 16 == wire_octets((b"relays", b"example"))


@pytest.mark.parametrize(
    ("text", "name", "reason"),
    [
        ("spam.example", OwnerName((b"spam", b"example"), wildcard=False), "a name"),
        ("Spam.EXAMPLE.", OwnerName((b"spam", b"example"), wildcard=False), "lower case, no final dot"),
        ("*.Spam.example", OwnerName((b"spam", b"example"), wildcard=True), "all names below it"),
        ("xn--bcher-kva.example", OwnerName((b"xn--bcher-kva", b"example"), wildcard=False), "A-labels"),
        ("*", OwnerName((), wildcard=True), "every name"),
    ],
)
def test_parse_owner_name(text: str, name: OwnerName, reason: str) -> None:
    """An owner name is read as its lower-case labels, and whether it is about the names below."""
    assert name == parse_owner_name(text), reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("*.", "below nothing"),
        ("a..b", "an empty label"),
        ("x.*.example", "a star inside"),
        ("*.*.example", "a second star"),
        ("*x.example", "a star in a label"),
        ("192.0.2.0/24", "a network"),
        ("\N{KELVIN SIGN}.example", "what becomes ASCII in lower case"),
        ("*." + ".".join(["a" * 63] * 4), "too long for the wire"),
    ],
)
def test_parse_owner_name_refuses(text: str, reason: str) -> None:
    """What is neither a name nor a wildcard is refused."""
    with pytest.raises(BadInput) as refusal:
        parse_owner_name(text)

    assert "bad-name" == refusal.value.code, reason


@pytest.mark.parametrize("text", ["spam.example", "*.spam.example", "*"])
def test_an_owner_name_is_written_as_it_is_read(text: str) -> None:
    """The text of an owner name reads as the same owner name."""
    assert text == str(parse_owner_name(text))


@pytest.mark.parametrize(
    ("text", "covering"),
    [
        ("a.b.example", ["a.b.example", "*.b.example", "*.example", "*"]),
        ("*.b.example", ["*.b.example", "*.example", "*"]),
        ("*", ["*"]),
    ],
)
def test_what_covers_an_owner_name(text: str, covering: list[str]) -> None:
    """It itself, and the wildcards of all names above: a wildcard is not about its own name."""
    assert covering == [str(name) for name in parse_owner_name(text).covering()]


@pytest.mark.parametrize(
    ("text", "reserved"),
    [("TEST", True), ("invalid.", True), ("*.test", False), ("x.invalid", False), ("testing", False)],
)
def test_test_points_are_reserved(text: str, reserved: bool) -> None:  # noqa: FBT001 - a table's column
    """The two names of RFC 5782 §5 are no one's to list; what is below them is."""
    assert reserved is (reserved_reason(parse_owner_name(text)) is not None)
