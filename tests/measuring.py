"""Coverage is not measured where it would only take time: a third of it, half where lines are run often."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from coverage import Coverage

_FOR_CHILDREN = "COVERAGE_PROCESS_"  # what such variables tell a process that is started: measure


@contextmanager
def unmeasured() -> Iterator[None]:
    """Measure nothing meanwhile, in this process and those that it starts."""
    measuring = Coverage.current()
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith(_FOR_CHILDREN)]:
            environment.delenv(name)
        if measuring is not None:
            measuring.stop()
        try:
            yield
        finally:
            if measuring is not None:
                measuring.start()
