"""Why a message of a test is sent, in the words of its purpose."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from rbl.config import Settings
from rbl.probe.occasion import occasion
from rbl.store.runs import Claim
from rbl.terms import Purpose

CLAIM = Claim(
    run_id=7,
    host_id=1,
    zone="relays.example",
    address=ip_address("203.0.113.9"),
    purpose=Purpose.RETEST,
    owner="worker 1",
    attempt=2,
    retries_done=0,
    steps_done=0,
    hostname=None,
    asked_by="public",
    created_at=datetime(2026, 5, 4, 10, tzinfo=UTC),
    may_connect=True,
    lease_until=datetime(2026, 5, 4, 10, 2, tzinfo=UTC),
)


def test_what_a_message_says_of_its_test() -> None:
    """The run and its attempt, the host, the reason with its day, and where to turn to."""
    found = occasion(CLAIM, Settings())

    assert ("7", 2, CLAIM.address) == (found.run, found.attempt, found.target)
    assert found.why == "somebody asked whether this server is still an open relay (2026-05-04)"
    assert found.lookup_url.endswith("/a/203.0.113.9")
    assert found.opt_out_url.endswith("/policy")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_purpose_has_its_reason(purpose: Purpose) -> None:
    """No test goes out without a reason in words."""
    assert occasion(replace(CLAIM, purpose=purpose), Settings()).why.endswith(" (2026-05-04)")
