"""Column types: what goes into SQL comes out the same, on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from rbl.store import journal
from rbl.store.engine import Store
from rbl.store.tables import AuditRow, Exemption, Host, Switch
from rbl.terms import Address, Network, State
from tests.store.steps import NOW, ZONE

SAMOA = timezone(timedelta(hours=13))


@pytest.mark.parametrize(
    "at",
    [
        NOW,
        datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 3, 2, 1, 0, tzinfo=SAMOA),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2106, 2, 8, tzinfo=UTC),
    ],
)
def test_times_are_aware_utc(store: Store, at: datetime) -> None:
    """A time comes back as the same moment in UTC, to the microsecond."""
    with store.writing() as session:
        session.add(Switch(name="probing", on=True, changed_at=at, actor="test"))
    with store.reading() as session:
        found = session.execute(select(Switch.changed_at)).scalar_one()

    assert (at, UTC) == (found, found.tzinfo)


def test_a_naive_time_is_a_fault_of_the_program(store: Store) -> None:
    """A time without a zone is never written."""
    with pytest.raises((StatementError, AssertionError)), store.writing() as session:
        session.add(Switch(name="probing", on=True, changed_at=datetime(2026, 3, 1), actor="test"))  # noqa: DTZ001


def test_a_missing_time_stays_missing(store: Store) -> None:
    """NULL is None both ways, for times and for the rest."""
    with store.writing() as session:
        journal.open_zone(session, ZONE, NOW)
        session.add(a_host(ip_address("192.0.2.1")))
    with store.reading() as session:
        found = session.execute(select(Host.retest_allowed_at, Host.review)).one()

    assert (None, None) == tuple(found)


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_addresses_are_canonical_text(store: Store, address: str, written: str) -> None:
    """An address is found by its value and stands in SQL as a person would write it."""
    parsed = ip_address(address)
    with store.writing() as session:
        journal.open_zone(session, ZONE, NOW)
        session.add(a_host(parsed))
    with store.reading() as session:
        found = session.execute(select(Host.address).where(Host.address == parsed)).scalar_one()
        (raw,) = session.connection().exec_driver_sql("SELECT address FROM hosts").one()

    assert (parsed, written) == (found, raw)


@pytest.mark.parametrize("network", ["192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32"])
def test_networks_are_canonical_text(store: Store, network: str) -> None:
    """A network is found by its value and stands in SQL with its prefix length."""
    parsed = ip_network(network)
    with store.writing() as session:
        session.add(an_exemption(parsed))
    with store.reading() as session:
        found = session.execute(select(Exemption.network).where(Exemption.network == parsed)).scalar_one()
        (raw,) = session.connection().exec_driver_sql("SELECT network FROM exemptions").one()

    assert (parsed, network) == (found, raw)


def test_words_are_stored_by_value(store: Store) -> None:
    """A state stands in SQL as its word, not as the name it has in the program."""
    with store.writing() as session:
        journal.open_zone(session, ZONE, NOW)
        session.add(a_host(ip_address("192.0.2.1"), State.AWAITING_RETURN))
    with store.reading() as session:
        (raw,) = session.connection().exec_driver_sql("SELECT state FROM hosts").one()

    assert "awaiting-return" == raw


@pytest.mark.parametrize(
    ("said", "kept", "reason"),
    [
        ("220 mail\x00relay", "220 mail\ufffdrelay", "PostgreSQL stores no NUL"),
        ("220 \udcff\ud800", "220 \ufffd\ufffd", "a lone surrogate has no UTF-8"),
        ("220 \x01\x1b[2J\u202e", "220 \x01\x1b[2J\u202e", "everything else is kept: pages escape it"),
        ("220 \U0001f4e7", "220 \U0001f4e7", "beyond the basic plane is text too"),
        ("", "", "nothing was said"),
    ],
)
def test_whatever_a_host_says_can_be_stored(store: Store, said: str, kept: str, reason: str) -> None:
    """No text of a remote host makes a transaction fail."""
    with store.writing() as session:
        session.add(
            AuditRow(at=NOW, actor="test", action="say", subject="x", was=None, became=None, why=said)
        )
    with store.reading() as session:
        found = session.execute(select(AuditRow.why)).scalar_one()

    assert kept == found, reason


def a_host(address: Address, state: State = State.QUEUED) -> Host:
    """Return a host's row."""
    return Host(
        zone=ZONE,
        address=address,
        state=state,
        offences=0,
        failed_retests=0,
        retest_allowed_at=None,
        periodic_due_at=None,
        unreachable_since=None,
        review=None,
        created_at=NOW,
        changed_at=NOW,
    )


def an_exemption(network: Network) -> Exemption:
    """Return an exemption's row."""
    return Exemption(
        network=network,
        never_list=True,
        never_test=False,
        actor="test",
        why="test",
        created_at=NOW,
        ended_at=None,
    )
