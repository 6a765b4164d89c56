"""Cookies: those of RFC 9018, how long they are good, and that nothing else is."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.responder import cookies
from rbl.responder.cookies import Cookie, check, make, siphash24

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
OTHER = bytes.fromhex("445536bcd2513298075a5d379663c962")
CLIENT = ip_address("198.51.100.100")
CLIENT_COOKIE = bytes.fromhex("2464c4abcf10c957")
MADE = 1559731985

# RFC 9018 Appendix A: client, time, secrets (the one that makes cookies first), query, answer.
VECTORS = [
    (
        "198.51.100.100",
        1559731985,
        ("e5e973e5a6b2a43f48e7dc849e37bfcf",),
        "2464c4abcf10c957",
        "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
        "A.1: a new cookie",
    ),
    (
        "198.51.100.100",
        1559734385,
        ("e5e973e5a6b2a43f48e7dc849e37bfcf",),
        "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
        "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
        "A.2: 40 minutes later it is renewed",
    ),
    (
        "203.0.113.203",
        1559734700,
        ("e5e973e5a6b2a43f48e7dc849e37bfcf",),
        "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
        "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
        "A.3: two hours old and from another maker, replaced",
    ),
    (
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        1559741961,
        ("445536bcd2513298075a5d379663c962", "dd3bdf9344b678b185a6f5cb60fca715"),
        "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
        "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
        "A.4: the secret before is still good, and a cookie of the new one comes back",
    ),
]


@pytest.mark.parametrize(("client", "now", "secrets", "asked", "told", "why"), VECTORS)
def test_the_vectors_of_rfc_9018(
    client: str, now: int, secrets: tuple[str, ...], asked: str, told: str, why: str
) -> None:
    """What the RFC's examples are sent is answered as there, octet for octet."""
    keys = tuple(map(bytes.fromhex, secrets))

    assert told == check(bytes.fromhex(asked), ip_address(client), now, keys).option.hex(), why


def test_the_reserved_octets_count() -> None:
    """A cookie of RFC 9018 A.3, whose maker set the reserved octets, was good when it was made."""
    asked = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")

    assert Cookie(valid=True, first=False, option=asked) == check(
        asked, ip_address("203.0.113.203"), 0x5CF78F71, (SECRET,)
    )


# The first of SipHash's own vectors: key 00 … 0f, messages of 0, 1, 2, … octets 00, 01, ….
SIPHASH = (
    "310e0edd47db6f72 fd67dc93c539f874 5a4fa9d909806c0d 2d7efbd796666785 b7877127e09427cf"
    " 8da699cd64557618 cee3fe586e46c9cb 37d1018bf50002ab 6224939a79f5f593 b0e4a90bdf82009e"
    " f3b9dd94c5bb5d7a a7ad6b22462fb3f4 fbe50e86bc8f1e75 903d84c02756ea14 eef27a8e90ca23f7 e545be4961ca29a1"
)


@pytest.mark.parametrize(("octets", "digest"), list(enumerate(SIPHASH.split())))
def test_siphash(octets: int, digest: str) -> None:
    """SipHash-2-4 is that of its authors."""
    assert digest == siphash24(bytes(range(octets)), bytes(range(16))).to_bytes(8, "little").hex()


COOKIE = make(CLIENT_COOKIE, CLIENT, MADE, SECRET)


@pytest.mark.parametrize(
    ("age", "worth", "why"),
    [
        (-301, "nothing", "more than five minutes in the future"),
        (-300, "good", "clocks of one set differ"),
        (0, "good", "just made"),
        (1800, "good", "half an hour old"),
        (1801, "good for a new one", "older: still good, and renewed"),
        (3600, "good for a new one", "an hour old"),
        (3601, "nothing", "older than an hour"),
        (2**32, "good", "the time goes round (RFC 1982)"),
        (2**31, "nothing", "as far away as can be"),
    ],
)
def test_how_long_a_cookie_is_good(age: int, worth: str, why: str) -> None:
    """A cookie is good for an hour, and from half an hour on a new one comes back."""
    found = check(COOKIE, CLIENT, MADE + age, (SECRET,))
    told = COOKIE if worth == "good" else make(CLIENT_COOKIE, CLIENT, MADE + age, SECRET)

    assert Cookie(worth != "nothing", first=False, option=told) == found, why


@pytest.mark.parametrize(
    ("cookie", "client", "why"),
    [
        (COOKIE[:-1] + bytes((COOKIE[-1] ^ 1,)), "198.51.100.100", "one bit differs"),
        (COOKIE[:8] + b"\2" + COOKIE[9:], "198.51.100.100", "another version"),
        (COOKIE, "198.51.100.101", "somebody else's"),
        (b"another!" + COOKIE[8:], "198.51.100.100", "another client cookie"),
        (COOKIE + b"\0", "198.51.100.100", "too long to be ours"),
        (COOKIE[:16], "198.51.100.100", "too short to be ours"),
    ],
)
def test_what_is_no_cookie_of_ours(cookie: bytes, client: str, why: str) -> None:
    """Any other server cookie proves nothing, and is answered with a good one."""
    address = ip_address(client)
    told = make(cookie[:8], address, MADE, SECRET)

    assert Cookie(valid=False, first=False, option=told) == check(cookie, address, MADE, (SECRET,)), why


def test_secrets_are_replaced_in_stages() -> None:
    """While two secrets are known, cookies of both are good; then those of the old one are not."""
    old = make(CLIENT_COOKIE, CLIENT, MADE, OTHER)
    stages = [(OTHER,), (OTHER, SECRET), (SECRET, OTHER), (SECRET,)]

    assert [True, True, True, False] == [check(old, CLIENT, MADE, stage).valid for stage in stages]
    assert [False, True, True, True] == [check(COOKIE, CLIENT, MADE, stage).valid for stage in stages]


@given(st.binary(min_size=16, max_size=40), st.integers(0, 2**33))
def test_nothing_is_good_by_chance(cookie: bytes, now: int) -> None:
    """Octets of a forger prove nothing, and any value that comes back is good there."""
    found = check(cookie, CLIENT, now, (SECRET,))

    assert (False, True) == (found.valid, check(found.option, CLIENT, now, (SECRET,)).valid)
    assert (cookies.CLIENT_OCTETS + 16, cookie[:8]) == (len(found.option), found.option[:8])
