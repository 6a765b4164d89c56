"""Sendmail on a made-up host: a sendmail.mc of few lines, made a sendmail.cf by m4 as its manual says.

cf/README of Sendmail 8.17 is the reference. Unlike Debian's sendmail.mc it adds nothing of its own.
"""

from collections.abc import Mapping

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

_MC = """\
VERSIONID(`made up')
OSTYPE(`linux')
define(`confDOMAIN_NAME', `{hostname}')
define(`confTO_IDENT', `0')
define(`confPRIVACY_FLAGS', `authwarnings,noexpn,novrfy')
define(`QUEUE_DIR', `/var/spool/mqueue')
define(`STATUS_FILE', `/run/statistics')
define(`HELP_FILE', `/usr/share/sendmail/cf/helpfile')
define(`ALIAS_FILE', `')
define(`confPID_FILE', `/run/sendmail.pid')
define(`confLOG_LEVEL', `9')
define(`confMIN_QUEUE_AGE', `0')
define(`LOCAL_MAILER_PATH', `/bin/cat')
define(`LOCAL_MAILER_ARGS', `cat')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Name=MTA, Port=25, Family=inet')
LOCAL_DOMAIN(`{domain}')
{mc}
MAILER(`local')
MAILER(`smtp')
{rules}
"""
# makemap for every table that the configuration brings, then the daemon in the foreground.
_START = """
m4 /usr/share/sendmail/cf/m4/cf.m4 /run/config/sendmail.mc >/run/sendmail.cf
for table in access mailertable; do
    if [ -e /run/config/$table ]; then makemap -C /run/sendmail.cf hash /run/$table </run/config/$table; fi
done
exec /usr/libexec/sendmail/sendmail -bD -q3s -C /run/sendmail.cf -X /var/mail/sendmail.log
"""


class Sendmail(Server):
    """One Sendmail; *mc* is added to its sendmail.mc, *rules* to the end; *tables* are maps in /run."""

    package = "sendmail-bin"
    argv = ("sh", "-ec", _START)
    port = 25
    users = {"smmta": 64130, "smmsp": 64131}  # noqa: RUF012 - as its base says, a Mapping

    folders = "mkdir -m 700 /var/spool/mqueue; : >/run/statistics"

    def __init__(
        self, host: Host, hostname: str, mc: str, rules: str = "", tables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(host)
        self._hostname = hostname
        self._mc = mc
        self._rules = rules
        self._tables = tables or {}

    def configure(self) -> None:
        """Write sendmail.mc and the tables, and what it must know of itself before it opens its port."""
        domain = self._hostname.partition(".")[2]
        text = _MC.format(hostname=self._hostname, domain=domain, mc=self._mc, rules=self._rules)
        (self.config / "sendmail.mc").write_text(text)
        for name, table in self._tables.items():
            (self.config / name).write_text(table)
        names = f"127.0.0.1 localhost\n{self.host.address} {self._hostname}\n"
        (self.host.etc / "hosts").write_text(names)

    def log(self) -> str:
        """Return what it printed, and every line that was said to it and by it."""
        traffic = self.mail / "sendmail.log"
        return super().log() + (traffic.read_text(errors="replace") if traffic.exists() else "")
