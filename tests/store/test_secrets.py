"""Shared secrets: made once, the same for every process."""

from rbl.errors import RblError
from rbl.store import secrets
from rbl.store.engine import Store
from tests.store import steps


def get_or_make(store: Store, name: str = secrets.PROBE_MARK) -> bytes:
    """Return a secret in a transaction of its own."""
    with store.writing() as session:
        return secrets.get_or_make(session, name)


def test_a_secret_is_made_once(store: Store) -> None:
    """The second who asks gets what the first made; another name is another secret."""
    first = get_or_make(store)

    assert (first, 32) == (get_or_make(store), len(first))
    assert first != get_or_make(store, "other")


def test_processes_that_start_at_once_share_one_secret(store: Store) -> None:
    """However many ask at the same moment, all get the same one."""
    found = steps.at_once(4, lambda _: get_or_make(store))

    assert 1 == len(set(found))
    assert not isinstance(found[0], RblError)
