"""Mail to the people who run the collector: ``postmaster@`` and ``abuse@``, kept until somebody reads it.

A maildir that every mail program opens and that a look into the folder shows, too; readable for the
program's own user only. RFC 5321 §4.5.1 demands the one address, RFC 2142 §4 the other, and whoever is
angry about a test writes to them. What strangers may fill is bounded, and so is one stranger's share.
Log events: ``postbox`` for each letter kept, ``postbox_full``, once an hour at most.
"""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.utils import format_datetime
from ipaddress import IPv6Address, ip_network
from pathlib import Path

import structlog

from rbl.mail.delivery import PostboxFull, Received
from rbl.terms import Network

_FOLDERS = ("tmp", "new", "cur")
# So many files are seen at a glance, and counted quickly for each letter.
_MOST_LETTERS = 1_000
# Of one peer (IPv6: its /64) in a day: people write a letter and its reminder.
_LETTERS_PER_PEER = 20
_MOST_PEERS = 10_000
_DAY_SECONDS = timedelta(days=1).total_seconds()
_HOUR_SECONDS = timedelta(hours=1).total_seconds()

_log = structlog.get_logger()


class Postbox:
    """The maildir *folder*, of *max_octets* at most. Safe to share between threads."""

    def __init__(
        self, folder: Path, max_octets: int, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._max_octets = max_octets
        self._seconds = seconds
        self._lock = threading.Lock()
        self._number = 0
        self._peers: Counter[Network] = Counter()
        self._peers_since = seconds()
        self._told_full_at: float | None = None

    def keep(self, received: Received) -> None:
        """Write *received* down for its ``people``; it is on the disk when this returns.

        Raises:
            PostboxFull: there is no room, here or on the disk, or the peer has had its share.
        """
        letter = _letter(received)
        with self._lock:
            site = _site(received)
            try:
                self._refuse_if_full(site, len(letter))
                self._write(letter)
            except OSError as fault:
                self._tell_full(why=fault.strerror)
                raise PostboxFull(f"{self._folder}: {fault.strerror}", code="postbox-full") from None
            self._peers[site] += 1
        _log.info("postbox", peer=str(received.peer), octets=len(letter), folder=str(self._folder))

    def _refuse_if_full(self, site: Network, octets: int) -> None:
        now = self._seconds()
        if now - self._peers_since > _DAY_SECONDS or len(self._peers) > _MOST_PEERS:
            self._peers.clear()
            self._peers_since = now
        if self._peers[site] >= _LETTERS_PER_PEER:
            raise PostboxFull(f"{site} has written {_LETTERS_PER_PEER} letters today", code="postbox-full")
        sizes = list(self._sizes())
        if len(sizes) < _MOST_LETTERS and sum(sizes) + octets <= self._max_octets:
            return
        self._tell_full(letters=len(sizes), octets=sum(sizes))
        raise PostboxFull(f"{self._folder} is full: read and delete what is in it", code="postbox-full")

    def _tell_full(self, **why: str | int | None) -> None:
        now = self._seconds()
        if self._told_full_at is None or now - self._told_full_at > _HOUR_SECONDS:
            _log.warning("postbox_full", folder=str(self._folder), **why)
            self._told_full_at = now

    def _sizes(self) -> Iterator[int]:
        """Yield the octets of each letter that is there, read or not."""
        for name in _FOLDERS:
            try:
                with os.scandir(self._folder / name) as files:
                    for file in files:
                        yield file.stat().st_size
            except FileNotFoundError:  # no letter yet, or one that a mail program takes away just now
                continue

    def _write(self, letter: bytes) -> None:
        """Put *letter* into ``tmp``, and from there into ``new`` once it is whole."""
        for folder in (self._folder, *(self._folder / name for name in _FOLDERS)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        name = f"{time.time_ns()}.P{os.getpid()}Q{self._number}.{socket.gethostname().replace('/', '_')}"
        whole = self._folder / "tmp" / name
        try:
            with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(letter)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            whole.unlink(missing_ok=True)
            raise
        whole.rename(self._folder / "new" / name)
        entries = os.open(self._folder / "new", os.O_RDONLY)
        try:
            os.fsync(entries)
        finally:
            os.close(entries)


def _letter(received: Received) -> bytes:
    """Return the message with the lines on top that say how it came (RFC 5321 §4.4), lines ended by LF."""
    helo = "".join(c if c.isascii() and c.isprintable() else "?" for c in received.helo)[:255]
    sender = "".join(c if c.isascii() and c.isprintable() else "?" for c in received.mail_from)[:255]
    lines = [
        f"Return-Path: <{sender}>",
        *(f"Delivered-To: {one}" for one in received.people),
        f"Received: from {helo} ([{received.peer}]); {format_datetime(received.received_at)}",
    ]
    return ("\n".join(lines) + "\n").encode("ascii", "replace") + received.message.replace(b"\r\n", b"\n")


def _site(received: Received) -> Network:
    peer = received.peer
    return ip_network((peer, 64), strict=False) if isinstance(peer, IPv6Address) else ip_network(peer)
