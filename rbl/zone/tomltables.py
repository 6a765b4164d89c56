"""Reading TOML tables strictly: every fault is noted with its place, and reading goes on.

A method that notes a fault returns a harmless value of the right type, so that one pass over a file
finds all faults. Whoever reads raises ``ConfigError`` with them at the end. Nothing here knows what
the tables are about.
"""

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rbl.errors import BadInput

_T = TypeVar("_T")
_HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")


class Faults:
    """The faults of one file, each a sentence after its place: file, line, table and key."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._lines = _line_numbers(text)
        self.sentences: list[str] = []

    def add(self, place: str, sentence: str) -> None:
        """Note that what stands at *place* (``soa.mname``) is wrong as *sentence* says."""
        nearest = place
        while nearest not in self._lines and nearest:
            nearest = nearest.rpartition(".")[0]
        line = f":{self._lines[nearest]}" if nearest else ""
        self.sentences.append(f"{self._path}{line}: {place}: {sentence}")


class Table:
    """One table of the file, whose keys are taken one by one; ``finish`` notes those left over."""

    def __init__(self, faults: Faults, place: str, values: dict[str, object]) -> None:
        self._faults = faults
        self._place = place
        self._values = values
        self._known: list[str] = []

    def place(self, key: str) -> str:
        """Return the place of *key*, or of the table itself for an empty one."""
        return ".".join(part for part in (self._place, key) if part)

    def fault(self, key: str, sentence: str) -> None:
        """Note what is wrong with the value of *key*."""
        self._faults.add(self.place(key), sentence)

    def number(self, key: str, least: int, most: int, default: int) -> int:
        """Return the whole number at *key*, from *least* to *most*."""
        value = self._take(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(key, f"{_shown(value)} is not a whole number from {least} to {most}")
        return least

    def truth(self, key: str, *, default: bool) -> bool:
        """Return the true or false at *key*."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.fault(key, f"{_shown(value)} is neither true nor false")
        return value is True

    def parsed(self, key: str, parse: Callable[[str], _T], otherwise: _T, default: str | None = None) -> _T:
        """Return what *parse* makes of the text at *key*, or *otherwise* after a fault.

        Without *default* the text must be there.
        """
        value = self._take(key, default)
        if value is None:
            return otherwise
        if not isinstance(value, str):
            self.fault(key, f"{_shown(value)} is not a text: write it in quotes")
            return otherwise
        try:
            return parse(value)
        except BadInput as fault:
            self.fault(key, fault.message)
            return otherwise

    def each(self, key: str, parse: Callable[[str], _T], *, required: bool = False) -> tuple[_T, ...]:
        """Return what *parse* makes of each text in the array at *key*; with *required* at least one."""
        value = self._take(key, None if required else [])
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            self.fault(key, f'{_shown(value)} is not a list of texts: write ["…", "…"]')
            return ()
        if required and not value:
            self.fault(key, "is empty: at least one is needed")
        found: list[_T] = []
        for text in value:
            try:
                found.append(parse(text))
            except BadInput as fault:
                self.fault(key, fault.message)
        if len(set(found)) < len(found):
            self.fault(key, "says the same twice")
        return tuple(found)

    def table(self, key: str, *, required: bool = False) -> "Table":
        """Return the table at *key*; empty where it is not there and not *required*."""
        value = self._take(key, None if required else {})
        if not isinstance(value, dict):
            if value is not None:
                self.fault(key, f"{_shown(value)} is not a table: write [{self.place(key)}]")
            return Table(Faults(Path(), ""), self.place(key), {})  # one fault is enough
        return Table(self._faults, self.place(key), value)

    def tables(self, key: str) -> tuple["Table", ...]:
        """Return each table of the array at *key*."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.fault(key, f"{_shown(value)} is not a list of tables: write [[{self.place(key)}]]")
            return ()
        return tuple(Table(self._faults, self.place(key), one) for one in value)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that stand in the table, in the order of the file."""
        return tuple(self._values)

    def finish(self) -> None:
        """Note each key that was not taken, with what it may have been meant for."""
        for key in self._values:
            if key not in self._known:
                close = difflib.get_close_matches(key, self._known, 1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(self._known)}"
                self.fault(key, f"there is no such setting: {hint}")

    def _take(self, key: str, default: object) -> object:
        """Return the value of *key*; None, and a fault, where it is missing and has no default."""
        self._known.append(key)
        value = self._values.get(key, default)
        if value is None:
            self.fault(key, "is missing")
        return value


def _line_numbers(text: str) -> dict[str, int]:
    """Return the line on which each table and key first stands; good enough to point at."""
    lines: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            table = _plain(header[1])
            lines.setdefault(table, number)
        elif key is not None:
            lines.setdefault(f"{table}.{_plain(key[1])}" if table else _plain(key[1]), number)
    return lines


def _plain(key: str) -> str:
    return re.sub(r"[\"' ]", "", key)


def _shown(value: object) -> str:
    return ascii(value)[:60]
