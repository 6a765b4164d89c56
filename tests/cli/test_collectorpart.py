"""The collector joined to its database and its postbox."""

import asyncio
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from rbl import testtoken
from rbl.cli import collectorpart
from rbl.cli.listening import Sockets
from rbl.config import Collector, Listen, Settings
from rbl.store.engine import Store
from rbl.store.probetables import CollectorSpan, ProbeEnvelope, Receipt
from rbl.terms import Verdict
from rbl.testmessage import TokenKind
from tests.store import steps

KEY = b"k" * 32
DOMAIN = "relaytest.example"


def settings(folder: Path) -> Settings:
    """Return the settings of a collector that reports ten times a second."""
    listen = Listen("127.0.0.1", 0)
    own = Collector(listen=listen, domain=DOMAIN, heartbeat=timedelta(seconds=0.1))
    return Settings(data_dir=folder, collector=own)


def listening(store: Store, folder: Path, use: Callable[[Listen], None]) -> str:
    """Use a running collector, and return where it says that it listens."""

    async def story() -> str:
        async with collectorpart.listening(settings(folder), store, KEY, "collector 2", Sockets()) as line:
            host, _, port = line.partition(" ")[0].rpartition(":")
            await asyncio.to_thread(use, Listen(host, int(port)))
        return line

    return asyncio.run(story())


def spans(store: Store) -> list[CollectorSpan]:
    """Return when the collector listened."""
    with store.reading() as session:
        found = select(CollectorSpan).where(CollectorSpan.collector == "collector 2")
        spans = list(session.execute(found).scalars())
        session.expunge_all()
        return spans


def test_mail_goes_where_it_belongs(store: Store, tmp_path: Path) -> None:
    """What is for a test is in the database, what is for people in the postbox, and all else is refused."""
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store))
    claimed = steps.must_claim(store)
    steps.plan(store, claimed)
    steps.take(store, claimed, steps.NOW)
    steps.conclude(store, claimed, Verdict.UNPROVEN)
    token = testtoken.make(TokenKind.RECIPIENT, KEY)
    with store.writing() as session:
        session.get_one(ProbeEnvelope, 1).token = token
    codes: list[int] = []

    def use(listen: Listen) -> None:
        with smtplib.SMTP(*listen, timeout=20) as client:
            client.ehlo()
            client.mail("a@b.example")
            codes.extend(
                client.rcpt(f"{one}@{DOMAIN}")[0]
                for one in (token, "abuse", testtoken.make(TokenKind.SENDER, KEY), "nobody")
            )
            codes.append(client.data(b"Subject: x\r\n\r\nhello\r\n")[0])

    line = listening(store, tmp_path, use)
    with store.reading() as session:
        receipts = session.execute(select(Receipt.rcpt_to)).scalars().all()
    (letter,) = (tmp_path / "postbox" / "new").iterdir()

    assert ([250, 250, 550, 550, 250], [f"{token}@{DOMAIN}"]) == (codes, receipts)
    assert line.endswith(f" for {DOMAIN}")
    assert letter.read_text(encoding="utf-8").endswith("Subject: x\n\nhello\n")


def test_it_says_when_it_listened(store: Store, tmp_path: Path) -> None:
    """From its start to its stop, and after that nothing more is expected of it."""
    steps.set_up(store)
    seen: list[datetime] = []

    def use(_listen: Listen) -> None:
        first = spans(store)[0].seen_at
        while spans(store)[0].seen_at == first:
            pass
        seen.append(first)

    listening(store, tmp_path, use)
    (span,) = spans(store)

    assert span.began_at <= seen[0] < span.seen_at == span.expected_at


@pytest.mark.parametrize(("connections", "expected"), [(240, (200, 40)), (24, (20, 4))])
def test_its_share_of_connections(connections: int, expected: tuple[int, int]) -> None:
    """What the process may have is divided between all peers and hosts under test as ever."""
    limits = collectorpart.limits_of(connections)

    assert expected == (limits.connections, limits.kept_connections)
