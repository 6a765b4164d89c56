"""Customers' keys: in DNS by the journal alone, kept as digests, counted."""

import pytest
from sqlalchemy import select

from rbl.customerkey import digest_of, is_key
from rbl.errors import BadInput, NotFound
from rbl.store import audit, customers, journal
from rbl.store.customers import CustomerView
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.keytables import CustomerKey
from rbl.terms import Change, Listed
from tests.store.steps import DAY, NOW, ZONE, act


def make(store: Store, name: str = "isp.example") -> tuple[str, CustomerView]:
    """Make a key."""
    with store.writing() as session:
        return customers.make(session, ZONE, name, act())


def revoke(store: Store, key_id: int) -> CustomerView:
    """Revoke a key a day later."""
    with store.writing() as session:
        return customers.revoke(session, key_id, act(at=NOW + DAY))


def keyed(store: Store) -> list[tuple[Change, str, str]]:
    """Return what the journal says of keys."""
    with store.reading() as session:
        entries = journal.entries_after(session, ZONE, 0, 100)
    return [(entry.change, entry.subject, entry.reason) for entry in entries]


def valid(store: Store) -> list[Listed]:
    """Return the keys that a responder finds at its first start."""
    reader = JournalReader(store)
    try:
        return [row for row in reader.snapshot(ZONE)[1] if row.key]
    finally:
        reader.close()


def test_a_key_is_made_through_the_journal(opened: Store) -> None:
    """A key is a label that DNS knows by an entry with its digest, and by every snapshot after it."""
    label, view = make(opened, " isp.example ")
    digest = digest_of(label.encode())

    assert is_key(label.encode())
    assert CustomerView(view.id, ZONE, "isp.example", 0, None, NOW, None) == view
    assert [(Change.KEYED, digest, "")] == keyed(opened)
    assert [Listed(digest, "", None, exempt=False, key=True)] == valid(opened)


def test_no_two_keys_are_alike(opened: Store) -> None:
    """A customer may have several keys, each random."""
    assert 20 == len({make(opened)[0] for _ in range(20)})


def test_a_key_is_revoked_through_the_journal(opened: Store) -> None:
    """A revocation is one entry, however often it is asked for, and other keys go on."""
    label, view = make(opened)
    other = digest_of(make(opened, "other.example")[0].encode())
    revoked = [revoke(opened, view.id), revoke(opened, view.id)]

    assert [NOW + DAY, NOW + DAY] == [key.revoked_at for key in revoked]
    assert [(Change.UNKEYED, digest_of(label.encode()), "")] == keyed(opened)[2:]
    assert [other] == [row.subject for row in valid(opened)]


def test_a_key_is_kept_nowhere(opened: Store) -> None:
    """Neither table, journal nor audit has the key; the audit has the customer's name."""
    label, _ = make(opened)
    with opened.reading() as session:
        digests = session.execute(select(CustomerKey.digest)).scalars().all()
        deeds = audit.deeds(session)

    assert [digest_of(label.encode())] == digests
    assert [("make-customer-key", f"isp.example ({ZONE})")] == [
        (deed.action, deed.subject) for deed in deeds
    ]
    assert label not in f"{deeds}{keyed(opened)}"


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
def test_a_customer_has_a_name(opened: Store, name: str) -> None:
    """A name is 1 to 100 printable characters; otherwise nothing is made."""
    with pytest.raises(BadInput, match="a customer needs a name"):
        make(opened, name)

    assert [] == keyed(opened)


def test_a_key_is_of_a_zone(opened: Store) -> None:
    """Without the zone there is no key."""
    with pytest.raises(NotFound, match=r"there is no zone none\.example"), opened.writing() as session:
        customers.make(session, "none.example", "isp.example", act())

    with opened.reading() as session:
        assert [] == customers.all_keys(session)


def test_what_is_not_there_cannot_be_revoked(opened: Store) -> None:
    """A number that is no key's is refused."""
    with pytest.raises(NotFound, match="there is no customer's key 7"):
        revoke(opened, 7)


def test_usage_is_added_up(opened: Store) -> None:
    """Counts of several servers and minutes add up for each key; what is no key is left out."""
    labels = [make(opened, name)[0] for name in ("one.example", "two.example", "three.example")]
    one, two, _ = (digest_of(label.encode()) for label in labels)
    for at, counts in (
        (NOW, {(ZONE, two): 5, (ZONE, one): 2**40}),
        (NOW + DAY, {(ZONE, one): 3, (ZONE, "ff" * 32): 9, ("none.example", two): 9}),
    ):
        with opened.writing() as session:
            customers.add_usage(session, counts, at)
    with opened.reading() as session:
        views = customers.all_keys(session)

    assert [("one.example", 2**40 + 3, NOW + DAY), ("two.example", 5, NOW), ("three.example", 0, None)] == [
        (view.name, view.queries, view.used_at) for view in views
    ]
