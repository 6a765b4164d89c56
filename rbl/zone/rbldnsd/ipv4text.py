"""IPv4 addresses, prefixes and ranges as rbldnsd's files write them.

Fewer than four octets are a prefix (``10.1`` is 10.1.0.0/16), leading zeros are allowed, and a range
may be given by its last octet alone (``127.0.0.1-255``). Each function returns where it stopped.
"""

import re
from socket import AF_INET, inet_pton

_PREFIX = re.compile(rb"(\d{1,9})(?:\.(\d{1,9})(?:\.(\d{1,9})(?:\.(\d{1,9}))?)?)?")
_LENGTH = re.compile(rb"\d{1,9}")
_ALL = 2**32 - 1
_LONGEST_ADDRESS = len("255.255.255.255")


def host_bits(length: int) -> int:
    """Return the bits to the right of a prefix of *length*, all set."""
    return _ALL >> length


def read_address(text: bytes) -> int | None:
    """Return the address that *text* is, where it is nothing but one in its usual form: the quick way."""
    if len(text) > _LONGEST_ADDRESS or not text[-1:].isdigit():
        return None
    try:
        return int.from_bytes(inet_pton(AF_INET, text.decode("ascii", "replace")), "big")
    except OSError:
        return None


def read_prefix(text: bytes, at: int = 0) -> tuple[int, int, int] | None:
    """Return the address that begins at *at*, its bits (8, 16, 24 or 32) and where it ends; or None."""
    found = _PREFIX.match(text, at)
    if found is None:
        return None
    end = found.end()
    first, second, third, fourth = found.groups()
    if fourth is not None:
        octets, bits = (int(first), int(second), int(third), int(fourth)), 32
    elif text[end : end + 1] == b".":
        return None
    else:
        octets = (int(first), int(second or 0), int(third or 0), 0)
        bits = 24 if third is not None else 16 if second is not None else 8
    if max(octets) > 255:
        return None
    return octets[0] << 24 | octets[1] << 16 | octets[2] << 8 | octets[3], bits, end


def read_cidr(text: bytes) -> tuple[int, int, int] | None:
    """Return the address that *text* begins with, its prefix length and where it ends; or None."""
    prefix = read_prefix(text)
    if prefix is None:
        return None
    address, bits, end = prefix
    if text[end : end + 1] == b"/":
        return _with_length(text, address, end)
    return None if bits == 8 else prefix  # a bare number is no network


def read_range(text: bytes) -> tuple[int, int, int, int] | None:
    """Return first and last address, the prefix length to hold the first against, and the end; or None.

    A range given by its ends has no prefix: its length is 32.
    """
    prefix = read_prefix(text)
    if prefix is None:
        return None
    first, bits, end = prefix
    if text[end : end + 1] != b"-":
        cidr = read_cidr(text)
        return None if cidr is None else (cidr[0], cidr[0] | host_bits(cidr[1]), cidr[1], cidr[2])
    to = read_prefix(text, end + 1)
    if to is None:
        return None
    last, last_bits, end = to
    if last_bits == 8:  # 127.0.0.1-2 is 127.0.0.1-127.0.0.2
        last = last >> (bits - 8) | (first & ~host_bits(bits - 8))
    elif last_bits != bits:
        return None
    last |= host_bits(bits)
    return None if first > last else (first, last, 32, end)


def _with_length(text: bytes, address: int, slash: int) -> tuple[int, int, int] | None:
    found = _LENGTH.match(text, slash + 1)
    if found is None or int(found[0]) > 32:
        return None
    return address, int(found[0]), found.end()
