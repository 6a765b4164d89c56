"""Why a message of a test is sent, and whom its reader may turn to. Pure."""

from rbl.config import Settings
from rbl.probe.message import Occasion
from rbl.store.runs import Claim
from rbl.terms import Purpose

_REASONS = {
    Purpose.NOMINATION: "spam that came through this server was reported",
    Purpose.RETEST: "somebody asked whether this server is still an open relay",
    Purpose.PERIODIC: "this server has been listed as an open relay for long: is it still one?",
    Purpose.FOLLOW_UP: "this server was an open relay until lately: does it stay closed?",
}


def occasion(claim: Claim, settings: Settings) -> Occasion:
    """Return what the messages of the claimed run say of it."""
    public_url = settings.web.public_url
    return Occasion(
        run=str(claim.run_id),
        attempt=claim.attempt,
        target=claim.address,
        why=f"{_REASONS[claim.purpose]} ({claim.created_at:%Y-%m-%d})",
        lookup_url=f"{public_url}/a/{claim.address}",
        opt_out_url=f"{public_url}/policy",
        contact=settings.probe.contact or "",
    )
