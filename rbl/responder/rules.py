"""What a server does with its clients: settings, and what was made ready from them once at the start."""

import secrets
from dataclasses import dataclass

from rbl.config import Dns
from rbl.responder.access import AccessTable, compile_table, global_list
from rbl.responder.ratelimit import RateLimiter

_SECRET_OCTETS = 16  # the key of SipHash-2-4


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for all clients; those of one zone stand with the zone in the catalogue.

    The first of *cookie_secrets* makes cookies, all are accepted. *limiter* is None for no limit;
    its budgets are the one thing here that changes.
    """

    dns: Dns
    access: AccessTable
    cookie_secrets: tuple[bytes, ...]
    limiter: RateLimiter | None


def rules_of(dns: Dns) -> Rules:
    """Return the rules that *dns* sets; where it has no cookie secret, with a new one."""
    return Rules(
        dns,
        compile_table(global_list(dns.access)),
        tuple(map(bytes.fromhex, dns.cookie_secrets)) or (secrets.token_bytes(_SECRET_OCTETS),),
        RateLimiter(dns.rate_limit) if dns.rate_limit.responses_per_second else None,
    )
