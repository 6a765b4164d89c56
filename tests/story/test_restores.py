"""Backups put back at random moments: after one look at the journal DNS answers what an export says."""

from pathlib import Path

import pytest

from tests.postgresql import Databases
from tests.story.backup import Backup, SqliteBackup, TemplateBackup
from tests.story.restores import Life


def _rounds(life: Life, count: int) -> tuple[list[str], int]:
    """Live, restore and live on *count* times; return every difference, and how often it was restored."""
    differences = []
    life.live()
    life.back_up()
    for number in range(count):
        life.live()
        life.restore()
        if life.random.random() < 0.7:
            life.live()
        difference = life.difference()
        if difference is not None:
            differences.append(f"round {number}: {difference}")
    life.close()
    return differences, life.restores


@pytest.mark.parametrize("seed", range(4))
def test_restores_of_sqlite(tmp_path: Path, sqlite_url: str, seed: int) -> None:
    """Fifty restores for each of four lives."""

    def make_backup(number: int) -> Backup:
        return SqliteBackup(sqlite_url, tmp_path, number)

    life = Life(sqlite_url, tmp_path / "data", seed, make_backup, most_backups=3)

    assert ([], 50) == _rounds(life, 50)


@pytest.mark.parametrize("seed", range(5))
def test_restores_of_postgresql(tmp_path: Path, databases: Databases, seed: int) -> None:
    """Ten restores for each of five lives."""
    name = databases.migrated()
    url = databases.url(name)
    made: list[TemplateBackup] = []

    def make_backup(number: int) -> Backup:
        made.append(TemplateBackup(url, number))
        return made[-1]

    try:
        life = Life(url, tmp_path / "data", seed, make_backup, most_backups=2)
        told = _rounds(life, 10)
    finally:
        for backup in made:
            backup.drop()
        databases.drop(name)

    assert ([], 10) == told
