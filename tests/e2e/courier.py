"""Courier on a made-up host: Debian's configuration, with the files of /etc/courier that a story is about.

Its tarpit is on, as Debian has it (TARPIT=1 in esmtpd): answers grow slower with every refusal.
"""

from collections.abc import Mapping

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

# What the package's installation does, and what its start scripts do, in the foreground at last.
_START = """
cp -a /etc/courier /run/courier-etc
cp /run/config/* /run/courier-etc/
if [ -e /run/config/access ]; then cp /run/config/access /run/courier-etc/smtpaccess/default; fi
mount --bind /run/courier-etc /etc/courier
chown -R courier:courier /etc/courier
mkdir -p /run/courier/authdaemon
chown -R courier:courier /run/courier
printf 'postmaster: root\\nnobody: root\\n' >/etc/courier/aliases/system
makealiases
# They call makedat by a name that Debian's alternatives would have made.
for make in makehosteddomains makeacceptmailfor makesmtpaccess; do
    sed 's#{bindir}/makedat#&.courier#' /usr/sbin/$make >/run/$make; sh /run/$make
done
/usr/sbin/courier start
/usr/sbin/esmtpd start
exec sleep infinity
"""
_FOLDERS = """
cp -a "$package/var/lib/courier" /var/lib/courier
mkdir -p /var/lib/courier/tmp /var/lib/courier/msgs /var/lib/courier/msgq /var/lib/courier/allfilters
mkdir -p /var/lib/courier/filters /var/lib/courier/track
chown -R courier:courier /var/lib/courier
"""


class Courier(Server):
    """One Courier; *files* are put into its /etc/courier, "access" as its smtpaccess."""

    package = "courier-mta"
    argv = ("sh", "-ec", _START)
    port = 25
    users = {"courier": 64132}  # noqa: RUF012 - as its base says, a Mapping

    folders = _FOLDERS

    def __init__(self, host: Host, hostname: str, files: Mapping[str, str]) -> None:
        super().__init__(host)
        domain = hostname.partition(".")[2]
        self._files = {"me": hostname, "locals": domain, "esmtpacceptmailfor": domain, **files}

    def configure(self) -> None:
        """Write the files."""
        for name, text in self._files.items():
            (self.config / name).write_text(f"{text}\n")
