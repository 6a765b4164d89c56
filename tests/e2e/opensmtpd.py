"""OpenSMTPD on a made-up host: smtpd.conf(5) with the rules that a story is about.

Without rules of its own a server takes mail for its domain from everybody, and for others from itself.
"""

from collections.abc import Mapping

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

_CONFIGURATION = """\
table users {{ "user@{domain}" = "nobody", "postmaster@{domain}" = "nobody" }}
{tables}
listen on 0.0.0.0 hostname {hostname} {listen}
action "local" maildir "/var/mail/inbox" virtual <users>
action "out" relay {relay}
{actions}
{rules}
"""
_RULES = """\
match from any for domain "{domain}" action "local"
match from local for any action "out"
"""
_PARTS = ("listen", "tables", "relay", "actions", "rules")


class OpenSmtpd(Server):
    """One OpenSMTPD; *parts* are the named texts of its configuration that are not the usual ones."""

    package = "opensmtpd"
    argv = ("smtpd", "-d", "-f", "/run/config/smtpd.conf")
    port = 25
    users = {"opensmtpd": 64128, "opensmtpq": 64129}  # noqa: RUF012 - as its base says, a Mapping

    folders = "mkdir -m 711 /var/spool/smtpd; mkdir -p /var/lib/opensmtpd/empty /run/opensmtpd"

    def __init__(self, host: Host, hostname: str, parts: Mapping[str, str]) -> None:
        super().__init__(host)
        if unknown := set(parts) - set(_PARTS):
            raise ValueError(f"smtpd.conf has no part {', '.join(sorted(unknown))} here")
        self._hostname = hostname
        self._parts = parts

    def configure(self) -> None:
        """Write smtpd.conf."""
        domain = self._hostname.partition(".")[2]
        parts = {**dict.fromkeys(_PARTS, ""), "rules": _RULES.format(domain=domain), **self._parts}
        text = _CONFIGURATION.format(hostname=self._hostname, domain=domain, **parts)
        (self.config / "smtpd.conf").write_text(text)
        (self.config / "smtpd.conf").chmod(0o600)
