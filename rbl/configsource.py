"""Where settings come from: a TOML file, environment variables over it, and where a fault in them stands.

Of ``config``, which says what the settings are.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from rbl.errors import ConfigError

PREFIX = "RBL_"


def from_file(file: Path, *, must_exist: bool) -> dict[str, object]:
    """Return what *file* says; nothing where it is not there and need not be.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError([f"{file}: there is no such file"]) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError([f"{file}: {fault}"]) from None


def overlay(values: dict[str, object], path: list[str], value: str) -> None:
    """Set the field at *path* to an environment variable's text, over whatever the file says."""
    section, *rest = path
    if not rest:
        values[section] = value
        return
    inner = values.get(section)
    merged = dict(inner) if isinstance(inner, dict) else {}
    overlay(merged, rest, value)
    values[section] = merged


def fault_line(
    source: str, variables: Mapping[str, str], location: tuple[int | str, ...], message: str
) -> str:
    """Return one fault in words, placed at the environment variable or the file that set it.

    A fault of a whole section may lie in the file or in any variable of that section.
    """
    fields = [str(part) for part in location if not isinstance(part, int)]
    variable = PREFIX + "__".join(fields).upper()
    of_section = sorted(name for name in variables if name.startswith(f"{variable}__"))
    where = variable if variable in variables else ", ".join([source, *of_section])
    wording = message.removeprefix("Value error, ")
    return f"{where}: {'.'.join(fields) or 'settings'}: {wording}"
