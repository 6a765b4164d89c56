import re
from pathlib import Path

from rbl.web.codes import CODES

SOURCES = Path(__file__).parents[2] / "rbl"

# These have no client of the API behind them: a shell, the DNS, a worker.
ELSEWHERE = {"cli", "zone", "responder", "probe"}
# Never told over HTTP, and why.
NOT_TOLD = {
    "configuration": "at start only",
    "lease-lost": "between workers",
    "no-schema": "to a command that only reads",
    "old-schema": "to a command that only reads",
}


def test_every_code_that_is_raised_is_in_the_table() -> None:
    """Each problem that a client can meet has a title, and a page that says what to do."""
    raised = {
        code
        for file in SOURCES.rglob("*.py")
        if file.relative_to(SOURCES).parts[0] not in ELSEWHERE
        for code in re.findall(r'code="([a-z0-9-]+)"', file.read_text(encoding="utf-8"))
    }

    assert set() == raised - CODES.keys() - NOT_TOLD.keys()


def test_titles_and_advice_are_sentences_for_people() -> None:
    """A title begins with a capital and has no full stop; advice is a sentence."""
    faults = [
        code
        for code, (title, advice) in CODES.items()
        if not title[0].isupper() or title.endswith(".") or not advice.endswith(".")
    ]

    assert [] == faults
