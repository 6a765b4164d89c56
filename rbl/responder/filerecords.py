"""Single records of zones made of data files, packed: their owners are compression pointers.

Logs nothing.
"""

import struct
from collections.abc import Sequence
from functools import partial

from rbl.responder.codes import Rclass, Rtype
from rbl.zone.rbldnsd.filezone import FileZone
from rbl.zone.rbldnsd.nametext import key_of

POINTER = 0xC000  # RFC 1035 §4.1.4
RECORD = struct.Struct("!HHHIH")  # owner, type, class, TTL, octets of rdata
_SOA_TIMES = struct.Struct("!5I")


def pack_soa(zone: FileZone, owner: int, ttl_seconds: int) -> bytes:
    """Return the SOA of *zone*, which has one; *owner* is a compression pointer."""
    soa = zone.soa
    assert soa is not None
    rdata = (
        key_of(soa.mname)
        + b"\0"
        + key_of(soa.rname)
        + b"\0"
        + _SOA_TIMES.pack(zone.serial % 2**32, *soa.times)
    )
    return pack_record(owner, Rtype.SOA, ttl_seconds, rdata)


def pack_name_servers(zone: FileZone, owner: int) -> list[bytes]:
    """Return the NS records of *zone*; *owner* is a compression pointer."""
    servers = zone.name_servers
    if servers is None:
        return []
    record = partial(pack_record, owner, Rtype.NS, servers.ttl_seconds)
    return [record(key_of(name) + b"\0") for name in servers.names]


def pack_record(owner: int, rtype: int, ttl_seconds: int, rdata: bytes) -> bytes:
    """Return one record whose owner is the compression pointer *owner*."""
    return RECORD.pack(owner, rtype, Rclass.IN, ttl_seconds, len(rdata)) + rdata


def rotated(each: Sequence[bytes], by: int) -> Sequence[bytes]:
    """Return *each* beginning somewhere else with every query, so that the first one is not always used."""
    if len(each) < 2:
        return each
    start = by % len(each)
    return [*each[start:], *each[:start]]
