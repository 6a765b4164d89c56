"""A list as a response policy zone, for resolvers: what is listed does not resolve.

Addresses by ``rpz-ip``, which looks at the addresses in answers; names by themselves. Both say NXDOMAIN.
Nothing of 127.0.0.0/8 is in it: these are what lists answer, and must resolve. Nor are names below the top
labels that policies take for themselves (``rpz-ip`` and others): they would be read as policies. The owner
names are relative, so that the zone may have any name.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from rbl.zone import export, export_bind
from rbl.zone.index import Index
from rbl.zone.runs import networks

_POLICY = "CNAME ."  # NXDOMAIN
_OF_POLICIES = b"rpz-"
_LOOPBACK = 127  # the first octet of test points


def lines(index: Index) -> Iterator[str]:
    """Yield the lines of the file."""
    zone = index.zone
    yield f"; {zone.apex_text}: {index.live()} listings as a response policy zone"
    yield f"$TTL {zone.ttl_seconds}"
    yield from export_bind.apex(zone, index.serial)
    for listed in export.addresses(index):
        for first, length in networks(listed.first, listed.last, listed.bits):
            if listed.bits == 32 and first >> 24 == _LOOPBACK:
                continue
            reverse = _ipv4(first) if listed.bits == 32 else _ipv6(first)
            yield f"{length}.{reverse}.rpz-ip {_POLICY}"
    for subject, answer in export.names_and_above(index):
        if subject.labels and subject.labels[-1].startswith(_OF_POLICIES):
            continue
        yield f"{subject} {'CNAME rpz-passthru.' if answer is None else _POLICY}"


def _ipv4(first: int) -> str:
    return ".".join(reversed(str(IPv4Address(first)).split(".")))


def _ipv6(first: int) -> str:
    """Return the groups, last first, with ``zz`` where the longest run of zeros is."""
    text = str(IPv6Address(first))
    before, gap, after = text.partition("::")
    groups = [*before.split(":"), *(["zz"] if gap else []), *after.split(":")]
    return ".".join(group for group in reversed(groups) if group)
