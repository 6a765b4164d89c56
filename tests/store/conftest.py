"""A database with one list in it, for every test of the store."""

import pytest

from rbl.store.engine import Store
from tests.store import steps


@pytest.fixture
def opened(store: Store) -> Store:
    """A database with the list relays.example and nothing in it."""
    steps.set_up(store)
    return store
