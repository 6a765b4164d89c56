"""Other name servers, which serve what was written out for them: rbldnsd and BIND.

Each reads its files from the folder ``config``, where whoever starts it has put them.
"""

from collections.abc import Mapping, Sequence

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

_NAMED = """\
options {
  directory "/run/config";
  pid-file none;
  session-keyfile none;
  listen-on { any; };
  listen-on-v6 { none; };
  recursion yes;
  allow-query { any; };
  dnssec-validation no;
  minimal-responses yes;
  empty-zones-enable no;
};
controls { };
"""
# A policy of BIND is for what it resolves; here it is for its own zones too.
_POLICY = "response-policy {{ {zones}; }} recursive-only no qname-wait-recurse no break-dnssec yes;"


class Rbldnsd(Server):
    """rbldnsd with one combined dataset for each of *zones* (apex → the file's text)."""

    package = "rbldnsd"
    port = 53
    users: Mapping[str, int] = {}
    folders = ""

    def __init__(self, host: Host, zones: Mapping[str, str]) -> None:
        super().__init__(host)
        self._zones = zones

    @property
    def argv(self) -> Sequence[str]:  # type: ignore[override]  # what it serves is on its command line
        """The command line."""
        user = ["-u", "nobody", "-b", f"{self.host.address}/{self.port}", "-w", "/run/config"]
        return ["rbldnsd", "-n", *user, *(f"{apex}:combined:{apex}" for apex in self._zones)]

    def configure(self) -> None:
        """Write the data files."""
        for apex, text in self._zones.items():
            (self.config / apex).write_text(text, encoding="utf-8")

    def is_up(self) -> bool:
        """Whether it has loaded its files: it has no TCP to ask it over."""
        return " started " in self.log()


class Named(Server):
    """BIND with *zones* (apex → a master file's text).

    At the host's second address the *policies*, which are among the zones, hold for the others too.
    """

    package = "bind9"
    argv = ("named", "-g", "-n", "1", "-c", "/run/config/named.conf")
    port = 53
    users: Mapping[str, int] = {}
    folders = "mkdir -p /run/named /var/cache/bind"

    def __init__(self, host: Host, zones: Mapping[str, str], policies: Sequence[str]) -> None:
        super().__init__(host)
        self._zones = zones
        self._policies = policies

    def configure(self) -> None:
        """Write named.conf and the master files."""
        for apex, text in self._zones.items():
            (self.config / apex).write_text(text, encoding="utf-8")
        policy = _POLICY.format(zones="; ".join(f'zone "{apex}"' for apex in self._policies))
        first, second = self.host.addresses
        views = [
            f'view "{address}" {{ match-destinations {{ {address}; }}; {settings}\n{self._of_view()}}};\n'
            for address, settings in ((first, ""), (second, policy))
        ]
        (self.config / "named.conf").write_text(_NAMED + "".join(views))

    def _of_view(self) -> str:
        return "".join(f'zone "{apex}" {{ type primary; file "{apex}"; }};\n' for apex in self._zones)
