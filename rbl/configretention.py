"""The settings of how long what is over is kept: ``[retention]``."""

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from rbl.configvalues import Duration, Section


class Retention(Section):
    """How long what is over is kept, 0 for ever. What a listing or a running test rests on stays."""

    evidence: Duration = timedelta(days=365)
    """Spam that was handed in, whole and as published; its digest and the nomination stay."""
    dialogues: Duration = timedelta(days=365)
    """What was said in a test; the test, its forms and its verdict stay."""
    receipts: Duration = timedelta(days=365)
    """Messages that reached the collector."""
    audit: Duration = timedelta(days=1825)
    """Who did what, when and why. The journal is kept for ever."""

    @model_validator(mode="after")
    def _no_slip_of_the_pen(self) -> Self:
        short = [
            name
            for name in ("evidence", "dialogues", "receipts", "audit")
            if timedelta(0) < getattr(self, name) < timedelta(days=1)
        ]
        if short:
            msg = (
                f"{', '.join(short)} is less than a day, after which nothing brings it back: write seconds"
            )
            raise ValueError(msg)
        return self
