"""Postfix on a made-up host, and the settings of the mail servers that the stories are about.

Each role is a set of main.cf parameters over Postfix's own defaults, so that what is not named here
behaves as it does everywhere.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.hosts import Host
from tests.e2e.servers import Server, eventually

Parameters = Mapping[str, str]

# Debian's master.cf without its chroots, whose files the package's start script would copy; and bouncer,
# for which no user exists (67: EX_NOUSER of sysexits.h), as smtpd refuses at once what error would bounce.
_SERVICES = """\
smtp       inet       n - n -     -   smtpd
pickup     unix       n - n 60    1   pickup
cleanup    unix       n - n -     0   cleanup
qmgr       unix       n - n 300   1   qmgr
tlsmgr     unix       - - n 1000? 1   tlsmgr
rewrite    unix       - - n -     -   trivial-rewrite
bounce     unix       - - n -     0   bounce
defer      unix       - - n -     0   bounce
trace      unix       - - n -     0   bounce
verify     unix       - - n -     1   verify
flush      unix       n - n 1000? 0   flush
proxymap   unix       - - n -     -   proxymap
proxywrite unix       - - n -     1   proxymap
smtp       unix       - - n -     -   smtp
relay      unix       - - n -     -   smtp
showq      unix       n - n -     -   showq
error      unix       - - n -     -   error
retry      unix       - - n -     -   error
discard    unix       - - n -     -   discard
local      unix       - n n -     -   local
virtual    unix       - n n -     -   virtual
lmtp       unix       - - n -     -   lmtp
anvil      unix       - - n -     1   anvil
scache     unix       - - n -     1   scache
postlog    unix-dgram n - n -     1   postlogd
bouncer    unix       - n n -     -   pipe user=nobody argv=/bin/sh -c {exit 67}
"""
_NOBODY = 65534

CLOSED: Parameters = {"mynetworks": "127.0.0.0/8"}

# The mistake of 1999, and of every year since.
OPEN_RELAY: Parameters = {"mynetworks": "0.0.0.0/0"}

# Takes mail for everybody, then returns it to its sender: a RCPT accepted proves nothing. Whatever comes
# in by SMTP goes to the bouncer, also with the null sender; the bounces that Postfix writes do not.
ACCEPTS_THEN_BOUNCES: Parameters = {"mynetworks": "0.0.0.0/0", "content_filter": "bouncer:"}


def mailboxes(domain: str, users: Sequence[str]) -> Parameters:
    """Return the settings of a server that keeps mail for *users* of *domain*."""
    return {
        "virtual_mailbox_domains": domain,
        "virtual_mailbox_base": "/var/mail",
        # The slash makes it a maildir: a letter is a file, and is there at once or not at all.
        "virtual_mailbox_maps": f"inline:{{{', '.join(f'{user}@{domain}={user}/' for user in users)}}}",
        "virtual_uid_maps": f"static:{_NOBODY}",
        "virtual_gid_maps": f"static:{_NOBODY}",
    }


def mail_exchanger(domain: str, users: Sequence[str], blocklist: str | None = None) -> Parameters:
    """Return the settings of *domain*'s MX, which asks *blocklist* (a zone apex) about every client."""
    restrictions = "reject_unauth_destination"
    return {
        **mailboxes(domain, users),
        "mynetworks": "127.0.0.0/8",
        # A process of Postfix keeps what a list said for as long as it lives (100 connections, or as many
        # idle seconds), whatever the TTL: one process for each connection shows what the list says now.
        "max_use": "1",
        "smtpd_recipient_restrictions": (
            f"{restrictions}, reject_rbl_client {blocklist}" if blocklist else restrictions
        ),
    }


class Postfix(Server):
    """One Postfix; *main_cf* and *services* (lines of master.cf) are added to what every host has.

    *files* are tables that the settings name: /run/config/NAME → its text.
    """

    package = "postfix"
    argv = ("postfix", "-c", "/run/config", "start-fg")
    port = 25
    users = {"postfix": 64125, "postdrop": 64126}  # noqa: RUF012 - as its base says, a Mapping

    folders = "mkdir /var/spool/postfix; install -d -o postfix /var/lib/postfix"

    def __init__(
        self,
        host: Host,
        hostname: str,
        main_cf: Parameters,
        services: str = "",
        files: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(host)
        self._files = files or {}
        self._hostname = hostname
        self._main_cf = main_cf
        self._services = services

    def configure(self) -> None:
        """Write main.cf and master.cf."""
        settings = {
            "compatibility_level": "3.6",
            "maillog_file": "/dev/stdout",
            "myhostname": self._hostname,
            "inet_protocols": "ipv4",
            "alias_maps": "",
            # The machine's own addresses are no part of the story: only those of the host.
            "smtp_bind_address": self.host.address,
            # A queue that is looked at every second, for who waits for a second attempt.
            "queue_run_delay": "1s",
            "minimal_backoff_time": "1s",
            **self._main_cf,
        }
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        for file, text in {
            "main.cf": "".join(lines),
            "master.cf": _SERVICES + self._services,
            **self._files,
        }.items():
            (self.config / file).write_text(text)
            # Postfix waits two seconds for a file that may still be being written: date it back.
            os.utime(self.config / file, (0, 0))

    def reconfigure(self, main_cf: Parameters) -> None:
        """Do what its admin does: change main.cf, reload; return when no connection meets the old one."""
        old = {pid for pid, name in self.processes().items() if name == "smtpd"}
        self._main_cf = main_cf
        self.configure()
        self.run("postfix", "-c", "/run/config", "reload")
        eventually(
            lambda: old.isdisjoint(self.processes()), lambda: f"old smtpd processes stay:\n{self.log()}"
        )

    def letters(self, user: str) -> list[bytes]:
        """Return the letters in *user*'s mailbox, oldest first."""
        files = [file for file in Path(self.mail, user, "new").glob("*") if file.is_file()]
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]

    def await_letters(self, user: str, count: int = 1) -> list[bytes]:
        """Return *user*'s letters as soon as there are *count*."""
        eventually(
            lambda: len(self.letters(user)) >= count,
            lambda: f"{len(self.letters(user))} of {count} letters for {user}:\n{self.log()}",
        )
        return self.letters(user)
