"""What ``rbl rbldnsd`` loads before it leaves Python's folders behind: all that it may ever need.

After ``-r`` there is no library, and after ``-u`` perhaps none that may be read. Python loads modules and
codecs when they are first used, numpy and others too; so what the daemon does later is named here, and a
test has it do everything in a tree with nothing in it.
"""

import codecs
import importlib
import pkgutil
import time

# Of names, texts, logs and syslog; of the host names that sockets are asked for.
_CODECS = ("ascii", "utf-8", "latin-1", "idna", "unicode_escape", "raw_unicode_escape")
_MODULES = (
    "gzip",
    "zlib",
    "linecache",  # of tracebacks
    "tokenize",
    "http.server",
    "prometheus_client.exposition",
    "rbl.cli.rbldnsdlogs",
    "rbl.responder.filefollower",
    "rbl.responder.filezones",
    "rbl.responder.handedup",
    "rbl.responder.server",
    "rbl.responder.tcp",
    "rbl.responder.udp",
)
_PACKAGES = ("rbl.zone.rbldnsd",)


def preload() -> None:
    """Load everything that answering, reading anew, logging and ending may need."""
    for name in _CODECS:
        codecs.lookup(name)
    for name in _MODULES:
        importlib.import_module(name)
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__, f"{name}."):
            importlib.import_module(module.name)
    time.tzset()  # the zone's file is not there later
