"""``rbl export``: from listings to files of other programs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ZONE, Ran


@pytest.fixture
def listed(rbl: Callable[..., Ran], tmp_path: Path) -> Callable[..., Ran]:
    """The command line, with a list that has two listings."""
    (tmp_path / "data").write_text("5.0.0.1\n50.0.1.0/24 :2:own $\n2a00::1 x\n", encoding="utf-8")
    rbl("import", "rbldnsd", "relays.example:ip4set:data")
    return rbl


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("rbldnsd", "50.0.1.0/24 :127.0.0.2:own $"),
        ("bind", '*.1.0.50 300 IN TXT "own 50.0.1.0"'),
        ("rpz", "24.0.1.0.50.rpz-ip CNAME ."),
        ("csv", "50.0.1.0/24,open-relay,127.0.0.2,own {address},no"),
    ],
)
def test_forms(listed: Callable[..., Ran], form: str, line: str) -> None:
    """Each form writes the listings to standard output."""
    assert line in listed("export", form).out.splitlines()


def test_json(listed: Callable[..., Ran]) -> None:
    """The document has every listing."""
    document = json.loads(listed("export", "json", "Relays.Example.").out)

    assert ["5.0.0.1/32", "50.0.1.0/24"] == sorted(one["subject"] for one in document["listings"])


def test_what_was_written_can_be_taken_in_again(
    listed: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that is imported elsewhere makes the same list."""
    before = listed("export", "csv").out
    listed("export", "rbldnsd", "--output", "copy")
    monkeypatch.setenv("RBL_DATABASE__URL", f"sqlite:///{tmp_path}/other.db")
    taken = listed("import", "rbldnsd", "relays.example:combined:copy")

    assert "relays.example: 2 listed, 1 refused\n" == taken.out
    assert "a test point" in taken.err
    assert before == listed("export", "csv").out


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_a_file_is_written_whole_and_private(
    listed: Callable[..., Ran], tmp_path: Path, umask: int
) -> None:
    """The file appears when it is complete, is the user's alone, and nothing else stays behind."""
    folder = tmp_path / "out"
    folder.mkdir()
    before = os.umask(umask)
    listed("export", "rpz", "-o", "out/zone")
    os.umask(before)

    assert [("zone", 0o100600)] == [(file.name, file.stat().st_mode) for file in folder.iterdir()]


def test_a_file_that_is_replaced_hands_on_its_mode(listed: Callable[..., Ran], tmp_path: Path) -> None:
    """Who let a name server's group read the file before need not do so after each export."""
    file = tmp_path / "zone"
    file.touch()
    file.chmod(0o640)
    listed("export", "rpz", "-o", "zone")

    assert (0o100640, True) == (file.stat().st_mode, file.stat().st_size > 0)


def test_what_is_no_file_is_not_replaced(listed: Callable[..., Ran], tmp_path: Path) -> None:
    """A device or a pipe stays what it is."""
    os.mkfifo(tmp_path / "pipe")

    expected = Ran(1, "", "rbl: pipe cannot be replaced: it is no regular file\n")
    assert (expected, True) == (listed("export", "rpz", "-o", "pipe"), (tmp_path / "pipe").is_fifo())


def test_a_file_that_cannot_be_written(listed: Callable[..., Ran]) -> None:
    """A folder that is none is told in a sentence."""
    assert Ran(1, "", "rbl: none/zone cannot be written: No such file or directory\n") == listed(
        "export", "rpz", "-o", "none/zone"
    )


def test_a_failure_leaves_what_was_there(listed: Callable[..., Ran], tmp_path: Path) -> None:
    """Where an export fails, what was there before stays, and nothing else."""
    folder = tmp_path / "out"
    (folder / "zone").mkdir(parents=True)

    assert Ran(1, "", "rbl: out/zone cannot be written: Is a directory\n") == listed(
        "export", "rpz", "-o", "out/zone"
    )
    assert ["zone"] == [file.name for file in folder.iterdir()]


def test_of_several_lists_one_must_be_named(
    rbl: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone_file: Path
) -> None:
    """Without a name the only list is meant; where there are two, or none of the name, they are told."""
    second = tmp_path / "second.toml"
    second.write_text(ZONE.replace("relays.example", "other.example"), encoding="utf-8")
    monkeypatch.setenv("RBL_ZONES", f"{zone_file},{second}")
    rbl("probing", "on")  # makes the second list

    expected = Ran(1, "", "rbl: name one of the lists: relays.example, other.example\n")
    assert expected == rbl("export", "csv")
    assert expected == rbl("export", "csv", "none.example")
    assert 0 == rbl("export", "csv", "other.example").status
