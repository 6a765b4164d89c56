"""The signed marks, and the reading of the one that names run, test and host."""

import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.errors import BadInput
from rbl.terms import Address
from rbl.testmessage import (
    MARK_FIELD,
    OPENINGS,
    Marker,
    Place,
    address_literal,
    code,
    mark,
    read_marker,
)

KEY = b"a key of the tester"
MARKER = Marker("17", "T15", ip_address("203.0.113.9"))


def ours(marker: Marker = MARKER, *, before: str = "", after: str = "") -> bytes:
    """Return a message that carries the mark, with more header lines around it."""
    head = f"{before}From: <s@example.org>\r\n{MARK_FIELD}: {mark(marker, KEY)}\r\n{after}"
    return f"{head}\r\nA test.\r\n".encode()


MARKED_LINE = f"{MARK_FIELD}: {mark(MARKER, KEY)}\r\n\r\n".encode()
REPORT = (
    b"From: MAILER-DAEMON@relay.example\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n"
    b' boundary="b"\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n' + ours() + b"--b--\r\n"
)
QMAIL_BOUNCE = b"From: MAILER-DAEMON@relay.example\n\nHi. This is the qmail-send program.\n\n" + ours()
STAMP = "Received: from tester by relay.example;\r\n\tMon, 4 May 2026 10:00:00 +0000\r\n"


@pytest.mark.parametrize(
    "target", [ip_address("203.0.113.9"), ip_address("2001:db8::9")], ids=["IPv4", "IPv6"]
)
def test_mark_is_read_back(target: Address) -> None:
    """A mark is read back as what was written."""
    marker = Marker("17", "T03", target)

    assert marker == read_marker(ours(marker), KEY)


@given(
    run=st.from_regex(r"[0-9A-Za-z_-]{1,40}", fullmatch=True),
    test=st.from_regex(r"T[0-9]{2}", fullmatch=True),
    target=st.ip_addresses(),
    key=st.binary(min_size=1),
)
def test_mark_and_read_marker_are_inverse(run: str, test: str, target: Address, key: bytes) -> None:
    """Every marker that can be made is read back under its key, as far as its address is canonical."""
    if target.version == 6 and (target.ipv4_mapped is not None or target.scope_id is not None):
        return
    message = f"{MARK_FIELD}: {mark(Marker(run, test, target), key)}\r\n\r\n".encode()

    assert Marker(run, test, target) == read_marker(message, key)


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (ours(before=STAMP), "relays put their stamp before it"),
        (ours().replace(b"\r\n", b"\n"), "bare LF as line end"),
        (ours().replace(b"\r\n sig", b" sig"), "unfolded by a relay"),
        (ours().replace(b"; id=T15; ", b";\r\n\tid=T15;\r\n\t"), "folded elsewhere by a relay"),
        (ours().replace(b"X-Relay-Test", b"x-relay-test"), "field names have no case"),
        (ours().removesuffix(b"\r\nA test.\r\n"), "no body at all"),
    ],
)
def test_what_relays_may_do_leaves_the_mark(message: bytes, why: str) -> None:
    """A relay may stamp, refold and rewrite line ends without hiding the mark."""
    assert MARKER == read_marker(message, KEY), why


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"", "nothing"),
        (ours().replace(b"run=17", b"run=18"), "another run under the old signature"),
        (ours().replace(b"T15", b"T16"), "another test"),
        (ours().replace(b"203.0.113.9", b"203.0.113.8"), "another host"),
        (ours().replace(b"203.0.113.9", b"203.0.113.999"), "no address"),
        (ours().replace(b"v1;", b"v2;"), "another version"),
        (ours(after=f"{MARK_FIELD}: {mark(MARKER, KEY)}\r\n"), "two marks"),
        (REPORT, "only in an attached part"),
        (QMAIL_BOUNCE, "only in the body"),
        (b"Subject: returned\r" + MARKED_LINE, "after a bare CR, which is no line end"),
        (b"\r\n" + ours(), "after the empty line"),
        (b"no field\r\n" + ours(), "after a line that is no field"),
        (b" folded nothing\r\n" + ours(), "after a continuation of nothing"),
        (b"X: " + b"x" * 70_000 + b"\r\n" + ours(), "beyond 64 KiB"),
        (ours().replace(b"sig=", b"sig=\xff"), "octets that are not ASCII"),
    ],
)
def test_nothing_else_has_a_marker(message: bytes, why: str) -> None:
    """What was not signed by us, or stands outside the outer header, is no marker."""
    assert read_marker(message, KEY) is None, why


def test_another_key_reads_nothing() -> None:
    """A message signed with another key is not ours."""
    assert read_marker(ours(), b"another key") is None


@given(message=st.binary())
def test_read_marker_takes_any_octets(message: bytes) -> None:
    """Whatever octets arrive, reading them raises nothing and finds no marker of ours."""
    assert read_marker(message, KEY) is None


@given(
    one=st.tuples(st.sampled_from(Place), st.text(), st.binary(min_size=1)),
    other=st.tuples(st.sampled_from(Place), st.text(), st.binary(min_size=1)),
)
def test_a_code_is_of_one_place_one_token_and_one_key(
    one: tuple[Place, str, bytes], other: tuple[Place, str, bytes]
) -> None:
    """No code is that of another place, token or key, and each is made of letters and digits."""
    place, token, key = one
    hashed = [(each[0], each[1], each[2].rstrip(b"\0")) for each in (one, other)]  # as HMAC pads keys

    assert (hashed[0] == hashed[1]) == (code(*one) == code(*other))
    assert re.fullmatch(r"[a-z2-7]{24}", code(place, token, key))


def test_openings_are_letters_only() -> None:
    """The collector compares letters and digits, and takes nothing for ours that begins with another."""
    assert all(opening[0].isalpha() and opening.isascii() for opening in OPENINGS)
    assert len(OPENINGS) == len(set(OPENINGS))


def test_marker_that_cannot_be_read_back_is_refused() -> None:
    """A run id that would break the header is refused."""
    with pytest.raises(BadInput):
        Marker("17; x", "T01", ip_address("203.0.113.9"))


def test_address_literals() -> None:
    """An address literal is written as RFC 5321 says."""
    written = [address_literal(ip_address(text)) for text in ("192.0.2.1", "2001:db8::1")]

    assert written == ["[192.0.2.1]", "[IPv6:2001:db8::1]"]
