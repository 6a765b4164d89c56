"""The list that is attacked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.target import Target, attacked


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """A running list with all its parts, that tests nobody."""
    with attacked(tmp_path) as target:
        yield target
