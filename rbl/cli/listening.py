"""The sockets that a process listens at: taken over from the one before, or bound, and offered to the next.

``takeover`` carries them from process to process. Logs nothing.
"""

import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence

from rbl.config import Listen
from rbl.errors import ConfigError
from rbl.responder import binding

_BACKLOG = 1024  # connections that wait while a process is busy, or while two change places


class Sockets:
    """What was taken over, by part, and what may be: safe to ask from any thread once it runs."""

    def __init__(self) -> None:
        self._inherited: dict[str, list[socket.socket]] = {}
        self._offered: dict[str, Callable[[], Sequence[socket.socket]]] = {}
        self.are_shared = False  # another process has them too: they outlive this one

    def inherit(self, part: str, sockets: Iterable[socket.socket]) -> None:
        """Keep *sockets* for *part* to take."""
        self._inherited.setdefault(part, []).extend(sockets)

    def take(self, part: str) -> list[socket.socket]:
        """Return what was taken over for *part*, which closes what it has no use for."""
        return self._inherited.pop(part, [])

    def offer(self, part: str, share: Callable[[], Sequence[socket.socket]]) -> None:
        """Have *share* asked for the sockets of *part* when they are to be another's too."""
        self._offered[part] = share

    def listen(self, part: str, listen: Listen) -> socket.socket:
        """Return the listening TCP socket of *part* at *listen*, taken over or new, and offer it.

        Raises:
            ConfigError: the address cannot be listened on.
        """
        return self.listen_at(part, [listen], f"{part}.listen")[0]

    def listen_at(self, part: str, places: Sequence[Listen], setting: str) -> list[socket.socket]:
        """Return the listening TCP sockets of *part* at *places*, taken over or new, and offer them.

        What was taken over for none of the places is closed.

        Raises:
            ConfigError: names each of the places that cannot be listened on, and *setting*.
        """
        left = self.take(part)
        listeners: list[socket.socket] = []
        faults: list[str] = []
        for place in places:
            taken = binding.take(left, socket.SOCK_STREAM, place)
            _close(taken[1:])
            try:
                listeners.append(taken[0] if taken else _bind(place, setting))
            except ConfigError as fault:
                faults += fault.faults
        _close(left)
        if faults:
            _close(listeners)
            raise ConfigError(faults)
        self.offer(part, lambda: listeners)
        return listeners

    def share(self) -> Mapping[str, Sequence[socket.socket]]:
        """Return all that is offered, by part: from now on it is another's too."""
        self.are_shared = True
        return {part: share() for part, share in self._offered.items()}


def _bind(listen: Listen, setting: str) -> socket.socket:
    """Return a new listening TCP socket at *listen*, which *setting* names.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server(listen, family=family, backlog=_BACKLOG)
    except OSError as fault:
        why = os.strerror(fault.errno or 0)
        raise ConfigError([f"{setting}: cannot listen on {listen}: {why}"]) from None


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
