"""What ``rbl export`` writes, served and followed by the programs it is written for.

One list of addresses and one of names are served by the program itself, and as they were written out by
rbldnsd and BIND: dig hears the same of all, but for what a form cannot say, which is named with its
reason. As response policy zones, Unbound and BIND follow them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import pytest

from rbl.addresses import parse_address, reversed_labels
from rbl.store import bulk, exemptions, journal, migrate
from rbl.store.engine import Store
from rbl.terms import Act
from tests.e2e import blocklist, needs
from tests.e2e.asking import Said, dig_each
from tests.e2e.hosts import Host, internet
from tests.e2e.nameservers import Named, Rbldnsd
from tests.e2e.unbound import Unbound

LIST, NAMES, VISITED = "list.example", "names.example", "shop"
FORMS = ("rbldnsd", "bind", "rpz")
PLAN = {
    "rbl": ("198.51.100.10", "198.51.100.11"),
    "rbldnsd": ("198.51.100.20",),
    "bind": ("198.51.100.30", "198.51.100.31"),  # at the second it follows the policies
    "unbound": ("203.0.113.53",),
    "postmaster": ("203.0.113.90",),
}
QUIET = ("+norec", "+noad", "+nocookie")

_ZONE = """\
apex = "{apex}"
kind = "{kind}"
url = "http://www.blocklist.example/a/{{address}}"
ttl_seconds = 900

[soa]
mname = "ns.blocklist.example"
rname = "host.master@blocklist.example"
ttl_seconds = 3600
minimum_seconds = 300

[ns]
names = ["ns.blocklist.example", "ns2.blocklist.example"]

[apex_records]
addresses = ["198.51.100.10"]
texts = ['about; "this" \\list']
mail_exchangers = [{{ preference = 10, name = "mx.blocklist.example" }}]

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2"]
text = "Open relay, see {{url}}"

[reasons.chain]
title = "Relay chain"
addresses = ["127.0.0.3", "127.0.0.8"]
ttl_seconds = 200
text = 'Chain; of "{{address}}" \\ costs $5 or $$'

[reasons.long]
title = "Long text"
addresses = ["127.0.0.4"]
text = "{long}"

[limits]
list_reserved = true
"""
_LONG = "caf\N{LATIN SMALL LETTER E WITH ACUTE} " * 60  # 360 octets
LISTED = (
    ("192.0.2.1/32", "open-relay", None),
    ("192.0.2.2/32", "open-relay", None),
    ("192.0.2.2/32", "chain", None),
    ("192.0.2.3/32", "chain", None),
    ("192.0.2.4/32", "long", None),
    ("192.0.2.5/32", "open-relay", r'say "\" ; # \065 ${address} $1 \\'),
    ("192.0.2.6/32", "open-relay", "=first"),
    ("192.0.2.7/32", "open-relay", " blank # and one behind "),
    ("192.0.2.8/32", "open-relay", "\N{SNOWMAN} {address}: \N{BALLOT X}"),
    ("192.0.2.9/32", "open-relay", "# no comment; {url}"),
    ("192.0.2.10/32", "open-relay", "@ts=1:delay=5m"),
    ("198.51.100.0/24", "open-relay", None),
    ("198.51.100.128/25", "chain", None),
    ("10.0.0.0/17", "open-relay", "a network"),
    ("2001:db8:bad::/48", "open-relay", None),
    ("2001:db8:bad:2::1/128", "chain", None),
    ("2001:db8:f000::/35", "open-relay", "a network"),
)
EXEMPTED = ("198.51.100.66/32", "2001:db8:bad:1::/64")
LISTED_NAMES = (
    ("bad.shop", "open-relay", None),
    ("*.worse.shop", "open-relay", "all of {address}"),
    ("own.worse.shop", "chain", None),
    ("a.b.worse.shop", "open-relay", None),
    ("*.nearer.worse.shop", "chain", None),
)

# What a form cannot say.
_HOSTS_ONLY = "a wildcard stands for every name below, and so for names that are no whole address"
_FIRST = "a master file has one text for a network: that of its first address"
_CUT = "rbldnsd cuts a text to 255 octets"
_MAPPED = "other servers know nothing of IPv4 within IPv6"
_NO_NAME = "rbldnsd denies names above what is listed"


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers, and from where they are asked."""

    hosts: Mapping[str, Host]
    written: Mapping[tuple[str, str], str]  # by form and apex
    unbound: Unbound

    def ask(self, server: str, questions: list[tuple[str, str]], *arguments: str) -> list[Said]:
        """Return what the *server* at an address answers to *questions*."""
        said = dig_each(self.hosts["postmaster"], server, questions, *arguments)
        assert [len(questions), []] == [len(said), [one.text for one in said if one.faults]]
        return said


@pytest.fixture(scope="module", params=[pytest.param("", marks=pytest.mark.xdist_group("exports"))])
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The program with two lists, and the other servers with what it wrote out."""
    needs.decide(needs.missing())
    folder = tmp_path_factory.mktemp("exports")
    environment = _environment(folder)
    _fill(environment["RBL_DATABASE__URL"])
    written = _export(folder, environment)
    hosts = internet(folder, PLAN, resolver=PLAN["unbound"][0])
    with ExitStack() as stack:
        here = stack.enter_context(hosts)
        stack.enter_context(blocklist.serving(here["rbl"], environment["RBL_DATABASE__URL"], environment))
        stack.enter_context(Rbldnsd(here["rbldnsd"], {apex: written["rbldnsd", apex] for apex in _APEXES}))
        masters = {apex: written["bind", apex] for apex in _APEXES}
        policies = {f"{apex.split('.')[0]}.policy": written["rpz", apex] for apex in _APEXES}
        zones = {**masters, **policies, VISITED: _VISITED}
        stack.enter_context(Named(here["bind"], zones, list(policies)))
        stubs = {VISITED: here["bind"].address, LIST: here["rbl"].address, NAMES: here["rbl"].address}
        unbound = stack.enter_context(Unbound(here["unbound"], [], stubs, policies))
        yield Stage(here, written, unbound)


_APEXES = (LIST, NAMES)


def _environment(folder: Path) -> dict[str, str]:
    zones = [folder / f"{apex}.toml" for apex in _APEXES]
    for zone, apex, kind in zip(zones, _APEXES, ("addresses", "names"), strict=True):
        zone.write_text(_ZONE.format(apex=apex, kind=kind, long=_LONG.strip()), encoding="utf-8")
    config = folder / "rbl.toml"
    config.touch()
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RBL_")},
        "RBL_CONFIG": str(config),
        "RBL_ZONES": ",".join(map(str, zones)),
        "RBL_DATABASE__URL": f"sqlite:///{folder}/rbl.db",
    }


def _fill(url: str) -> None:
    act = Act("test", "test", datetime.now(UTC))
    store = Store(url)
    migrate.upgrade(store)
    with store.writing() as session:
        for apex, rows in ((LIST, LISTED), (NAMES, LISTED_NAMES)):
            journal.open_zone(session, apex, act.at)
            bulk.add(session, apex, rows, act)
        for network in EXEMPTED:
            exemptions.add(session, ip_network(network), never_list=True, never_test=False, act=act)
    store.close()


def _export(folder: Path, environment: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return every list in every form, as the command writes it."""
    wanted = [(form, apex) for form in FORMS for apex in _APEXES]
    running = []
    for form, apex in wanted:
        argv = [sys.executable, "-m", "rbl", "export", form, apex, "-o", str(folder / f"{apex}.{form}")]
        running.append(subprocess.Popen(argv, env=environment))
    assert [0] * len(wanted) == [process.wait() for process in running]
    return {(form, apex): (folder / f"{apex}.{form}").read_text("utf-8") for form, apex in wanted}


_VISITED = f"""\
$TTL 60
@ SOA ns.{VISITED}. hostmaster.{VISITED}. 1 60 60 60 60
@ NS ns
* A 198.18.0.1
listed A 192.0.2.1
one-of-two A 198.18.0.1
one-of-two A 198.51.100.200
exempted A 198.51.100.66
beside A 192.0.2.66
listed6 AAAA 2001:db8:bad::7
exempted6 AAAA 2001:db8:bad:1::7
beside6 AAAA 2001:db8:bae::7
loopback A 127.0.0.2
"""

def test_probe(stage: Stage) -> None:
    def q(a):
        name = b".".join(reversed_labels(parse_address(a))).decode() if a[0].isdigit() else a
        return f"{name}.{LIST}".removeprefix(".")
    subjects = ["192.0.2.%d" % n for n in range(1, 12)] + ["198.51.100.1", "198.51.100.66", "198.51.100.129", "10.1.2.3", "10.0.200.1", "10.0.2.3",
      "2001:db8:bad::1", "2001:db8:bad:1::5", "2001:db8:bad:2::1", "2001:db8:f123::", "2001:db8:e123::", "127.0.0.2", "127.0.0.3", "127.0.0.1", "::ffff:127.0.0.2", "::ffff:192.0.2.1"]
    names = [(q(a) if ":" in a or a[0].isdigit() else a) for a in subjects] + [LIST] + [f"{p}.{LIST}" for p in ("2.0.192", "192", "100.51.198", "0.10", "8.b.d.0.1.0.0.2", "0.0.0.0.d.a.b.0.8.b.d.0.1.0.0.2", "d.a.b.0.8.b.d.0.1.0.0.2", "x.1.2.0.192", "300.2.0.192", "x.5.0.10", "5.0.10")]
    nn = [f"{n}.{NAMES}" for n in ("test", "invalid", "bad.shop", "x.bad.shop", "shop", "worse.shop", "x.worse.shop", "x.y.worse.shop", "own.worse.shop", "x.own.worse.shop", "a.b.worse.shop", "b.worse.shop", "x.b.worse.shop", "x.a.b.worse.shop", "nearer.worse.shop", "x.nearer.worse.shop")]
    qs = [(n, t) for n in names + nn for t in ("A", "TXT")] + [(LIST, t) for t in ("SOA", "NS", "MX", "AAAA")]
    ours = stage.ask(PLAN["rbl"][0], qs, *QUIET)
    for s in ("rbldnsd", "bind"):
        theirs = stage.ask(PLAN[s][0], qs, *QUIET)
        print("=====", s)
        for question, a, b in zip(qs, ours, theirs):
            if (a.head, sorted(a.records)) != (b.head, sorted(b.records)):
                print(question, a.head, b.head)
                for r in sorted(set(a.records) - set(b.records)): print("   -", r)
                for r in sorted(set(b.records) - set(a.records)): print("   +", r)
    assert 0
