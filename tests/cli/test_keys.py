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
