"""Files and folders of the program are its user's alone, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rbl import privatefiles


@pytest.fixture(params=[0o000, 0o022, 0o177], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """A umask that takes nothing away, the usual one, and one that takes too much."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the mode of *path*."""
    return path.stat().st_mode & 0o7777


def test_folders(tmp_path: Path, umask: None) -> None:
    """Every folder that was missing is the user's alone; one that was there stays as it was."""
    tmp_path.chmod(0o755)
    privatefiles.make_folder(tmp_path / "one" / "two")
    (tmp_path / "one" / "two").chmod(0o750)
    privatefiles.make_folder(tmp_path / "one" / "two")

    assert [0o755, 0o700, 0o750] == [mode(tmp_path / each) for each in ("", "one", "one/two")]


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    """A file in the folder's place is an error."""
    (tmp_path / "file").touch()

    with pytest.raises(FileExistsError):
        privatefiles.make_folder(tmp_path / "file")


def test_files(tmp_path: Path, umask: None) -> None:
    """A file that was missing is the user's alone; one that was there stays as it was."""
    privatefiles.make_file(tmp_path / "file")
    made = mode(tmp_path / "file")
    (tmp_path / "file").write_text("kept", encoding="utf-8")
    (tmp_path / "file").chmod(0o640)
    privatefiles.make_file(tmp_path / "file")

    assert (0o600, 0o640, "kept") == (made, mode(tmp_path / "file"), (tmp_path / "file").read_text("utf-8"))


@pytest.mark.parametrize(
    ("bits", "any_use", "writing"),
    [
        (0o600, None, None),
        (0o700, None, None),
        (0o640, 0o640, None),
        (0o604, 0o604, None),
        (0o755, 0o755, None),
        (0o770, 0o770, 0o770),
        (0o1777, 0o1777, None),
    ],
)
def test_mode_for_others(tmp_path: Path, bits: int, any_use: int | None, writing: int | None) -> None:
    """What others may read is told; on request only what they may change, but for folders like /tmp."""
    path = tmp_path / "some"
    path.mkdir()
    path.chmod(bits)

    assert any_use == privatefiles.mode_for_others(path)
    assert writing == privatefiles.mode_for_others(path, only_writing=True)


def test_what_is_absent_is_nobodys(tmp_path: Path) -> None:
    """Of a path that is not there nothing is told."""
    assert privatefiles.mode_for_others(tmp_path / "none") is None
