"""``rbl settings``."""

from collections.abc import Callable
from pathlib import Path

from rbl.cli import settings
from rbl.config import Settings
from tests.cli.conftest import Ran


def test_page_is_what_the_program_says(rbl: Callable[..., Ran]) -> None:
    """docs/configuration.md is the output of the command."""
    page = Path(__file__).parents[2] / "docs" / "configuration.md"

    assert page.read_text(encoding="utf-8") == rbl("settings").out


def test_every_setting_says_what_it_is_for() -> None:
    """No setting is without a meaning."""
    rows = [line for line in settings.described().splitlines() if line.startswith("| `")]

    assert [] == [row for row in rows if row.endswith("|  |")]
    assert len(rows) > len(Settings.model_fields)
