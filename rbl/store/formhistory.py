"""How often each form of a test was seen to relay, by mail server: counts that outlive the tests.

Added to once for each envelope whose message came back, in the transaction that keeps the receipt; read
when a test is planned. Nothing here says of which host.
"""

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from rbl.store.probetables import FormHistory

# Of a server that told nobody what it is.
_UNKNOWN = ""
# What was seen on a server of the same kind weighs more than what was seen anywhere.
_OWN_WEIGHT = 1000


def count(session: Session, platform: str | None, test_id: str) -> None:
    """Count that the form *test_id* relayed on a server of the kind *platform*."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(FormHistory).values(platform=platform or _UNKNOWN, test_id=test_id, relayed=1)
    session.execute(
        new.on_conflict_do_update(
            index_elements=[FormHistory.platform, FormHistory.test_id],
            set_={"relayed": FormHistory.relayed + 1},
        )
    )


def seen_on(session: Session, platform: str | None) -> frozenset[str]:
    """Return the forms that ever relayed on a server of the kind *platform*; of one unknown, none."""
    if platform is None:
        return frozenset()
    tests = session.execute(select(FormHistory.test_id).where(FormHistory.platform == platform)).scalars()
    return frozenset(tests)


def weights(session: Session, platform: str | None) -> Mapping[str, int]:
    """Return how much each form that ever relayed is to be preferred on a server of the kind *platform*."""
    found: Counter[str] = Counter()
    for row in session.execute(select(FormHistory)).scalars():
        found[row.test_id] += row.relayed * (_OWN_WEIGHT if row.platform == (platform or _UNKNOWN) else 1)
    return found
