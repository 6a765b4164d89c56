"""A list as a table, a row for each listing and exemption as the database has them: CSV and JSON.

A text is the listing's own, or empty (null in JSON) where it is that of its reason.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator

from rbl.terms import Listed
from rbl.zone.zonefile import ZoneFile

_COLUMNS = ("subject", "reason", "values", "text", "exempt")


def csv_lines(zone: ZoneFile, listed: Iterable[Listed]) -> Iterator[str]:
    """Yield the lines of a CSV file (RFC 4180), the header first."""
    yield _csv_line(_COLUMNS)
    for each in _shown(listed):
        values = " ".join(_values(zone, each))
        yield _csv_line(
            (each.subject, each.reason, values, each.text or "", "yes" if each.exempt else "no")
        )


def json_lines(zone: ZoneFile, serial: int, listed: Iterable[Listed]) -> Iterator[str]:
    """Yield the lines of a JSON document, one for each listing."""
    head = json.dumps({"zone": zone.apex_text, "serial": serial})
    yield f'{head[:-1]}, "listings": ['
    before = ""
    for each in _shown(listed):
        if before:
            yield before + ","
        before = json.dumps(
            {
                "subject": each.subject,
                "reason": each.reason,
                "values": _values(zone, each),
                "text": each.text,
                "exempt": each.exempt,
            }
        )
    yield before
    yield "]}"


def _shown(listed: Iterable[Listed]) -> Iterator[Listed]:
    """Yield all but the customers' keys, which are nobody else's."""
    return (each for each in listed if not each.key)


def _values(zone: ZoneFile, listed: Listed) -> list[str]:
    reason = zone.reasons.get(listed.reason)
    return [] if reason is None else [str(address) for address in reason.addresses]


def _csv_line(row: tuple[str, ...]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(row)
    return line.getvalue()
