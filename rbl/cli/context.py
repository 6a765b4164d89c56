"""What several commands need: the settings that the user chose, and the database."""

from pathlib import Path

import typer

from rbl import config
from rbl.config import Settings


def settings_of(context: typer.Context) -> Settings:
    """Return the settings from the file given before the command, or the usual places.

    Raises:
        ConfigError: names every fault.
    """
    file = context.obj
    assert file is None or isinstance(file, Path)
    return config.read(file)
