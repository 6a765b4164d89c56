"""Log lines."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from rbl.cli import logs
from rbl.config import Log


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Leave logging as it was."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def test_one_line_for_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    """An event is one line of key=value pairs, whatever hostile text its values have."""
    logs.set_up(Log())

    structlog.get_logger().info("listed", address="192.0.2.1", why='a "b"\nc=\x1b[31m')

    line = capsys.readouterr().err
    assert 1 == line.count("\n")
    assert "level=info event=listed address=192.0.2.1" in line
    assert "\x1b" not in line


def test_traceback_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback is part of its event's line."""
    logs.set_up(Log())

    try:
        raise ValueError("no")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("query_error")

    line = capsys.readouterr().err
    assert 1 == line.count("\n")
    assert "ValueError: no" in line


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    """What is below the level is not written; libraries are heard in the same form."""
    logs.set_up(Log(level="warning"))

    structlog.get_logger().info("listed")
    logging.getLogger("some.library").warning("hello %s", "you")

    assert 'event="hello you"' in capsys.readouterr().err
