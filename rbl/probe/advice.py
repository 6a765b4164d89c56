"""How a mail server is closed to strangers, in words for the person who runs it.

The sentences are data, in ``advice.toml`` beside this file; which server it is, ``platforms`` says.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from rbl.probe.platforms import PLATFORMS


@dataclass(frozen=True, slots=True)
class Advice:
    """*title* names the mail server; *steps* are sentences, in the order of doing."""

    title: str
    steps: tuple[str, ...]


def advice(platform: str | None) -> Advice:
    """Return how to close *platform*; for None, or an id that is unknown, what holds for any."""
    return _table().get(platform) or _table()[None]


@cache
def _table() -> dict[str | None, Advice]:
    """Return the advice for each id, and under None for any server, each with what is to do at last."""
    text = resources.files("rbl.probe").joinpath("advice.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    by_list, afterwards = tables["by_list"]["steps"], tables["afterwards"]["steps"]
    places: dict[str | None, str] = {None: "general", **{platform: platform for platform in PLATFORMS}}
    return {
        platform: Advice(tables[place]["title"], (*tables[place].get("steps", by_list), *afterwards))
        for platform, place in places.items()
    }
