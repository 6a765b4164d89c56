"""The numbers of the DNS that this server knows, by their names in the IANA "DNS Parameters" registry.

RFC 1035 §3.2 and §4.1.1, RFC 6891 (EDNS), RFC 8914 (extended errors). A number that is not here is
still answered (RFC 8906 §3.1.2): an unknown type is one that the name has no data of.
"""

from enum import IntEnum, StrEnum


class Rcode(IntEnum):
    """How a query ended; 16 and above need an OPT record (RFC 6891 §6.1.3)."""

    NOERROR = 0  # the name exists; without an answer: NODATA
    FORMERR = 1  # the query could not be taken apart
    SERVFAIL = 2  # no list was ever loaded, or a fault of this program
    NXDOMAIN = 3  # nothing is listed at the name or below it
    NOTIMP = 4  # the opcode is not known here
    REFUSED = 5  # no zone of ours, or not allowed
    BADVERS = 16  # an EDNS version that is not known here
    BADCOOKIE = 23  # the cookie proves nothing: ask again with the one that is sent back


class Rtype(IntEnum):
    """Types of records and questions."""

    A = 1
    NS = 2
    SOA = 6
    MX = 15
    TXT = 16
    AAAA = 28
    OPT = 41
    TSIG = 250
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rclass(IntEnum):
    """Classes: the Internet, and CHAOS, in which a server speaks of itself (RFC 4892)."""

    IN = 1
    CH = 3


class Option(IntEnum):
    """EDNS options."""

    NSID = 3  # RFC 5001
    COOKIE = 10  # RFC 7873
    EDE = 15  # RFC 8914


class ExtendedError(IntEnum):
    """Why an answer is not what was wanted (RFC 8914 §4)."""

    NOT_READY = 14
    PROHIBITED = 18
    NOT_AUTHORITATIVE = 20
    NOT_SUPPORTED = 21


class Transport(StrEnum):
    """How a query came, and its answer goes."""

    UDP = "udp"
    TCP = "tcp"


class Outcome(StrEnum):
    """What became of a query: a word for the counters."""

    DROPPED = "dropped"  # not answered: no query at all
    IGNORED = "ignored"  # not answered: an access list says so
    DENIED = "denied"  # REFUSED: an access list says so
    LIMITED = "limited"  # not answered: the client's network is over its rate
    SLIPPED = "slipped"  # the same, and told to ask over TCP or with a cookie
    DECLINED = "declined"  # NOTIMP, FORMERR, BADVERS: no question this server can answer
    REFUSED = "refused"  # not ours, or not offered
    NOT_READY = "not-ready"  # SERVFAIL: no list was ever loaded
    FAILED = "failed"  # SERVFAIL: a fault of this program
    APEX = "apex"  # the zone's own records
    CHAOS = "chaos"  # the server's own name or version
    COOKIE = "cookie"  # a query without a question, for a cookie alone
    LISTED = "listed"  # an address or name that is listed, with data of the type asked for
    NODATA = "nodata"  # the name exists, the type does not
    NXDOMAIN = "nxdomain"  # not listed
