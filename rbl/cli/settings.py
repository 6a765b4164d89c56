"""``rbl settings``: every setting with its default and meaning, written out from the program itself.

docs/configuration.md is this command's output, and a test keeps it so.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rbl.config import Listen, Settings

_INTRODUCTION = """\
# Settings

In `rbl.toml`, or the file that `--config` or `RBL_CONFIG` names; `[section]` and `name = value` as in
any TOML. Every setting may stand in the environment instead: `probe.enabled` is `RBL_PROBE__ENABLED`,
and several values are separated by commas. The environment wins. Durations are seconds, or ISO 8601
(`"PT5M"`). `rbl serve` names every fault at once, each with its place.
"""


def settings() -> None:
    """Show every setting, its default and what it is for."""
    typer.echo(described())


def described() -> str:
    """Return all settings as a Markdown page."""
    top = {name: field for name, field in Settings.model_fields.items() if not _is_section(field)}
    parts = [_INTRODUCTION, *_table("", top)]
    parts += _sections("", Settings.model_fields)
    return "\n".join(parts)


def _sections(prefix: str, fields: dict[str, FieldInfo]) -> Iterator[str]:
    """Yield the lines of every section among *fields*, and of those inside it."""
    for name, field in fields.items():
        section = field.annotation
        if _is_section(field):
            assert isinstance(section, type)
            assert issubclass(section, BaseModel)
            place = f"{prefix}{name}"
            own = {key: value for key, value in section.model_fields.items() if not _is_section(value)}
            yield from ("", f"## [{place}]", "", (section.__doc__ or "").strip(), "")
            yield from _table(f"{place}.", own)
            yield from _sections(f"{place}.", section.model_fields)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _table(prefix: str, fields: dict[str, FieldInfo]) -> Iterator[str]:
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for name, field in fields.items():
        meaning = " ".join((field.description or "").split())
        yield f"| `{prefix}{name}` | {_shown(field.default)} | {meaning} |"


def _shown(value: object) -> str:
    match value:
        case None | "" | ():
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return _duration(value)
        case Listen() | str() | Path():
            return f'`"{value}"`'
        case tuple():
            return ", ".join(_shown(item) for item in value)
        case _:
            return f"`{value}`"


def _duration(value: timedelta) -> str:
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count, rest = divmod(value.total_seconds(), seconds)
        if count >= 1 and not rest and not (unit == "day" and count == 1):
            return f"{count:.0f} {unit}{'s' if count != 1 else ''}"
    return f"{value.total_seconds():g} s"
