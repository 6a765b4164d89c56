"""How a database answers a statement: its plan, and how much it reads for it."""

import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, event, make_url

from rbl.store.engine import Store

# A row that is read costs SQLite some ten steps, and one found by an index some twenty more.
_MOST_STEPS = 40_000
_STEPS_BETWEEN_LOOKS = 100
_MOST_ROWS = 2_000
_SHOWN = 300  # characters of a statement


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement as the driver gets it, with the values of one execution."""

    statement: str
    values: Mapping[str, object] | Sequence[object]

    @property
    def is_reading(self) -> bool:
        """Whether it may be executed again without a change."""
        return self.statement.lstrip().startswith(("SELECT", "WITH"))

    def __str__(self) -> str:
        """Return its beginning on one line."""
        return " ".join(self.statement.split())[:_SHOWN]


@contextmanager
def heard() -> Iterator[dict[str, Asked]]:
    """Yield what fills up with every statement that is executed meanwhile, in any thread, once each."""
    asked: dict[str, Asked] = {}

    def hear(
        connection: Connection,
        cursor: object,
        statement: str,
        parameters: Any,  # noqa: ANN401 — the driver's own
        context: object,
        executemany: bool,  # noqa: FBT001 — SQLAlchemy's signature
    ) -> None:
        del connection, cursor, context
        if statement.lstrip().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
            asked.setdefault(statement, Asked(statement, parameters[0] if executemany else parameters))

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", hear)


def faults(store: Store, asked: Asked, large: Collection[str]) -> list[str]:
    """Return what is wrong with how *store* answers: scans of *large* tables, too much that is read."""
    url = store.writer.url.render_as_string(hide_password=False)
    return _of_sqlite(url, asked, large) if store.is_sqlite else _of_postgresql(url, asked, large)


def _of_sqlite(url: str, asked: Asked, large: Collection[str]) -> list[str]:
    with closing(sqlite3.connect(str(make_url(url).database))) as connection:
        steps = 0
        if asked.is_reading:

            def look() -> int:
                nonlocal steps
                steps += _STEPS_BETWEEN_LOOKS
                return 0

            connection.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
            connection.execute(asked.statement, asked.values).fetchall()
            connection.set_progress_handler(None, 0)
        plan = [
            str(row[3]) for row in connection.execute(f"EXPLAIN QUERY PLAN {asked.statement}", asked.values)
        ]
    found = [f"{steps} steps"] if steps > _MOST_STEPS else []
    for line in plan:
        scan = re.match(r"SCAN (\w+?)(_\d+)?( |$)", line)
        # An ordered walk that ends at a LIMIT is called a scan, too: what it cost tells them apart.
        if scan and scan[1] in large and (found or not asked.is_reading):
            found.append(line)
    return found


def _of_postgresql(url: str, asked: Asked, large: Collection[str]) -> list[str]:
    measured = "ANALYZE, TIMING OFF, " if asked.is_reading else ""
    with psycopg.connect(url) as connection:
        explain = f"EXPLAIN ({measured}FORMAT JSON) {asked.statement}"
        (told,) = connection.execute(explain.encode(), asked.values).fetchone() or ("[]",)
        connection.rollback()
    (plan,) = told if isinstance(told, list) else json.loads(told)
    return [fault for node in _nodes(plan["Plan"]) for fault in _of_node(node, large)]


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def _of_node(node: Mapping[str, Any], large: Collection[str]) -> Iterator[str]:
    table = node.get("Relation Name")
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    read = (node.get("Actual Rows", 0) + removed) * node.get("Actual Loops", 1)
    where = f"{node['Node Type']} on {table}"
    if table in large and node["Node Type"] == "Seq Scan":
        yield f"{where}, {read:.0f} rows"
    elif table in large and read > _MOST_ROWS:
        yield f"{where} by {node.get('Index Name')} read {read:.0f} rows"
