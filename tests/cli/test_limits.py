"""``rbl key limit``, ``suspend`` and ``resume``."""

from collections.abc import Callable

from tests.cli.conftest import Ran


def test_limits_of_a_key(rbl: Callable[..., Ran]) -> None:
    """How much it may is changed, shown and taken back; suspended it may do nothing, and then again."""
    rbl("key", "make", "isp.example")

    more = rbl("key", "limit", "1", "--nominations", "9000", "--why", "a large trap")
    suspended = rbl("key", "suspend", "1")
    shown = rbl("key", "limit", "1", "--show")
    resumed = rbl("key", "resume", "1")
    back = rbl("key", "limit", "1")

    rest = "networks 0 of 200, waiting 0 of 100"
    assert f"isp.example: nominations 0 of 9000, {rest}\n" == more.out
    assert ("key 1 is suspended\n", "key 1 may go on\n") == (suspended.out, resumed.out)
    assert f"isp.example: nominations 0 of 9000, {rest}, suspended\n" == shown.out
    assert f"isp.example: nominations 0 of 500, {rest}\n" == back.out


def test_limits_of_a_key_that_is_not(rbl: Callable[..., Ran]) -> None:
    """The number is told."""
    assert Ran(1, "", "rbl: there is no key 7\n") == rbl("key", "suspend", "7")
