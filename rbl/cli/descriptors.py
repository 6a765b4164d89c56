"""The file descriptors of the process, divided among its parts so that none can starve another.

Each part refuses a connection that is more than its share, so that the others, and the files that all
need, always have theirs. Log event: ``descriptors_scarce``, at a start with less than is wanted.
"""

import resource
from dataclasses import dataclass

import structlog

from rbl.config import Settings
from rbl.errors import ConfigError
from rbl.responder.tcp import TcpLimits

# For the index, the database and its pool, sockets of DNS, libraries that are loaded late, and refusals.
_RESERVE = 160
_COLLECTOR_CONNECTIONS = 240  # its own limits together; what says them loads all of SMTP
_PAGE_CONNECTIONS = 128  # one short answer each
# More is of no use here, and costs whoever closes all that might be open.
_MOST = 65_536
_LEAST_SHARE = 16

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Shares:
    """How many connections each part may have at once."""

    web: int
    dns: int  # over TCP
    collector: int
    page: int = 0  # about the tester, where there is one


def raise_limit() -> int:
    """Let this process have as many files open as the system allows it, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def divide(settings: Settings, descriptors: int) -> Shares:
    """Return what each part may have of *descriptors*: what it wants, or less of it, each alike.

    Raises:
        ConfigError: it is too little for all of them.
    """
    limits = settings.web.limits
    page = min(_PAGE_CONNECTIONS, limits.connections) if settings.probe.page_listen else 0
    wanted = Shares(limits.connections, TcpLimits().connections, _COLLECTOR_CONNECTIONS, page)
    fixed = _RESERVE + 2 * settings.probe.concurrency  # a test has a connection, and may ask its DNS
    total = wanted.web + wanted.dns + wanted.collector + wanted.page
    left = descriptors - fixed
    if left >= total:
        return wanted
    parts = (wanted.web, wanted.dns, wanted.collector, wanted.page)
    shares = Shares(*(each * left // total for each in parts))
    if min(shares.web, shares.dns, shares.collector) < _LEAST_SHARE:
        fault = (
            f"a process may have {descriptors} files open here, and {fixed + total} are wanted: raise the"
            " limit (ulimit -n, LimitNOFILE=), or lower web.limits.connections and probe.concurrency"
        )
        raise ConfigError([fault])
    _log.warning(
        "descriptors_scarce",
        limit=descriptors,
        wanted=fixed + total,
        web=shares.web,
        dns=shares.dns,
        collector=shares.collector,
    )
    return shares
