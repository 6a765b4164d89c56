"""What others may read of a list's files is told with what to do."""

from pathlib import Path

import pytest

from rbl.cli.exposure import exposed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a database and an index, all private."""
    folder = tmp_path / "var"
    folder.mkdir(0o700)
    for name in ("rbl.db", "rbl.db-wal", "rbl.db-shm", "relays.example.index"):
        (folder / name).touch()
        (folder / name).chmod(0o600)
    return folder


def test_nothing_is_told_of_private_files(folder: Path) -> None:
    """What the program made is as it should be, and what is not there is nobody's."""
    assert [] == exposed(folder / "rbl.db", folder)
    assert [] == exposed(None, folder / "none")


@pytest.mark.parametrize(
    ("name", "mode", "expected"),
    [
        (
            "rbl.db",
            0o644,
            "rbl.db is open to others on this machine (mode 0644): chmod 600 {folder}/rbl.db",
        ),
        (
            "rbl.db-wal",
            0o640,
            "rbl.db-wal is open to others on this machine (mode 0640): chmod 600 {folder}/rbl.db-wal",
        ),
        (
            "rbl.db-shm",
            0o602,
            "rbl.db-shm is open to others on this machine (mode 0602): chmod 600 {folder}/rbl.db-shm",
        ),
        (".", 0o755, " is open to others on this machine (mode 0755): chmod 700 {folder}"),
    ],
)
def test_what_is_open_is_told(folder: Path, name: str, mode: int, expected: str) -> None:
    """Each file that others may use, and the folder, is named with its mode and a remedy."""
    (folder / name).chmod(mode)
    words = f"{folder}{'' if name == '.' else '/'}{expected.format(folder=folder)}"

    assert [words] == [str(one) for one in exposed(folder / "rbl.db", folder)]


def test_an_index_in_an_open_folder(folder: Path) -> None:
    """Where the folder is open, so may be the index."""
    folder.chmod(0o711)
    (folder / "relays.example.index").chmod(0o644)

    assert [folder, folder / "relays.example.index"] == [one.path for one in exposed(None, folder)]


def test_the_folder_of_a_database_elsewhere(folder: Path, tmp_path: Path) -> None:
    """A folder that is not the program's own is told only where others could put files in it."""
    elsewhere = tmp_path / "srv"
    elsewhere.mkdir()
    found = []
    for mode in (0o755, 0o777, 0o1777):
        elsewhere.chmod(mode)
        found.append([str(one) for one in exposed(elsewhere / "rbl.db", folder)])

    words = f"{elsewhere} is open to others on this machine (mode 0777): chmod go-w {elsewhere}"
    assert [[], [words], []] == found
