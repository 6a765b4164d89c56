"""nmap's smtp-open-relay beside the program: what a triage by answers alone says of the same hosts."""

import re
import subprocess

from tests.e2e.corpus.network import STRANGER_DOMAIN, STRANGER_NAME, THIRD_PARTY_DOMAIN, Place
from tests.e2e.hosts import Host

NAME = "nmap"
_COUNT = re.compile(r"Server is an open relay \((\d+)/(\d+) tests\)")
_TIMEOUT_SECONDS = 40


def ask(host: Host, place: Place) -> str:
    """Return "open 3/16", "closed" or "nothing", as nmap on *host* says of the host at *place*."""
    arguments = (
        f"smtp-open-relay.domain={THIRD_PARTY_DOMAIN}",
        f"smtp-open-relay.from=nmap@{STRANGER_DOMAIN}",
        f"smtp-open-relay.to=nmap@{THIRD_PARTY_DOMAIN}",
        f"smtp.domain={STRANGER_NAME}",
    )
    argv = ["nmap", "-Pn", "-n", "-sT", "-p25", "--script", "smtp-open-relay"]
    argv += ["--script-args", ",".join(arguments), "--host-timeout", f"{_TIMEOUT_SECONDS}s"]
    argv += ["-6"] if ":" in place.address else []
    done = subprocess.run(
        host.command([*argv, place.address]), capture_output=True, text=True, check=True, env=None
    )
    if found := _COUNT.search(done.stdout):
        return f"open {found[1]}/{found[2]}"
    return "closed" if "doesn't seem to be an open relay" in done.stdout else "nothing"
