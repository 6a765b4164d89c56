"""DNS cookies: a client that sends back what only it was told cannot be a forged address.

RFC 7873 (the option, and what a server does with it), RFC 9018 §4 (the server cookie that all name
servers make alike, so that those behind one address may share a secret; its roll-over in §5). Pure:
time is an argument, in seconds since 1970. Logs nothing.

A server cookie is version 1, three reserved octets, the time (32 bits), and SipHash-2-4, its octets
least significant first, over client cookie, these eight octets and the client's address.
"""

import hmac
import struct
from dataclasses import dataclass

from rbl.terms import Address

CLIENT_OCTETS = 8
_WHOLE_OCTETS = 24  # client cookie 8, server cookie 16: no other length is ours (RFC 9018 §4)
_VERSION = 1
_OLDEST_SECONDS = 3600  # RFC 9018 §4.3, as are the next two
_FUTURE_SECONDS = 300
_RENEW_SECONDS = 1800
_MASK = 0xFFFFFFFFFFFFFFFF
_TIMES = 1 << 32


@dataclass(frozen=True, slots=True)
class Cookie:
    """What a query's cookie is worth. *option* is the value of the COOKIE option to answer with."""

    valid: bool  # it proves the client's address
    first: bool  # the client has no server cookie yet
    option: bytes


def check(cookie: bytes, client: Address, now_seconds: int, secrets: tuple[bytes, ...]) -> Cookie:
    """Return what *cookie*, the value of a query's COOKIE option of 8 or 16 to 40 octets, is worth.

    A cookie made with any of *secrets* is valid; new ones are made with the first. A valid one comes
    back as it is until it is half an hour old or its secret is no longer the first.
    """
    client_cookie = cookie[:CLIENT_OCTETS]
    if len(cookie) == _WHOLE_OCTETS and cookie[CLIENT_OCTETS] == _VERSION:
        head, digest = cookie[8:16], cookie[16:]
        # RFC 1982 serial arithmetic, as RFC 9018 §4.3 asks: the time goes round in 2106.
        age = (now_seconds - int.from_bytes(head[4:]) + _TIMES // 2) % _TIMES - _TIMES // 2
        if -_FUTURE_SECONDS <= age <= _OLDEST_SECONDS:
            for number, secret in enumerate(secrets):
                if hmac.compare_digest(digest, _digest(client_cookie + head + client.packed, secret)):
                    renewed = number or age > _RENEW_SECONDS
                    option = make(client_cookie, client, now_seconds, secrets[0]) if renewed else cookie
                    return Cookie(valid=True, first=False, option=option)
    option = make(client_cookie, client, now_seconds, secrets[0])
    return Cookie(valid=False, first=len(cookie) == CLIENT_OCTETS, option=option)


def make(client_cookie: bytes, client: Address, now_seconds: int, secret: bytes) -> bytes:
    """Return *client_cookie* with a server cookie of now for *client* behind it."""
    head = struct.pack("!B3xI", _VERSION, now_seconds % _TIMES)
    return client_cookie + head + _digest(client_cookie + head + client.packed, secret)


def _digest(message: bytes, secret: bytes) -> bytes:
    return siphash24(message, secret).to_bytes(8, "little")


def siphash24(message: bytes, key: bytes) -> int:
    """Return SipHash-2-4 of *message* under *key* of 16 octets, as a number of 64 bits.

    J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012. Some 20 µs for a cookie.
    """
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    state = (
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    )
    whole = len(message) & ~7
    last = message[whole:].ljust(7, b"\0") + bytes((len(message) & 0xFF,))
    padded = message[:whole] + last
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v0, v1, v2, v3 = state
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3 ^ word))
        state = (v0 ^ word, v1, v2, v3)
    v0, v1, v2, v3 = state
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v2 = (v2 + v3) & _MASK
    v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
    v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
    v0 = ((v0 << 32 | v0 >> 32) & _MASK) + v3 & _MASK
    v2 = v2 + v1 & _MASK
    v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
    v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
    return v0, v1, (v2 << 32 | v2 >> 32) & _MASK, v3
