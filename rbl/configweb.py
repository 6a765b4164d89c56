"""The settings of what a client of the web server may take: ``[web.limits]``."""

from datetime import timedelta

from pydantic import Field

from rbl.configvalues import Duration, Section


class WebLimits(Section):
    """What a client of the web server may send and hold, and for how long he may let it wait."""

    connections: int = Field(default=512, ge=16, le=100_000)
    """At once. Where all are taken, the one that has asked for nothing for longest makes way."""
    connections_per_client: int = Field(default=64, ge=1, le=100_000)
    """The same for each client: an IPv4 address, or an IPv6 /64. Trusted proxies have no such limit."""
    header_octets: int = Field(default=32 * 1024, ge=8 * 1024, le=1024 * 1024)
    """The largest head of a request; half of it is the most for its first line, and for each field."""
    header_timeout: Duration = timedelta(seconds=10)
    """For the whole head of a request."""
    body_timeout: Duration = timedelta(seconds=60)
    """For the whole body of a request."""
    idle_timeout: Duration = timedelta(seconds=15)
    """How long a connection is kept for the next request."""
    send_timeout: Duration = timedelta(seconds=30)
    """For a client to take some more of an answer."""
