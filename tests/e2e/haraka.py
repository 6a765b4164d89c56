"""Haraka on a made-up host, from npm: its plugins, and the file of each in config/.

Without a plugin that takes recipients it takes none. What is taken for others goes out by itself.
"""

from collections.abc import Mapping

from tests.e2e.hosts import Host
from tests.e2e.servers import Server

# What Haraka brings, and misses where the folder is another.
_CONNECTION = """\
[haproxy]
hosts[] =
[headers]
max_lines=1000
max_received=100
[max]
bytes=26214400
mime_parts=1000
line_length=512
data_line_length=992
[message]
helo=Haraka is at your service.
close=closing connection. Have a jolly good day.
[uuid]
banner_chars=6
deny_chars=0
"""
_FILES = {
    "connection.ini": _CONNECTION,
    "loglevel": "INFO",
    "smtp.ini": "listen=0.0.0.0:25\nnodes=0\n",
    "outbound.ini": "disabled=false\nlocal_mx_ok=true\nenable_tls=false\n",
}


class Haraka(Server):
    """One Haraka; *files* are those of its config folder, over the usual ones."""

    package = "haraka"
    argv = ("node", "/usr/lib/haraka/node_modules/Haraka/bin/haraka", "-c", "/run/config")
    port = 25
    users: Mapping[str, int] = {}

    folders = ""

    def __init__(self, host: Host, hostname: str, files: Mapping[str, str]) -> None:
        super().__init__(host)
        self._files = {"me": hostname, "host_list": hostname.partition(".")[2], **_FILES, **files}

    def configure(self) -> None:
        """Write the files of the config folder, and the folders beside it."""
        for folder in ("config", "plugins", "queue"):
            (self.config / folder).mkdir(exist_ok=True)
        for name, text in self._files.items():
            if name.endswith(".js"):
                (self.config / "plugins" / name).write_text(text)
            else:
                (self.config / "config" / name).write_text(f"{text}\n")
