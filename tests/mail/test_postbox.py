"""Mail to postmaster and abuse: kept where its reader finds it, and bounded."""

import mailbox
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from rbl.mail.delivery import PostboxFull, Received
from rbl.mail.postbox import Postbox

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
LETTER = Received(
    peer=ip_address("198.51.100.7"),
    helo="mx.example\x1b[2J",
    mail_from="angry@example.org",
    recipients=(),
    message=b"Subject: your test\r\n\r\nStop it.\r\n",
    received_at=NOW,
    people=("postmaster", "abuse@relaytest.example"),
)


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The folder, under the widest umask."""
    before = os.umask(0)
    yield tmp_path / "var" / "postbox"
    os.umask(before)


def letters(folder: Path) -> list[Path]:
    """Return the files that are there."""
    return sorted((folder / "new").iterdir())


def test_a_letter_is_read_by_any_mail_program(folder: Path, clock: Clock) -> None:
    """It is in a maildir, with how it came on top, and nobody else can read it."""
    Postbox(folder, 10_000, clock).keep(LETTER)
    (read,) = mailbox.Maildir(folder)
    (file,) = letters(folder)

    assert ("your test", "<angry@example.org>", "Stop it.\n") == (
        read["Subject"],
        read["Return-Path"],
        read.get_payload(),
    )
    assert "from mx.example?[2J ([198.51.100.7]); Thu, 05 Mar 2026 12:00:00 +0000" == read["Received"]
    assert ["postmaster", "abuse@relaytest.example"] == read.get_all("Delivered-To")
    assert (0o100600, 0o40700, 0o40700) == (
        file.stat().st_mode,
        folder.stat().st_mode,
        (folder / "new").stat().st_mode,
    )
    assert [] == list((folder / "tmp").iterdir())


def test_a_full_postbox_takes_no_more(folder: Path, clock: Clock) -> None:
    """Over its octets letters are put off, until somebody deletes one; read ones count, too."""
    postbox = Postbox(folder, 600, clock)
    postbox.keep(LETTER)
    first = letters(folder)[0]
    first.rename(folder / "cur" / f"{first.name}:2,S")
    postbox.keep(LETTER)
    with pytest.raises(PostboxFull, match="is full: read and delete"):
        postbox.keep(LETTER)
    (folder / "cur" / f"{first.name}:2,S").unlink()
    postbox.keep(LETTER)

    assert 2 == len(letters(folder))


def test_one_stranger_does_not_fill_it(folder: Path, clock: Clock) -> None:
    """Twenty letters of one peer a day, a /64 being one, and others are still heard."""
    postbox = Postbox(folder, 10**6, clock)
    six = replace(LETTER, peer=ip_address("2001:db8::1"))
    for number in range(20):
        postbox.keep(replace(six, peer=ip_address(f"2001:db8::{number}")))
    with pytest.raises(PostboxFull, match="2001:db8::/64 has written 20 letters today"):
        postbox.keep(six)
    postbox.keep(LETTER)
    clock.now += 24 * 3600 + 1
    postbox.keep(six)

    assert 22 == len(letters(folder))


def test_a_postbox_of_nothing_takes_nothing(folder: Path, clock: Clock) -> None:
    """An operator who wants none has none."""
    with pytest.raises(PostboxFull):
        Postbox(folder, 0, clock).keep(LETTER)

    assert not folder.exists()


def test_a_disk_that_takes_nothing_is_no_loss(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the folder cannot be made the sender tries again, and the operator is told once an hour."""
    (tmp_path / "var").write_text("a file", encoding="utf-8")
    postbox = Postbox(tmp_path / "var" / "postbox", 10_000, clock)
    for seconds in (0, 1, 3_600):
        clock.now += seconds
        with pytest.raises(PostboxFull, match="postbox: Not a directory"):
            postbox.keep(LETTER)

    assert 2 == capsys.readouterr().out.count("postbox_full")
