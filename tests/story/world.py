"""The real program in a process of its own, a relay to test, and what can be seen of them from outside.

What must hold at the end is read from the database itself.
"""

import asyncio
import signal
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import format_datetime
from pathlib import Path
from typing import TypeVar

import httpx2
from dns import exception as dns_exception
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode
from sqlalchemy import func, select

from rbl.cli.demoserver import APEX, DemoServer
from rbl.store.engine import Store
from rbl.store.probetables import Receipt
from rbl.store.tables import Host, JournalEntry, Listing, Nomination
from tests.story import relay as relays
from tests.story.relay import GatedRelay

QNAME = f"66.0.0.127.{APEX}"
NOT_LISTED = ("NXDOMAIN", "NXDOMAIN")
_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.02
# A worker that was killed is replaced after one second.
_SETTINGS = {"RBL_PROBE__LEASE": "1", "RBL_LISTS__FIRST_WAIT": "0.3"}
_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a story ended. *journal* has the changes of DNS, *doubled* what was kept twice."""

    state: str
    dns: tuple[str, str]
    journal: tuple[str, ...]
    live_listings: int
    nominations: int
    offences: int
    doubled: tuple[str, ...]


class Story:
    """A story under way."""

    def __init__(self, folder: Path, server: DemoServer, relay: GatedRelay) -> None:
        self.folder = folder
        self.server = server
        self.relay = relay
        self.url = f"sqlite:///{folder}/rbl.db"

    async def make_key(self, trust: str = "trusted") -> str:
        """Return a new key of a nominator of that trust."""
        key = {"name": "postmaster", "role": "nominator", "trust": trust, "mx_names": ["mx.isp.example"]}
        made = await self.ask("POST", "/v1/keys", json=key)
        return str(made["key"])

    async def nominate(self, key: str) -> None:
        """Hand in a spam that came through the relay, until it is taken, as a mail filter does."""
        spam = (
            f"Received: from spammer.example ([{relays.HOST}])\r\n\tby mx.isp.example with ESMTP;"
            f" {format_datetime(datetime.now(UTC))}\r\nFrom: winner@bulk.example\r\nSubject: You won\r\n"
            "Message-ID: <1@bulk.example>\r\n\r\nClick here.\r\n"
        ).encode()
        headers = {"Content-Type": "message/rfc822", "Idempotency-Key": "1"}
        await self.ask("POST", "/v1/nominations", content=spam, headers=headers, key=key)

    async def decide(self, decision: str) -> None:
        """Decide as the operator."""
        body = {"decision": decision, "why": "a person looked"}
        await self.ask("POST", f"/v1/hosts/{relays.HOST}/decisions", json=body)

    async def switch(self, *, on: bool) -> None:
        """Turn the switch of all tests."""
        await self.ask("PUT", "/v1/switches/probing", json={"on": on, "why": "an exercise"})

    async def ask_retest(self) -> None:
        """Ask for a retest as anybody may; 409: the answer to an earlier try was lost, and it is over."""
        await self.ask("POST", f"/v1/addresses/{relays.HOST}/retests", accept=409)

    async def state(self) -> str | None:
        """Return the relay's state as the API tells it, None where it has no story."""
        told = await self.ask("GET", f"/v1/addresses/{relays.HOST}")
        return None if told["state"] is None else str(told["state"])

    async def until(self, *states: str) -> None:
        """Wait until the relay is in one of *states*."""
        await until(self.state, lambda state: state in states)

    async def dns(self) -> tuple[str, str]:
        """Return what DNS says of the relay: A and TXT, or the status where there is no answer."""
        return await asyncio.to_thread(self._dns, "A"), await asyncio.to_thread(self._dns, "TXT")

    async def until_dns(self, answers: tuple[str, str]) -> None:
        """Wait until DNS says *answers*."""
        await until(self.dns, lambda seen: seen == answers)

    @property
    def listed(self) -> tuple[str, str]:
        """What DNS says of a listed relay."""
        return "127.0.0.2", f'"Open relay, see {self.server.web}/a/{relays.HOST}"'

    async def kill(self) -> None:
        """Kill the program as a power cut does, and start it again on what it left."""
        assert -signal.SIGKILL == await self.server.end(signal.SIGKILL)
        await self.server.start()

    async def ending(self) -> Ending:
        """Return how it ended, after DNS has seen the last change."""
        with self._reading() as store, store.reading() as session:
            changes = (
                session.execute(select(JournalEntry.change).order_by(JournalEntry.serial)).scalars().all()
            )
            host = session.execute(select(Host)).scalar_one()
            live = select(func.count(Listing.id)).where(Listing.ended_at.is_(None))
            receipts = [_letter(row) for row in session.execute(select(Receipt)).scalars()]
            nominations = session.execute(select(func.count(Nomination.id))).scalar_one()
            ended = Ending(
                state=host.state.value,
                dns=await self.dns(),
                journal=tuple(change.value for change in changes),
                live_listings=session.execute(live).scalar_one(),
                nominations=nominations,
                offences=host.offences,
                doubled=tuple(sorted({letter for letter in receipts if receipts.count(letter) > 1})),
            )
        assert len(receipts) >= self.relay.handed_over, "what was taken is kept"
        return ended

    def _reading(self) -> "_Opened":
        return _Opened(self.url)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        accept: int = 200,
    ) -> Mapping[str, object]:
        """Ask the API until it answers; a killed server does not. *accept*: a failure that is none."""
        sent = {"Authorization": f"Bearer {key or self.server.admin_key}", **(headers or {})}

        def once() -> httpx2.Response | None:
            try:
                return httpx2.request(
                    method, self.server.web + path, json=json, content=content, headers=sent, timeout=30
                )
            except httpx2.TransportError:
                return None

        answer = await until(lambda: asyncio.to_thread(once), lambda answer: answer is not None)
        assert answer is not None
        assert answer.is_success or answer.status_code == accept, (
            f"{method} {path}: {answer.status_code} {answer.text}"
        )
        told: Mapping[str, object] = answer.json()
        return told

    def _dns(self, rtype: str) -> str:
        query = dns_message.make_query(QNAME, rtype)
        try:
            reply = dns_query.udp(query, self.server.dns.host, 2, self.server.dns.port)
        except (dns_exception.Timeout, OSError):
            return "no answer"
        records = [record.to_text() for rrset in reply.answer for record in rrset]
        return "; ".join(records) or dns_rcode.to_text(reply.rcode())


class _Opened:
    """A database that is closed at the end."""

    def __init__(self, url: str) -> None:
        self._store = Store(url)

    def __enter__(self) -> Store:
        return self._store

    def __exit__(self, *fault: object) -> None:
        self._store.close()


@asynccontextmanager
async def begun(folder: Path, settings: Mapping[str, str] | None = None) -> AsyncIterator[Story]:
    """Start the program with *settings*, and an open relay."""
    relay = GatedRelay()
    async with (
        relays.serving(relay) as port,
        DemoServer(folder, port, {**_SETTINGS, **(settings or {})}) as server,
    ):
        relay.routes = {server.collector_domain: server.collector}
        yield Story(folder, server, relay)


async def until(ask: Callable[[], Awaitable[_Told]], is_right: Callable[[_Told], bool]) -> _Told:
    """Ask until the answer is right, and return it."""
    deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
    while not is_right(told := await ask()):
        assert asyncio.get_running_loop().time() < deadline, f"in the end it is still {told!r}"
        await asyncio.sleep(_PAUSE_SECONDS)
    return told


def _letter(receipt: Receipt) -> str:
    """Return by what a message that came back is told from every other: its id and its recipient."""
    message = message_from_bytes(zlib.decompress(receipt.message))
    return f"{message['Message-ID']} for {receipt.rcpt_to}"
