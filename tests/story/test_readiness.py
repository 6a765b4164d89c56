"""What /readyz, log and metrics of the real program say when DNS falls behind, or the disk is full."""

import sqlite3
from contextlib import closing

import httpx2

from tests.cli.process import Installation, Serving
from tests.story.test_standing import ZONE, eventually, installation, list_by_hand

__all__ = ["installation"]  # the fixture


def ready(process: Serving) -> tuple[int, str]:
    """Return what /readyz says: its status, and what is missing."""
    answer = httpx2.get(f"{process.web}/readyz", timeout=30)
    return answer.status_code, answer.json().get("detail", "")


def part_ready(process: Serving, part: str) -> str:
    """Return what the metrics say of *part*."""
    lines = httpx2.get(f"{process.web}/metrics").text.splitlines()
    (value,) = [
        line.rpartition(" ")[2] for line in lines if line.startswith(f'rbl_part_ready{{part="{part}"}}')
    ]
    return value


def rename(installation: Installation, old: str, new: str) -> None:
    """Rename a table: then the follower cannot read, and all others can."""
    with closing(sqlite3.connect(installation.folder / "rbl.db", timeout=60)) as file:
        file.execute(f"ALTER TABLE {old} RENAME TO {new}")


def test_a_journal_that_is_not_read(installation: Installation) -> None:
    """DNS is not ready once the journal was not read for dns.max_lag, and is again when it is read."""
    installation.settings["RBL_DNS__MAX_LAG"] = "1"
    with installation.serving() as process:
        list_by_hand(process, process.first_key or "", "20.0.0.1")
        eventually(lambda: ready(process) == (200, ""))
        rename(installation, "journal", "journal_lost")
        eventually(lambda: ready(process)[0] == 503)
        eventually(lambda: "event=part_failed" in process.log())
        behind, metric = ready(process)[1], part_ready(process, "dns")
        rename(installation, "journal_lost", "journal")
        eventually(lambda: ready(process) == (200, ""))
        eventually(lambda: "event=part_works" in process.log())
        metric_after = part_ready(process, "dns")
        assert 0 == process.end()

    assert behind.startswith(f"not ready: dns (the journal of {ZONE} was last read ")
    assert "no such table: journal" in behind
    assert ("0.0", "1.0") == (metric, metric_after)


def test_a_full_disk(installation: Installation) -> None:
    """A disk with less space than the setting wants is told by all three."""
    installation.settings["RBL_DATABASE__MIN_FREE_MIB"] = str(2**40)
    with installation.serving() as process:
        eventually(lambda: "event=part_failed" in process.log())
        status, why = ready(process)
        metric = part_ready(process, "database")
        assert 0 == process.end()

    assert (503, "0.0") == (status, metric)
    assert why.startswith("not ready: database (the disk of the database is full: ")
