"""Counting by key."""

import threading

from rbl.responder.usage import KeyUsage


def test_counts_are_taken_once() -> None:
    """What was taken is gone; what is given back is there beside what came since."""
    usage = KeyUsage()
    for zone, key in (("bl.test", "a"), ("bl.test", "b"), ("bl.test", "a")):
        usage.count(zone, key)
    taken = usage.take()
    usage.count("bl.test", "b")
    usage.give_back(taken)

    assert {("bl.test", "a"): 2, ("bl.test", "b"): 1} == taken
    assert {("bl.test", "a"): 2, ("bl.test", "b"): 2} == usage.take()
    assert {} == usage.take()


def test_threads_lose_no_count() -> None:
    """Four threads count while a fifth takes: every query is in one of the takes."""
    usage = KeyUsage()

    def count() -> None:
        for _ in range(5_000):
            usage.count("bl.test", "a")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    total = 0
    while any(thread.is_alive() for thread in threads):
        total += sum(usage.take().values())
    total += sum(usage.take().values())

    assert 20_000 == total


def test_what_is_counted_elsewhere_is_fetched_first() -> None:
    """Who counts elsewhere is asked before the counts are taken."""
    usage = KeyUsage()
    usage.watch(lambda: usage.count("bl.test", "a", 3))

    assert [{("bl.test", "a"): 3}] * 2 == [usage.take(), usage.take()]
