"""The collector joined to the others: what it keeps goes to the database, and when it listened, too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rbl.cli.listening import Sockets
from rbl.cli.opening import now
from rbl.config import Settings
from rbl.mail.attendant import Attendant
from rbl.mail.collector import Collector
from rbl.mail.places import Limits
from rbl.mail.postbox import Postbox
from rbl.mail.returns import Returns
from rbl.mail.tokens import Tokens
from rbl.store import attendance, receipts
from rbl.store.attendance import Report
from rbl.store.receipts import Quota

if TYPE_CHECKING:
    from rbl.mail.delivery import Received
    from rbl.store.engine import Store

# How often it is looked whether tokens of the old form are expected, and old reports are forgotten.
_TIDY_EVERY = timedelta(minutes=1)


def limits_of(connections: int) -> Limits:
    """Return the limits of a collector that may have *connections* at once, kept places included."""
    usual = Limits()
    kept = usual.kept_connections * connections // (usual.connections + usual.kept_connections)
    return replace(usual, connections=connections - kept, kept_connections=kept)


@asynccontextmanager
async def listening(
    settings: Settings,
    store: "Store",
    key: bytes,
    name: str,
    sockets: Sockets,
    limits: Limits | None = None,
) -> AsyncIterator[str]:
    """Take mail, report the attendance of the collector called *name*, and yield where it listens.

    Raises:
        ConfigError: an address cannot be bound.
        Unavailable: the database does not answer.
    """
    own = settings.collector
    per_token = max(own.store.octets_per_token, 2 * own.max_message_octets)
    per_run = max(own.store.octets_per_test, per_token)
    quota = Quota(per_token, per_run, max(own.store.octets, per_run))
    returns = Returns(store, key, quota)
    postbox = Postbox(settings.data_dir / "postbox", own.store.postbox_octets)
    tokens = Tokens(key, returns.standing)
    tidied_at = now() - _TIDY_EVERY

    def deliver(received: "Received") -> None:
        if received.recipients:
            returns.keep(received)
        if received.people:
            postbox.keep(received)

    def report(report: Report) -> None:
        nonlocal tidied_at
        is_due = now() - tidied_at >= _TIDY_EVERY
        with store.writing() as session:
            attendance.note(session, report)
            if is_due:
                attendance.forget(session, attendance.horizon(now(), settings.lists.return_window))
        with store.reading() as session:
            sink.places.awaited = attendance.awaited(session)
            if is_due:
                tokens.expects_unsigned = receipts.expect_unsigned(session)
        if is_due:
            tidied_at = now()

    attendant = Attendant(name, report, own.heartbeat, now)
    sink = Collector(own, deliver, tokens, attendant.refused, limits)
    await sink.start(sockets.listen_at("collector", own.listen, "collector.listen"))
    await attendant.begin()
    try:
        yield f"{' '.join(map(str, sink.bound))} for {', '.join(own.names)}"
    finally:
        await asyncio.gather(attendant.end(), sink.stop(shared=sockets.are_shared))
