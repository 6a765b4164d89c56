"""The first admin key: in a file that its operator alone can read, or on his terminal."""

import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from rbl.cli import firstkey
from rbl.cli.opening import now, prepare
from rbl.errors import ConfigError
from rbl.store import keys
from rbl.store.engine import Store
from tests.cli.process import Installation


@pytest.fixture
def fresh(tmp_path: Path) -> Store:
    """A database without a key."""
    store = Store(f"sqlite:///{tmp_path}/rbl.db")
    prepare(store, ["relays.example"])
    return store


def test_it_is_in_a_file_of_its_own(fresh: Store, tmp_path: Path) -> None:
    """Whatever the umask and whatever was there; the key is not said, and where it is, is."""
    folder = tmp_path / "var"
    folder.mkdir()
    (folder / firstkey.FILE).write_text("of another list")
    (folder / firstkey.FILE).chmod(0o666)
    before = os.umask(0)
    try:
        said = firstkey.tell_or_keep(fresh, folder, is_terminal=False, now=now())
    finally:
        os.umask(before)
    file = folder / firstkey.FILE
    secret = file.read_text().strip()
    with fresh.reading() as session:
        caller, _ = keys.authenticate(session, secret, now())

    assert said is not None
    assert said.endswith(f": {file}")
    assert "replace it: rbl key rotate 1" in said
    assert secret not in said
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert [firstkey.FILE] == [each.name for each in folder.iterdir()]
    assert ("first-admin", "admin") == (caller.name, caller.role.value)


def test_it_is_asked_to_be_replaced_again(fresh: Store, tmp_path: Path) -> None:
    """As long as the file is there."""
    firstkey.tell_or_keep(fresh, tmp_path, is_terminal=False, now=now())
    again = firstkey.tell_or_keep(fresh, tmp_path, is_terminal=False, now=now())
    (tmp_path / firstkey.FILE).unlink()
    after = firstkey.tell_or_keep(fresh, tmp_path, is_terminal=False, now=now())

    assert f"first key   still in {tmp_path / firstkey.FILE}" in str(again)
    assert after is None


def test_a_key_that_cannot_be_kept_is_not_made(fresh: Store, tmp_path: Path) -> None:
    """Nobody would ever know it."""
    (tmp_path / "var").write_text("a file")
    with pytest.raises(ConfigError, match="data_dir: cannot write to"):
        firstkey.tell_or_keep(fresh, tmp_path / "var", is_terminal=False, now=now())
    with fresh.reading() as session:
        assert [] == list(keys.all_keys(session))


def test_a_person_reads_it_from_the_terminal(tmp_path: Path) -> None:
    """It is in no file then."""
    installation = Installation(tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "rbl", "serve", "--only", "web"],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=installation.environment(),
        cwd=tmp_path,
    ) as process:
        os.close(theirs)
        said = ""
        while "ready" not in said:
            said += os.read(ours, 4096).decode()
        process.terminate()
        process.wait()
    os.close(ours)

    assert re.search(r"first admin API key, shown only now \(replace it: .*\): rbl_\S{43}\r", said)
    assert not (tmp_path / "var" / firstkey.FILE).exists()


def test_it_is_replaced_as_the_readme_says(tmp_path: Path) -> None:
    """The new one opens what the old one did, which opens nothing any more."""
    installation = Installation(tmp_path)
    with installation.serving("--only", "web") as process:
        old = process.first_key
        new = installation.run("key", "rotate", "1", "--overlap-hours", "0").stdout.decode().strip()
        statuses = [
            httpx2.get(f"{process.web}/v1/keys", headers={"Authorization": f"Bearer {key}"}).status_code
            for key in (old, new)
        ]

    assert [401, 200] == statuses
