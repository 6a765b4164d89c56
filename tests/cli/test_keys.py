"""``rbl key``."""

from collections.abc import Callable

from tests.cli.conftest import Ran


def test_life_of_a_key(rbl: Callable[..., Ran]) -> None:
    """A key is printed once when it is made, listed without itself, and revoked by number."""
    made = rbl("key", "make", "isp.example", "--mx", "MX.isp.example.", "--internal", "192.0.2.0/24")
    listed = rbl("key", "list")
    revoked = rbl("key", "revoke", "1")

    secret = made.out.strip()
    assert secret.startswith("rbl_")
    assert secret not in listed.out
    assert "isp.example" in listed.out
    assert "valid" in listed.out
    assert "isp.example is revoked\n" == revoked.out
    assert "revoked" in rbl("key", "list").out


def test_name_taken(rbl: Callable[..., Ran]) -> None:
    """Two keys cannot have one name."""
    rbl("key", "make", "isp.example")

    ran = rbl("key", "make", "isp.example")

    assert Ran(1, "", "rbl: there is a key named 'isp.example' already\n") == ran


def test_a_key_is_rotated(rbl: Callable[..., Ran]) -> None:
    """The new secret alone is printed; the list says until when the old one is taken."""
    old = rbl("key", "make", "isp.example").out
    rotated = rbl("key", "rotate", "1", "--overlap-hours", "2")
    listed = rbl("key", "list").out

    assert rotated.out.startswith("rbl_")
    assert rotated.out != old
    assert "isp.example: the old one is taken until" in rotated.err
    assert "never used" in listed
    assert "valid, the secret before until" in listed
    assert "(last used: never)" in listed
    assert "the old one is refused now" in rbl("key", "rotate", "1", "--overlap-hours", "0").err


def test_a_key_expires(rbl: Callable[..., Ran]) -> None:
    """The list says until when it is valid; a day that is past is refused."""
    rbl("key", "make", "isp.example", "--expires", "2999-12-31")

    assert "valid until 2999-12-31 00:00" in rbl("key", "list").out
    assert "would have expired before it begins" in rbl("key", "make", "b", "--expires", "2020-01-01").err


def test_why_and_note(rbl: Callable[..., Ran]) -> None:
    """Each command that changes something takes both, and neither may turn or hide text."""
    for words in (("key", "make", "a"), ("key", "rotate", "1"), ("probing", "off"), ("zone", "force", "x")):
        for option in ("--why", "--note"):
            ran = rbl(*words, option, "a\u202eb")
            assert (1, True) == (ran.status, f"rbl: {option}: U+202E cannot stand in it" in ran.err)
    assert 0 == rbl("key", "make", "a", "--why", "for the night", "--note", "asked for by phone").status


def test_a_name_like_our_own(rbl: Callable[..., Ran]) -> None:
    """It is refused with what to do."""
    assert "say whose key it is" in rbl("key", "make", "public").err
