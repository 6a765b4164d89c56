"""Secrets that all processes of one list share, made on first use."""

import secrets

from sqlalchemy.orm import Session

from rbl.store.engine import make_once
from rbl.store.tables import Secret

# Signs the mark of our test messages (HMAC-SHA256): 32 octets, the length of its digest.
PROBE_MARK = "probe-mark"
_OCTETS = 32


def get_or_make(session: Session, name: str) -> bytes:
    """Return the secret *name*, made in this transaction where there is none yet."""
    row = session.get(Secret, name)
    if row is None:
        make_once(session, Secret(name=name, value=secrets.token_bytes(_OCTETS)))
        row = session.get_one(Secret, name)
    return row.value
