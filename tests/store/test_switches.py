"""Switches: made in their first position, turned by operators, with the turn in the audit."""

from rbl.store import switches
from rbl.store.engine import Store
from tests.store import steps
from tests.store.steps import DAY, NOW, act


def test_probing_is_on_until_it_is_turned_off(opened: Store) -> None:
    """A new list probes as its settings say; the switch stops it from the next commit on."""
    with opened.writing() as session:
        before = switches.is_on(session, switches.PROBING)
        switches.turn(session, switches.PROBING, act(), on=False)
    with opened.writing() as session:
        after = switches.lock(session, switches.PROBING)

    assert (True, False) == (before, after)
    assert [("switch", "on", "off")] == steps.actions(opened, "probing")


def test_a_restart_leaves_a_switch_as_it_is(opened: Store) -> None:
    """What an operator turned off stays off."""
    with opened.writing() as session:
        switches.turn(session, switches.PROBING, act(), on=False)
        switches.set_up(session, NOW + DAY)
    with opened.reading() as session:
        assert not switches.is_on(session, switches.PROBING)


def test_processes_that_start_at_once_set_up_once(store: Store) -> None:
    """None of them fails."""

    def set_up(_: int) -> None:
        with store.writing() as session:
            switches.set_up(session, NOW)

    assert [None] * 4 == steps.at_once(4, set_up)
