"""Exim on a made-up host: the default configuration of its own distribution, with parts replaced.

The ACLs and routers are those of Exim's src/configure.default, less what needs a directory of users:
one user has a mailbox. Each part that a story is about has a name, and is text of its own.
"""

from collections.abc import Mapping
from pathlib import Path

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

Parts = Mapping[str, str]

# {main} may set again what stands above it. A part left out is as in the default.
_CONFIGURATION = """\
primary_hostname = {hostname}
{lists}
acl_smtp_connect = acl_check_connect
acl_smtp_helo = acl_check_helo
acl_smtp_mail = acl_check_mail
acl_smtp_rcpt = acl_check_rcpt
acl_smtp_data = acl_check_data
local_interfaces = <; 0.0.0.0; ::0
log_file_path = /var/mail/exim-%slog
never_users = root
host_lookup =
rfc1413_query_timeout = 0s
message_size_limit = 10M
keep_environment =
queue_run_max = 1
{main}

begin acl

acl_check_connect:
{connect}
  accept

acl_check_helo:
{helo}
  accept

acl_check_mail:
{mail}
  accept

acl_check_rcpt:
{rcpt_first}
{rcpt}

acl_check_data:
{data}
  accept

begin routers

{routers}

dnslookup:
  driver = dnslookup
  domains = {away}
  transport = remote_smtp
  ignore_target_hosts = <; 0.0.0.0 ; 127.0.0.0/8 ; ::1
  no_more

localuser:
  driver = accept
  local_parts = user : postmaster
  transport = local_delivery
  cannot_route_message = Unknown user

begin transports

remote_smtp:
  driver = smtp
  hosts_avoid_tls = *
{remote}

local_delivery:
  driver = appendfile
  file = /var/mail/$local_part_data
  user = nobody
  group = nogroup
  mode_fail_narrower = false

{transports}

begin retry

*  *  F,2h,2s

begin rewrite

{rewrite}
"""
_DEFAULTS = {
    "away": "! +local_domains",
    "lists": """\
domainlist local_domains = @ : @[] : {domain}
domainlist relay_to_domains =
hostlist relay_from_hosts = <; 127.0.0.1 ; ::1""",
    "rcpt": """\
  accept hosts = :
  deny message = Restricted characters in address
       domains = +local_domains
       local_parts = ^[.] : ^.*[@%!/|]
  deny message = Restricted characters in address
       domains = !+local_domains
       local_parts = ^[./|] : ^.*[@%!] : ^.*/\\.\\./
  accept local_parts = postmaster
         domains = +local_domains
  require verify = sender
  accept hosts = +relay_from_hosts
         control = submission
  accept authenticated = *
         control = submission
  require message = relay not permitted
          domains = +local_domains : +relay_to_domains
  require verify = recipient
  accept""",
}
_PARTS = (
    "lists", "main", "away", "connect", "helo", "mail", "rcpt_first", "rcpt", "data", "routers",
    "transports", "remote", "rewrite",
)  # fmt: skip


class Exim(Server):
    """One Exim; *parts* are the named texts of its configuration that are not as in the default."""

    package = "exim4-daemon-light"
    argv = ("exim4", "-bdf", "-q5s")
    port = 25
    users = {"Debian-exim": 64127}  # noqa: RUF012 - as its base says, a Mapping

    folders = "install -d -o Debian-exim -g Debian-exim -m 750 /var/spool/exim4"

    def __init__(self, host: Host, hostname: str, parts: Parts) -> None:
        super().__init__(host)
        if unknown := set(parts) - set(_PARTS):
            raise ValueError(f"Exim's configuration has no part {', '.join(sorted(unknown))} here")
        self._hostname = hostname
        self._parts = parts

    def configure(self) -> None:
        """Write exim4.conf where Debian's Exim looks first, so that it needs no -C, which drops root."""
        domain = self._hostname.partition(".")[2]
        parts = dict.fromkeys(_PARTS, "") | {
            name: text.format(domain=domain) for name, text in _DEFAULTS.items()
        }
        text = _CONFIGURATION.format(hostname=self._hostname, **{**parts, **self._parts})
        folder = self.host.etc / "exim4"
        folder.mkdir(exist_ok=True)
        (folder / "exim4.conf").write_text(text)

    def log(self) -> str:
        """Return what it printed and logged so far."""
        logs = (Path(self.mail, f"exim-{kind}log") for kind in ("main", "reject", "panic"))
        return super().log() + "".join(log.read_text(errors="replace") for log in logs if log.exists())
