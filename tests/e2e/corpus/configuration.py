"""One configuration of the corpus: a file of ``configurations/``, read and held to its form.

A file says what server it is for, what its administrator wrote, and what is true of it: whether it is
an open relay to strangers, by which of the stranger's forms, and where our tester must take it.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.e2e.corpus.forms import FORMS

FOLDER = Path(__file__).parent / "configurations"
# Instead of a list of forms: it takes all that begins with a stranger writing to a stranger.
WIDE_OPEN = "plain"


class Truth(StrEnum):
    """What a configuration is to strangers."""

    OPEN = "open"  # it relays some form of a stranger's
    CLOSED = "closed"  # it relays none
    CHAIN = "chain"  # what it takes comes out at another host


class Standing(StrEnum):
    """Where a test leaves a host."""

    LISTED = "listed"  # in DNS
    CLOSED = "closed"  # found closed, or delisted
    REVIEW = "review"  # waits for a person; a listed one stays listed
    NOTHING = "nothing"  # given up, or undecided when the time was over


# What a truth comes to, where a configuration does not say otherwise.
_USUAL = {Truth.OPEN: Standing.LISTED, Truth.CLOSED: Standing.CLOSED, Truth.CHAIN: Standing.REVIEW}
_KEYS = frozenset(
    {"server", "truth", "open_by", "expect", "remarks", "families", "ci", "settings", "later"}
)
_LATER_KEYS = frozenset({"name", "truth", "expect", "settings"})


@dataclass(frozen=True, slots=True)
class Change:
    """What the administrator of a listed host does, and what the retest after it must come to.

    *settings* are put over those the host had before.
    """

    name: str
    truth: Truth
    expect: Standing
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """One mail server as somebody set it up.

    *open_by*: every form that it relays, or only "plain" where it takes whatever it is given.
    *families* are those of its addresses: 4, 6 or both, the first is the one nominated.
    """

    name: str
    server: str
    truth: Truth
    open_by: frozenset[str]
    expect: Standing
    remarks: str
    families: tuple[int, ...]
    in_ci: bool
    settings: Mapping[str, str]
    later: tuple[Change, ...]


def read(file: Path) -> Configuration:
    """Return what *file* says.

    Raises:
        ValueError: it has a key that means nothing, or says one thing and its opposite.
    """
    text = tomllib.loads(file.read_text(encoding="utf-8"))
    unknown = set(text) - _KEYS | {key for each in text.get("later", []) for key in set(each) - _LATER_KEYS}
    if unknown:
        raise ValueError(f"{file.name}: nobody reads {', '.join(sorted(unknown))}")
    truth, open_by = Truth(text["truth"]), frozenset(text.get("open_by", ()))
    if not open_by <= FORMS.keys():
        raise ValueError(f"{file.name}: there is no form {', '.join(sorted(open_by - FORMS.keys()))}")
    if bool(open_by) is (truth is Truth.CLOSED):
        raise ValueError(f"{file.name}: a host is closed when it relays no form, and else relays some")
    settings: Mapping[str, str] = text.get("settings", {})
    return Configuration(
        name=file.stem,
        server=text["server"],
        truth=truth,
        open_by=open_by,
        expect=Standing(text.get("expect", _USUAL[truth])),
        remarks=text["remarks"],
        families=tuple(text.get("families", (4,))),
        in_ci=text.get("ci", False),
        settings=settings,
        later=tuple(_change(each, settings) for each in text.get("later", ())),
    )


def read_all(names: Sequence[str] = ()) -> list[Configuration]:
    """Return every configuration, or those whose name matches one of *names* from its beginning."""
    files = sorted(FOLDER.glob("*.toml"))
    patterns = [re.compile(name) for name in names]
    return [
        read(file)
        for file in files
        if not patterns or any(pattern.match(file.stem) for pattern in patterns)
    ]


def _change(text: Mapping[str, object], before: Mapping[str, str]) -> Change:
    truth, settings = Truth(str(text["truth"])), text.get("settings", {})
    assert isinstance(settings, dict)
    expect = Standing(str(text.get("expect", _USUAL[truth])))
    return Change(str(text["name"]), truth, expect, {**before, **settings})
