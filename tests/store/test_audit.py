"""The audit: who did what, newest first, page by page."""

from rbl.store import audit
from rbl.store.audit import Deed
from rbl.store.engine import Store
from tests.store.steps import NOW, act


def test_deeds_are_read_newest_first_in_pages(store: Store) -> None:
    """Each page goes on where the one before ended, of one subject or of all."""
    with store.writing() as session:
        for number in range(5):
            audit.write(session, "do", f"subject {number % 2}", act(str(number)), was="a", became="b")
    with store.reading() as session:
        first = audit.deeds(session, limit=2)
        second = audit.deeds(session, before_id=first[-1].id, limit=2)
        of_one = audit.deeds(session, subject="subject 1")

    assert ["4", "3", "2", "1"] == [deed.why for deed in (*first, *second)]
    assert [
        Deed(4, NOW, "operator", "do", "subject 1", "a", "b", "3"),
        Deed(2, NOW, "operator", "do", "subject 1", "a", "b", "1"),
    ] == list(of_one)
