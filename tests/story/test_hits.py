"""How often listings were asked about: from packets over the net to the table, the API and the page."""

from collections import Counter
from pathlib import Path

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query

from rbl.store import hits
from rbl.store.engine import Store
from tests.cli.process import Installation, Serving
from tests.dnspaths import DNS_PATHS

ZONE = "relays.example"
LISTED = {"192.0.2.0/24": ("1.2.0.192", "254.2.0.192"), "198.51.100.7/32": ("7.100.51.198",)}


def ask(process: Serving, name: str, rtype: str, *, tcp: bool = False) -> bool:
    """Ask for *name* and return whether the answer says "listed"."""
    query = dns_message.make_query(f"{name}.{ZONE}", rtype)
    send = dns_query.tcp if tcp else dns_query.udp
    return bool(send(query, process.dns.host, 30, process.dns.port).answer)


def send(process: Serving, key: str, network: str) -> None:
    """List *network*."""
    body = {"network": network, "reason": "open-relay", "why": "an exercise"}
    answer = httpx2.post(
        f"{process.web}/v1/listings", headers={"Authorization": f"Bearer {key}"}, json=body, timeout=30
    )
    assert answer.is_success, answer.text


@pytest.mark.parametrize("path", DNS_PATHS)
def test_no_hit_is_lost_at_a_stop(tmp_path: Path, database_url: str, path: str) -> None:
    """What was answered until a clean stop is in the table, to the last one, and shown at the next start.

    With the compiled path, that answers over UDP alone, what it counted and what the reference path
    answered over TCP are added up.
    """
    installation = Installation(
        tmp_path, {"RBL_DNS__PATH": path, "RBL_DNS__THREADS": "2", "RBL_DATABASE__URL": database_url}
    )
    told: Counter[str] = Counter()
    with installation.serving("--only", "dns,web") as process:
        key = process.first_key
        assert key is not None
        for network, names in LISTED.items():
            send(process, key, network)
            while not ask(process, names[0], "A"):
                pass  # the follower brings it within a moment
            told[network] += 1
            for name in names:
                for rtype, tcp in (("A", False), ("TXT", False), ("A", True), ("AAAA", False)):
                    told[network] += ask(process, name, rtype, tcp=tcp)
        ask(process, "1.100.51.198", "A")
        ask(process, "2.0.0.127", "A")
        assert 0 == process.end()
    store = Store(database_url)
    with store.reading() as session:
        kept = hits.of_subjects(session, ZONE, LISTED)
    store.close()
    with installation.serving("--only", "web") as process:
        header = {"Authorization": f"Bearer {key}"}
        shown = httpx2.get(f"{process.web}/v1/listings", headers=header, timeout=30).json()["listings"]
        page = httpx2.get(f"{process.web}/a/192.0.2.77", timeout=30).text
        assert 0 == process.end()

    assert {"192.0.2.0/24": 7, "198.51.100.7/32": 4} == told
    assert told == {subject: view.hits for subject, view in kept.items()}
    assert list(told.items()) == [(each["network"], each["hits"]) for each in shown]
    assert "7 times since" in page
