"""``rbl zone``."""

import io
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rbl.store import processes
from rbl.store.engine import Store
from rbl.store.processes import ListStanding, ProcessView
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


def told(tmp_path: Path, newest: int, held: str | None, minutes_ago: int = 0) -> None:
    """Have a DNS server tell where it stands with the list."""
    store = Store(f"sqlite:///{tmp_path}/rbl.db")
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    standing = ListStanding(serial=1, newest=newest, lag_seconds=0.1, held=held)
    with store.writing() as session:
        processes.tell(
            session,
            ProcessView(
                f"{newest}", "ns1", 812, ("dns",), "0", at, at, {"dns": True}, {"relays.example": standing}
            ),
        )
    store.close()


def test_force_shows_what_is_held_and_lets_that_out(rbl: Callable[..., Ran], tmp_path: Path) -> None:
    """It goes as far as the DNS servers have told, and not to what came into the journal since."""
    for address in ("5.0.0.1", "5.0.0.2", "5.0.0.3"):
        (tmp_path / "data").write_text(f"{address}\n", encoding="ascii")
        rbl("import", "rbldnsd", "relays.example:ip4set:data", "--reason", "open-relay")
    with sqlite3.connect(tmp_path / "rbl.db") as connection:
        serials = [serial for (serial,) in connection.execute("SELECT serial FROM journal ORDER BY serial")]
    connection.close()
    told(tmp_path, serials[1], "too many changes at once")
    told(tmp_path, serials[0], "too many changes, said another")

    ran = rbl("zone", "force", "Relays.Example.", "--why", "spring cleaning", "--yes")

    assert [
        f"relays.example: held back after serial 1, up to {serials[1]}: 2 listed",
        f"  by process 812 on ns1, up to {serials[0]}: too many changes, said another",
        f"  by process 812 on ns1, up to {serials[1]}: too many changes at once",
        f"relays.example is let out up to serial {serials[1]}",
    ] == sorted(ran.out.splitlines(), key=lambda line: (not line.startswith("relays.example: "), line))


def test_force_asks(rbl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is let out before somebody who has seen it says yes."""
    rbl("zone", "force", "relays.example", "--serial", "1")
    told(tmp_path, 7, "too many changes at once")
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    ran = rbl("zone", "force", "relays.example")

    assert 1 == ran.status
    assert "let it out up to serial 7? [y/N]" in ran.out
    assert "is let out up to" not in ran.out


def test_force_without_anything_held(rbl: Callable[..., Ran], tmp_path: Path) -> None:
    """It says so, and how many servers it knows of; one that is silent counts for nothing."""
    rbl("zone", "force", "relays.example", "--serial", "1")
    told(tmp_path, 7, None)
    told(tmp_path, 8, "too many changes at once", minutes_ago=2)

    ran = rbl("zone", "force", "relays.example")

    assert 1 == ran.status
    assert "nothing of relays.example is held back by a DNS server that tells of itself (1 do)" in ran.err


def test_force_up_to_a_serial(rbl: Callable[..., Ran]) -> None:
    """A serial that is named is let out without a look."""
    ran = rbl("zone", "force", "Relays.Example.", "--serial", "1")

    assert (0, "relays.example is let out up to serial 1\n") == (ran.status, ran.out)


def test_force_of_another_list(rbl: Callable[..., Ran]) -> None:
    """A list that there is not is named."""
    ran = rbl("zone", "force", "other.example")

    assert (1, "rbl: there is no zone other.example\n") == (ran.status, ran.err)
