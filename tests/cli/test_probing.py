"""``rbl probing``."""

from collections.abc import Callable

from tests.cli.conftest import Ran


def test_switch(rbl: Callable[..., Ran]) -> None:
    """The switch is on at first, is turned off and on again, and says how it stands."""
    assert "the switch is on; probing is not set up" in rbl("probing", "status").out
    assert "probing is off\n" == rbl("probing", "off", "--why", "complaints").out
    assert "the switch is off" in rbl("probing", "status").out
    assert "probing is on\n" == rbl("probing", "on").out
    assert "the switch is on" in rbl("probing", "status").out
