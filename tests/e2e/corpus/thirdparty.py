"""The third party whose mail a stranger tries to get through a host: an SMTP server that takes all.

It keeps for every recipient who sent it, from which envelope sender. Deliberately not the program's
collector: what arrives here is the truth that the program is held to.
"""

import socket
import socketserver
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

from tests.e2e.hosts import Host

_PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message for one recipient: from what host, and in whose name ("" for ``<>``)."""

    peer: str
    mail_from: str


@dataclass(slots=True)
class Mailbox:
    """What has arrived so far, by the recipient's local part. Safe to share between threads."""

    _arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, recipient: str, arrival: Arrival) -> None:
        """Keep *arrival*."""
        local = recipient.strip("<>").partition("@")[0].lower()
        with self._lock:
            self._arrivals[local].append(arrival)

    def of(self, local_part: str) -> list[Arrival]:
        """Return what arrived for *local_part*."""
        with self._lock:
            return list(self._arrivals[local_part])


@contextmanager
def receiving(host: Host) -> Iterator[Mailbox]:
    """Listen on port 25 of all addresses of *host* while the context lasts."""
    mailbox = Mailbox()
    servers = [host.call(partial(_listen, address, mailbox)) for address in host.addresses]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield mailbox
    finally:
        _stop(servers)
        for thread in threads:
            thread.join()


def _listen(address: str, mailbox: Mailbox) -> "_Server":
    kind = _Server6 if ":" in address else _Server
    return kind((address, 25), partial(_Session, mailbox))


def _stop(servers: Sequence["_Server"]) -> None:
    for server in servers:
        server.shutdown()
        server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Session(socketserver.StreamRequestHandler):
    """RFC 5321 as far as a sender needs it: every envelope and every message is taken."""

    timeout = _PATIENCE_SECONDS

    def __init__(self, mailbox: Mailbox, *arguments: object) -> None:
        self._mailbox = mailbox
        super().__init__(*arguments)  # type: ignore[arg-type]  # as the server gives them

    def handle(self) -> None:
        """Answer until QUIT or the end."""
        with suppress(OSError):
            self._say("220 mx.third.example ESMTP")
            sender, recipients = "", list[str]()
            while line := self.rfile.readline(2048):
                verb, _, rest = line.decode("ascii", "replace").strip().partition(" ")
                path = rest.partition(":")[2].strip().split(" ")[0].strip("<>")
                match verb.upper():
                    case "EHLO" | "HELO" | "RSET" | "NOOP":
                        sender, recipients = "", []
                        self._say("250 mx.third.example")
                    case "MAIL":
                        sender, recipients = path, []
                        self._say("250 2.1.0 Ok")
                    case "RCPT":
                        recipients.append(path)
                        self._say("250 2.1.5 Ok")
                    case "DATA":
                        self._say("354 go on")
                        self._take(sender, recipients)
                    case "QUIT":
                        self._say("221 2.0.0 Bye")
                        return
                    case _:
                        self._say("502 5.5.1 not here")

    def _take(self, sender: str, recipients: Sequence[str]) -> None:
        while (line := self.rfile.readline(65536)) not in {b".\r\n", b""}:
            pass
        if line:
            for recipient in recipients:
                self._mailbox.put(recipient, Arrival(self.client_address[0], sender))
            self._say("250 2.0.0 Ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())
