"""A stranger who tries every form on a host, each in a connection of its own, with plain sockets.

What reaches the third party is the truth about the host: the oracle. He is patient where he is told
to come later, and no address of his is the tester's.
"""

import itertools
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

from tests.e2e.corpus.forms import FORMS, Form
from tests.e2e.corpus.network import (
    OTHER_DOMAIN,
    STRANGER_DOMAIN,
    STRANGER_NAME,
    THIRD_PARTY_DOMAIN,
    Place,
)
from tests.e2e.corpus.thirdparty import Mailbox
from tests.e2e.hosts import Host

_AT_ONCE = 6  # connections to one host: below every server's limit for one client
_TIMEOUT_SECONDS = 40.0
# How often, and after how long, he comes back where he was told "later"; greylisting asks for one more.
_TRIES = 4
_LATER_SECONDS = 2.0
# How long he waits at last for what was taken: it may be delivered, bounced or gone.
_SETTLE_SECONDS = 6.0
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Found:
    """What the stranger found: the forms that arrived from the host itself, and from another one."""

    direct: frozenset[str]
    elsewhere: frozenset[str]
    replies: Mapping[str, str]  # form → what decided it: for whoever wonders why


@dataclass(frozen=True, slots=True)
class _Tried:
    form: str
    recipient: str
    sender: str
    is_taken: bool
    reply: str


def ask(stranger: Host, place: Place, mailbox: Mailbox) -> Found:
    """Return what gets through the host at *place*, over its nominated address."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        tried = list(threads.map(lambda form: _try(stranger, place, form), FORMS))
    taken = [each for each in tried if each.is_taken]
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end and any(not _is_settled(each, mailbox) for each in taken):
        time.sleep(0.05)  # between two looks at the condition
    direct, elsewhere = set[str](), set[str]()
    for each in taken:
        for arrival in mailbox.of(each.recipient):
            if arrival.mail_from or each.form == "null-sender":  # else it is a bounce
                (direct if arrival.peer in place.addresses else elsewhere).add(each.form)
    return Found(frozenset(direct), frozenset(elsewhere), {each.form: each.reply for each in tried})


def _is_settled(tried: _Tried, mailbox: Mailbox) -> bool:
    return bool(mailbox.of(tried.recipient) or mailbox.of(tried.sender))


def _try(stranger: Host, place: Place, form: str) -> _Tried:
    number = next(_numbers)
    recipient, sender = f"r{number}z{int(time.time())}", f"s{number}z{int(time.time())}"
    envelope = _filled(FORMS[form], place, recipient, sender)
    reply = ""
    for _ in range(_TRIES):
        reply = stranger.call(lambda: _dialogue(stranger, place.address, envelope))
        if reply.startswith("2") or not reply.startswith("4"):
            break
        if "Relay access denied" in reply:  # what Postfix says to strangers for ever
            break
        time.sleep(_LATER_SECONDS)
    return _Tried(form, recipient, sender, reply.startswith("2"), reply)


def _filled(form: Form, place: Place, recipient: str, sender: str) -> Form:
    address = place.address
    values = {
        "r": recipient,
        "s": sender,
        "t": THIRD_PARTY_DOMAIN,
        "other": OTHER_DOMAIN,
        "from": STRANGER_DOMAIN,
        "client": STRANGER_NAME,
        "name": place.name,
        "domain": place.domain,
        "literal": f"[IPv6:{IPv6Address(address)}]" if ":" in address else f"[{address}]",
    }
    return Form(form.mail_from.format_map(values), form.rcpt_to.format_map(values))


def _dialogue(stranger: Host, server: str, envelope: Form) -> str:
    """Return the reply that decided: the first that was not yes, or the one after the message."""
    source = next(address for address in stranger.addresses if (":" in address) is (":" in server))
    with suppress(OSError):
        with socket.create_connection((server, 25), _TIMEOUT_SECONDS, (source, 0)) as connection:
            file = connection.makefile("rb")
            said = _reply(file)
            commands = (
                f"EHLO {STRANGER_NAME}",
                f"MAIL FROM:{envelope.mail_from}",
                f"RCPT TO:{envelope.rcpt_to}",
                "DATA",
                _message(envelope),
            )
            for command in commands:
                if said[:1] not in {"2", "3"}:
                    break
                connection.sendall(f"{command}\r\n".encode())
                said = _reply(file)
            with suppress(OSError):
                connection.sendall(b"QUIT\r\n")
            return said
    return "connection lost"


def _reply(file: socket.SocketIO) -> str:  # type: ignore[name-defined]
    lines: list[str] = []
    while line := file.readline(4096).decode("ascii", "replace"):
        lines.append(line.strip())
        if line[3:4] != "-":
            break
    return lines[-1] if lines else "connection lost"


def _message(envelope: Form) -> str:
    return (
        f"From: a stranger <writer@{STRANGER_DOMAIN}>\r\n"
        f"To: somebody <reader@{THIRD_PARTY_DOMAIN}>\r\n"
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}\r\n"
        f"Message-ID: <{time.time_ns()}@{STRANGER_NAME}>\r\n"
        f"Subject: made-up things\r\n\r\nBuy {len(envelope.rcpt_to)} made-up things.\r\n."
    )
