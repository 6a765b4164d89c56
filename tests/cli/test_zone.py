"""``rbl zone``."""

from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import Ran


def test_good_zone_file(rbl: Callable[..., Ran], zone_file: Path) -> None:
    """A good zone file is shown with what it publishes."""
    ran = rbl("zone", "check", str(zone_file))

    assert 0 == ran.status
    assert f"{zone_file}: good" in ran.out
    assert "open-relay: 127.0.0.2" in ran.out


def test_faulty_zone_file(rbl: Callable[..., Ran], zone_file: Path) -> None:
    """Every fault of a zone file is named at once."""
    text = zone_file.read_text(encoding="utf-8")
    zone_file.write_text(text.replace("127.0.0.2", "10.0.0.1").replace("[ns]", "[sn]"), encoding="utf-8")

    ran = rbl("zone", "check", str(zone_file))

    assert 1 == ran.status
    assert "10.0.0.1" in ran.err
    assert "sn" in ran.err


def test_shipped_zone_file(rbl: Callable[..., Ran]) -> None:
    """The zone file that is shipped as an example is good."""
    shipped = Path(__file__).parents[2] / "zones" / "relays.example.toml"

    assert 0 == rbl("zone", "check", str(shipped)).status


def test_force(rbl: Callable[..., Ran]) -> None:
    """What is held back is let out up to the last serial, or up to one that is named."""
    newest = rbl("zone", "force", "Relays.Example.", "--why", "spring cleaning")
    named = rbl("zone", "force", "relays.example", "--serial", "1")

    assert newest.out.startswith("relays.example is let out up to serial 1")
    assert newest.out == named.out


def test_force_of_another_list(rbl: Callable[..., Ran]) -> None:
    """A list that there is not is named."""
    ran = rbl("zone", "force", "other.example")

    assert (1, "rbl: there is no zone other.example\n") == (ran.status, ran.err)
