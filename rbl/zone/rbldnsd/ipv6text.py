"""IPv6 addresses and prefixes as rbldnsd's files write them.

Fewer than eight groups without ``::`` are a prefix: ``2001:21ab:c000`` is 2001:21ab:c000::/48. There is
no dotted form. Each function returns where it stopped.
"""

import re

_GROUP = re.compile(rb"[0-9a-fA-F]{1,40}")
_LENGTH = re.compile(rb"\d{1,9}")


def read_prefix(text: bytes) -> tuple[int, int, int] | None:
    """Return the address that *text* begins with, its bits (16 for each group) and its end; or None."""
    at = 0
    groups: list[int] = []
    gap: int | None = None  # how many groups stand before the ::
    whole = False
    if text.startswith(b"::"):
        gap, at = 0, 2
    while found := _GROUP.match(text, at):
        group = int(found[0], 16)
        if group > 0xFFFF:
            break
        groups.append(group)
        at = found.end()
        if text[at : at + 1] != b":" or len(groups) == 8:
            whole = True
            break
        at += 1
        if gap is None and text[at : at + 1] == b":":
            gap = len(groups)
            at += 1
    if gap is None:
        return (_number(groups, len(groups)), 16 * len(groups), at) if whole else None
    return None if len(groups) == 8 else (_number(groups, gap), 128, at)


def read_cidr(text: bytes) -> tuple[int, int, int] | None:
    """Return the address that *text* begins with, its prefix length and where it ends; or None."""
    prefix = read_prefix(text)
    if prefix is None:
        return None
    address, bits, end = prefix
    if text[end : end + 1] != b"/":
        return None if bits == 16 else prefix  # a bare number is no network
    found = _LENGTH.match(text, end + 1)
    if found is None or int(found[0]) > 128:
        return None
    return address, int(found[0]), found.end()


def _number(groups: list[int], gap: int) -> int:
    """Return the address whose :: stands after *gap* groups."""
    filled = [*groups[:gap], *([0] * (8 - len(groups))), *groups[gap:]]
    number = 0
    for group in filled:
        number = number << 16 | group
    return number
