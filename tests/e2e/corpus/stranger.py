"""A stranger who tries every form on a host, each in a connection of its own, with plain sockets.

What reaches the third party is the truth about the host: the oracle. He is patient where he is told
to come later, and no address of his is the tester's.
"""

import itertools
import re
import socket
import ssl
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
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

_AT_ONCE = 4  # connections to one host: what Courier allows one client (MAXPERIP)
_TIMEOUT_SECONDS = 20.0
# How often, and after how long, he comes back where he was told "later"; greylisting asks for one more.
_TRIES = 4
_LATER_SECONDS = 2.0
# How long he waits at last for what was taken: it may be delivered, bounced or gone.
_SETTLE_SECONDS = 5.0
_WHOLE = re.compile(rb"(?:\A|\n)\d{3}(?: [^\n]*)?\r?\n\Z")
# A certificate proves nothing here: relays have any.
_BLIND = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_BLIND.check_hostname, _BLIND.verify_mode = False, ssl.CERT_NONE
_LOST = "connection lost"
_SILENT = "no answer"
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
    reply: str

    @property
    def is_taken(self) -> bool:
        """Whether the host took the message."""
        return self.reply.startswith("2")

    @property
    def is_put_off(self) -> bool:
        """Whether he may try again; what Postfix says to strangers for ever does not count."""
        is_for_now = self.reply.startswith("4") or self.reply == _LOST
        return is_for_now and "Relay access denied" not in self.reply


def ask(stranger: Host, place: Place, mailbox: Mailbox) -> Found:
    """Return what gets through the host at *place*, over its nominated address."""
    tried: dict[str, _Tried] = {}
    left = list(FORMS)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for again in range(_TRIES):
            if again and left:
                time.sleep(_LATER_SECONDS)
            found = threads.map(partial(_try, stranger, place), left, [tried.get(form) for form in left])
            tried |= {each.form: each for each in found}
            left = [form for form in left if tried[form].is_put_off]
    assert any(each.reply != _SILENT for each in tried.values()), (
        f"{place.configuration.name} never answers"
    )
    taken = [each for each in tried.values() if each.is_taken]
    end = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < end and any(not _is_settled(each, mailbox) for each in taken):
        time.sleep(0.05)  # between two looks at the condition
    direct, elsewhere = set[str](), set[str]()
    for each in taken:
        for arrival in mailbox.of(each.recipient):
            if arrival.mail_from or each.form == "null-sender":  # else it is a bounce
                (direct if arrival.peer in place.addresses else elsewhere).add(each.form)
    return Found(
        frozenset(direct), frozenset(elsewhere), {form: each.reply for form, each in tried.items()}
    )


def _is_settled(tried: _Tried, mailbox: Mailbox) -> bool:
    return bool(mailbox.of(tried.recipient) or mailbox.of(tried.sender))


def _try(stranger: Host, place: Place, form: str, before: _Tried | None) -> _Tried:
    """Offer *form*, as it was offered *before*: greylisting knows an envelope again."""
    number = f"{next(_numbers)}z{int(time.time())}"
    recipient, sender = (before.recipient, before.sender) if before else (f"r{number}", f"s{number}")
    envelope = _filled(FORMS[form], place, recipient, sender)
    reply = stranger.call(lambda: _dialogue(stranger, place.address, envelope))
    return _Tried(form, recipient, sender, reply)


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
    try:
        with socket.create_connection((server, 25), _TIMEOUT_SECONDS, (source, 0)) as connection:
            said = _reply(connection)
            if said.startswith("2"):
                said = _ask(connection, f"EHLO {STRANGER_NAME}")
            offered = _offer(connection, envelope) if said.startswith("2") else said
            if "STARTTLS" not in offered:
                return offered
            _ask(connection, "STARTTLS")
            with _BLIND.wrap_socket(connection) as hidden:
                _ask(hidden, f"EHLO {STRANGER_NAME}")
                return _offer(hidden, envelope)
    except TimeoutError:
        return _SILENT
    except OSError:
        return _LOST


def _offer(connection: socket.socket, envelope: Form) -> str:
    commands = (
        f"MAIL FROM:{envelope.mail_from}",
        f"RCPT TO:{envelope.rcpt_to}",
        "DATA",
        _message(envelope),
    )
    said = ""
    for command in commands:
        said = _ask(connection, command)
        if said[:1] not in {"2", "3"}:
            break
    return said


def _ask(connection: socket.socket, command: str) -> str:
    connection.sendall(f"{command}\r\n".encode())
    return _reply(connection)


def _reply(connection: socket.socket) -> str:
    """Return the last line of a reply, which is sent only after our command: none is read too far."""
    said = b""
    while not _WHOLE.search(said):
        if not (more := connection.recv(4096)):
            return _LOST
        said += more
    return said.decode("ascii", "replace").splitlines()[-1]


def _message(envelope: Form) -> str:
    return (
        f"From: a stranger <writer@{STRANGER_DOMAIN}>\r\n"
        f"To: somebody <reader@{THIRD_PARTY_DOMAIN}>\r\n"
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S +0000', time.gmtime())}\r\n"
        f"Message-ID: <{time.time_ns()}@{STRANGER_NAME}>\r\n"
        f"Subject: made-up things\r\n\r\nBuy {len(envelope.rcpt_to)} made-up things.\r\n."
    )
