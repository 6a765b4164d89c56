"""One envelope of a run as the verdict sees it: a fact, and which results are refusals."""

from dataclasses import dataclass

from rbl.terms import EnvelopeResult

REFUSALS = frozenset({EnvelopeResult.REFUSED, EnvelopeResult.REFUSED_DATA, EnvelopeResult.AUTH_REQUIRED})
"""The results that say no for good."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One envelope of the run: what became of it, over all steps.

    *result* None: not tried yet. NOT_RUN: it does not apply to this host. *taken* tells whether a
    whole message was handed over, and *awaited* whether it may still come back. *unheard*: when it
    was taken nobody may have listened for it, so that its staying away says nothing. It was offered from
    *vantage*, and *answered* is the command that the reply is to.
    """

    test: str
    result: EnvelopeResult | None
    reply: str = ""
    taken: bool = False
    awaited: bool = False
    unheard: bool = False
    vantage: str = ""
    mail_from: str = ""
    answered: str | None = None
