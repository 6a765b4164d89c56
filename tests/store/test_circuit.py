"""The fuse before a database that hangs: one at a time tries it, and nobody else waits."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from rbl.errors import Unavailable
from rbl.store.circuit import Circuit

_PATIENCE_SECONDS = 30
_PAUSE_SECONDS = 0.01


def fail(circuit: Circuit) -> None:
    """Wait in vain."""
    with circuit.passed():
        circuit.trip()


def until_passed(circuit: Circuit) -> None:
    """Return once the next is let through, at the latest when the pause between two tries is over."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            with circuit.passed():
                return
        except Unavailable:
            assert time.monotonic() < deadline, "nobody is ever let through"
            time.sleep(_PAUSE_SECONDS)  # between two looks


def is_passed(circuit: Circuit) -> bool:
    """Whether somebody else is let through now."""

    def look() -> bool:
        try:
            with circuit.passed():
                return True
        except Unavailable:
            return False

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(look).result()


def test_everybody_passes_while_all_is_well() -> None:
    """Several at once, and again and again."""
    circuit = Circuit()
    with circuit.passed():
        beside = is_passed(circuit)

    assert (True, True) == (beside, is_passed(circuit))


def test_who_learns_of_it_late_stops_nobody() -> None:
    """A wait that began while it hung, and ends when it is back already, says nothing of today."""
    circuit = Circuit()
    is_waiting, is_back = threading.Event(), threading.Event()

    def wait_long() -> None:
        with circuit.passed():
            is_waiting.set()
            assert is_back.wait(_PATIENCE_SECONDS)
            circuit.trip()

    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(wait_long)
        assert is_waiting.wait(_PATIENCE_SECONDS)
        fail(circuit)
        until_passed(circuit)
        is_back.set()
        late.result()

    assert is_passed(circuit)


def test_who_waited_in_vain_spares_the_others() -> None:
    """The next hears of it at once; and what was kept of the database is forgotten."""
    forgotten: list[bool] = []
    circuit = Circuit(lambda: forgotten.append(True))
    fail(circuit)

    with pytest.raises(Unavailable) as caught, circuit.passed():
        pass

    assert ("database", [True]) == (caught.value.code, forgotten)


def test_one_at_a_time_tries_again() -> None:
    """While one tries nobody else is let through; when he fails another may try, when it works all may."""
    circuit = Circuit()
    fail(circuit)
    trying, ended = threading.Event(), threading.Event()

    def try_it() -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with circuit.passed():
                    trying.set()
                    assert ended.wait(_PATIENCE_SECONDS)
                    circuit.trip()
                    return
            except Unavailable:
                assert time.monotonic() < deadline, "nobody is ever let through"

    thread = threading.Thread(target=try_it)
    thread.start()
    assert trying.wait(_PATIENCE_SECONDS)
    during = is_passed(circuit)
    ended.set()
    thread.join()
    failed = is_passed(circuit)
    until_passed(circuit)

    assert (False, False, True) == (during, failed, is_passed(circuit))


def test_what_is_let_through_already_is_told_that_there_is_no_hope() -> None:
    """Who has been let through before another waited in vain need not wait for as long."""
    circuit = Circuit()
    with circuit.passed():
        before = circuit.is_hopeless()
        circuit.trip()
        during = circuit.is_hopeless()

    assert (False, True, False) == (before, during, circuit.is_hopeless())


def test_a_transaction_within_another_passes_with_it() -> None:
    """Who tries is not held up by himself, and who waited in vain does not wait again."""
    circuit = Circuit()
    fail(circuit)
    passed: list[bool] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not passed:
        assert time.monotonic() < deadline, "nobody is ever let through"
        with suppress(Unavailable), circuit.passed():
            with circuit.passed():
                passed.append(circuit.is_hopeless())
            circuit.trip()
            with pytest.raises(Unavailable), circuit.passed():
                pass

    assert [False] == passed


def test_a_transaction_that_was_left_open_spoils_no_later_one() -> None:
    """A generator may end anywhere and at any time; its thread is let through all the same."""
    circuit = Circuit()
    left_open = circuit.passed()
    left_open.__enter__()
    circuit.trip()
    until_passed(circuit)
    with circuit.passed():
        is_hopeless = circuit.is_hopeless()
    left_open.__exit__(None, None, None)

    assert (False, True) == (is_hopeless, is_passed(circuit))
