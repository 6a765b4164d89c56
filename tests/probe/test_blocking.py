"""A listed host that keeps the tester out, in every wording, and then closes itself for everybody."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from rbl.store.engine import Store
from rbl.terms import State, Verdict
from tests.probe import relay
from tests.probe.relay import Clock, Said
from tests.probe.test_retest import Retested
from tests.store import steps

HOUR = timedelta(hours=1)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


def always(answer: str) -> Said:
    """Answer everything so."""
    return lambda _: answer


def but_first(answer: str, rest: str) -> Said:
    """Answer one form by *rest* and its own postmaster by yes: the others by *answer*."""

    def said(address: str) -> str:
        if address.lower().startswith("postmaster"):
            return "250 2.1.5 Ok"
        return rest if "!" in address else answer

    return said


TAKEN = relay.taken
BLOCKS: dict[str, tuple[Said, Said]] = {
    "a client map of Postfix": (
        TAKEN,
        always("554 5.7.1 <unknown[127.0.0.1]>: Client host rejected: No relay testers please"),
    ),
    "access denied to every sender": (always("550 5.7.1 Access denied"), TAKEN),
    "a DNS list, but for one syntax": (
        TAKEN,
        but_first("550 rejected because 127.0.0.1 is in a black list", "501 domain literals not allowed"),
    ),
    "relaying denied, to its own postmaster too": (TAKEN, always("550 Relaying denied")),
    "access denied to every recipient": (
        TAKEN,
        always("554 5.7.1 Recipient address rejected: Access denied"),
    ),
}


@pytest.mark.parametrize("wording", BLOCKS)
def test_who_refuses_only_the_tester_stays_listed(store: Store, wording: str) -> None:
    """Not delisted, and a person is told; closed and unblocked, it is out with the next look."""
    clock = Clock()
    tested = Retested(store, clock, TAKEN)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.mail, tested.host.rcpt = BLOCKS[wording]
            tested.ask()
            blocked = await tested.look(), tested.state, steps.host(store, relay.HOST).review
            tested.host.mail, tested.host.rcpt = TAKEN, relay.refused
            clock.move(HOUR)
            tested.ask()
            closed = await tested.look(), tested.state, steps.host(store, relay.HOST).review

        assert (Verdict.TESTER_BLOCKED, State.LISTED) == blocked[:2]
        assert blocked[2] is not None
        assert (Verdict.CLOSED, State.DELISTED, None) == closed

    run(story())
    steps.check(store)


HONEST: dict[str, Said] = {
    "Postfix": lambda address: relay.refused(address).replace("554 5.7.1", f"454 4.7.1 <{address}>:"),
    "Sendmail, that cannot look us up": lambda address: (
        "550 5.7.1 Relaying denied. IP name lookup failed [127.0.0.1]"
        if relay.refused(address).startswith("5")
        else "250 Ok"
    ),
    "Exim": lambda address: (
        "550 relay not permitted" if relay.refused(address).startswith("5") else "250 Accepted"
    ),
    "only for users who sign in": always("530 5.7.0 Authentication required"),
    "no postmaster": lambda address: (
        "550 5.1.1 User unknown" if "postmaster" in address.lower() else "550 5.7.1 Relaying denied"
    ),
    "greylisting for its own": lambda address: (
        "451 4.7.1 Greylisted" if "postmaster" in address.lower() else "550 5.7.1 Relaying denied"
    ),
}


@pytest.mark.parametrize("wording", HONEST)
def test_who_is_closed_to_everybody_is_delisted(store: Store, wording: str) -> None:
    """Whatever names a closed server puts into its refusals, one look ends the listing."""
    tested = Retested(store, Clock(), TAKEN)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.rcpt = HONEST[wording]
            tested.ask()
            found = await tested.look(), tested.state
            asked = [address for address in tested.host.recipients if address.startswith("postmaster")]

        assert (Verdict.CLOSED, State.DELISTED) == found
        assert asked
        assert not tested.host.messages[1:], "no message goes to a postmaster"

    run(story())
