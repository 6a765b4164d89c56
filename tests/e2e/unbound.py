"""Unbound as the resolver of the made-up internet.

It knows the names of that internet, asks other DNS servers for the zones they serve, and says of all
else that it does not exist. It minimises query names (RFC 9156) with no way back: a zone that answers
NXDOMAIN for a name below which others exist is not resolved at all. Nothing is kept beyond its TTL.
"""

from collections.abc import Mapping, Sequence

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

_SETTINGS = """\
server:
  interface: {address}
  access-control: 0.0.0.0/0 allow
  do-ip6: no
  username: ""
  chroot: ""
  directory: "/run/config"
  pidfile: ""
  use-syslog: no
  verbosity: 1
  log-queries: yes
  log-replies: yes
  module-config: "{modules}"
  qname-minimisation: yes
  qname-minimisation-strict: yes
  cache-min-ttl: 0
  # What it remembers of servers: none is given up because it was asked before it was up.
  infra-host-ttl: 1
  local-zone: "." static
"""


class Unbound(Server):
    """A resolver that knows *names* (lines of a zone file) and where *zones* (apex → address) are.

    *policies* are response policy zones: the zone's name → the text of its master file.
    """

    package = "unbound"
    argv = ("unbound", "-d", "-c", "/run/config/unbound.conf")
    port = 53
    users: Mapping[str, int] = {}

    folders = ""

    def __init__(
        self,
        host: Host,
        names: Sequence[str],
        zones: Mapping[str, str],
        policies: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(host)
        self._policies = policies or {}
        self._names = names
        self._zones = zones

    def configure(self) -> None:
        """Write unbound.conf and the policies."""
        modules = "respip iterator" if self._policies else "iterator"
        lines = [_SETTINGS.format(address=self.host.address, modules=modules)]
        lines += [f'  local-zone: "{apex}." transparent\n' for apex in self._zones]
        lines += [f"  local-data: '{name}'\n" for name in self._names]
        lines += [
            f'stub-zone:\n  name: "{apex}."\n  stub-addr: {address}\n'
            for apex, address in self._zones.items()
        ]
        for apex, text in self._policies.items():
            (self.config / apex).write_text(text, encoding="utf-8")
            lines.append(f'rpz:\n  name: "{apex}."\n  zonefile: "/run/config/{apex}"\n')
        (self.config / "unbound.conf").write_text("".join(lines))
