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
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from rbl.addresses import reversed_labels
from rbl.store import bulk, exemptions, journal, migrate
from rbl.store.engine import Store
from rbl.terms import Act
from tests.e2e import blocklist, needs
from tests.e2e.asking import Said, dig_each
from tests.e2e.hosts import Host, internet
from tests.e2e.nameservers import Named, Rbldnsd
from tests.e2e.unbound import Unbound

pytestmark = pytest.mark.xdist_group("exports")  # one start of all servers

LIST, NAMES, VISITED = "list.example", "names.example", "shop"
APEXES = (LIST, NAMES)
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
    ("2.0.0.0/16", "open-relay", "one digit each"),
    ("2.16.0.0/16", "open-relay", "two digits"),
)
EXEMPTED = ("198.51.100.66/32", "2001:db8:bad:1::/64")
LISTED_NAMES = (
    ("bad.shop", "open-relay", None),
    ("*.worse.shop", "open-relay", "all of them"),
    ("own.worse.shop", "chain", None),
    ("a.b.worse.shop", "open-relay", None),
    ("*.nearer.worse.shop", "chain", None),
)

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

# What a form cannot say.
_ANYTHING = "a wildcard stands for whatever is below it, also for a prefix and for what is no address"
_FIRST = "a wildcard has one text: of the network's first address, or of the name it stands below"
_CUT = "rbldnsd cuts a text to 255 octets"
_BLANK = "rbldnsd cuts blanks at a line's end"
_ABOVE = "rbldnsd denies the names above what is listed"
_MAPPED = "a master file would need a name for each; it has the test points'"
_WITHIN = "rbldnsd's text is about the IPv4 address"

# Of both lists, in the order of asking: what is asked for, and by server why its answer is another one.
_Why = Mapping[str, str]
SAME: _Why = {}
ABOVE: _Why = {"rbldnsd": _ABOVE}
BELOW: _Why = {"rbldnsd": _FIRST, "bind": _FIRST}
ADDRESSES: tuple[tuple[str, str, _Why], ...] = (
    ("a host", "192.0.2.1", SAME),
    ("two reasons", "192.0.2.2", SAME),
    ("two values and another TTL", "192.0.2.3", SAME),
    ("a text of two strings", "192.0.2.4", {"rbldnsd": _CUT}),
    ("quotes, backslashes, semicolons, dollars", "192.0.2.5", SAME),
    ("an equals sign first", "192.0.2.6", SAME),
    ("blanks around", "192.0.2.7", {"rbldnsd": _BLANK}),
    ("UTF-8", "192.0.2.8", SAME),
    ("no comment", "192.0.2.9", SAME),
    ("no parameters", "192.0.2.10", SAME),
    ("not listed", "192.0.2.11", SAME),
    ("in a network", "198.51.100.1", SAME),
    ("exempted in a network", "198.51.100.66", SAME),
    ("two reasons in a half of it", "198.51.100.129", SAME),
    ("in a /17", "10.0.2.3", SAME),
    ("beside it", "10.0.128.0", SAME),
    ("in an IPv6 network", "2001:db8:bad::1", {"bind": _FIRST}),
    ("exempted in an IPv6 network", "2001:db8:bad:1::5", SAME),
    ("two reasons in an IPv6 network", "2001:db8:bad:2::1", SAME),
    ("in a /35", "2001:db8:f000:1fff::1", SAME),
    ("beside it", "2001:db8:f000:2000::", SAME),
    ("in a /16 whose octets are nibbles", "2.0.0.5", SAME),
    ("in another third of it", "2.0.16.255", SAME),
    ("IPv6 in the same letters", "2000:db8::1", SAME),
    ("a test point", "127.0.0.2", SAME),
    ("another test point", "127.0.0.8", SAME),
    ("what is never listed", "127.0.0.1", SAME),
    ("a test point within IPv6", "::ffff:127.0.0.2", SAME),
    ("IPv4 within IPv6", "::ffff:192.0.2.1", {"bind": _MAPPED}),
    ("IPv4 within 6to4", "2002:c000:201::1", {"rbldnsd": _WITHIN, "bind": _MAPPED}),
)
OTHERS: tuple[tuple[str, str, _Why], ...] = (
    ("the apex", LIST, SAME),
    ("above a host", f"2.0.192.{LIST}", ABOVE),
    ("far above it", f"192.{LIST}", ABOVE),
    ("above a network with an exemption", f"100.51.198.{LIST}", ABOVE),
    ("within a network", f"5.0.10.{LIST}", ABOVE),
    ("above an IPv6 network", f"8.b.d.0.1.0.0.2.{LIST}", ABOVE),
    ("an IPv6 network", f"d.a.b.0.8.b.d.0.1.0.0.2.{LIST}", ABOVE),
    ("above nothing", f"11.{LIST}", SAME),
    ("below a host", f"x.1.2.0.192.{LIST}", SAME),
    ("no octet", f"300.2.0.192.{LIST}", SAME),
    ("no address in a network", f"x.5.0.10.{LIST}", {"bind": _ANYTHING}),
    ("a prefix in a network", f"5.16.2.{LIST}", {"rbldnsd": _ABOVE, "bind": _ANYTHING}),
    ("one that is written out", f"5.0.2.{LIST}", ABOVE),
    ("TEST", f"test.{NAMES}", SAME),
    ("INVALID", f"invalid.{NAMES}", SAME),
    ("a name", f"bad.shop.{NAMES}", SAME),
    ("below a name", f"x.bad.shop.{NAMES}", SAME),
    ("above a name", f"shop.{NAMES}", ABOVE),
    ("above a wildcard", f"worse.shop.{NAMES}", ABOVE),
    ("below a wildcard", f"x.worse.shop.{NAMES}", SAME),
    ("far below a wildcard", f"x.y.worse.shop.{NAMES}", SAME),
    ("a name below a wildcard", f"own.worse.shop.{NAMES}", SAME),
    ("below that", f"x.own.worse.shop.{NAMES}", SAME),
    ("between a wildcard and a name", f"b.worse.shop.{NAMES}", SAME),
    ("beside that name", f"x.b.worse.shop.{NAMES}", SAME),
    ("a wildcard below a wildcard", f"x.nearer.worse.shop.{NAMES}", BELOW),
    ("the name of that", f"nearer.worse.shop.{NAMES}", SAME),
)

# Below VISITED, what a resolver that follows both lists answers; None: that there is no such name.
FOLLOWED: tuple[tuple[str, str, str, list[str] | None], ...] = (
    ("nothing is listed", "www", "A", ["198.18.0.1"]),
    ("the address is listed", "listed", "A", None),
    ("its other types resolve", "listed", "TXT", []),
    ("one of its addresses is listed", "one-of-two", "A", None),
    ("the address is exempted", "exempted", "A", ["198.51.100.66"]),
    ("the address beside is listed", "beside", "A", ["192.0.2.66"]),
    ("an IPv6 network is listed", "listed6", "AAAA", None),
    ("an IPv6 network in it is exempted", "exempted6", "AAAA", ["2001:db8:bad:1::7"]),
    ("an IPv6 network beside is listed", "beside6", "AAAA", ["2001:db8:bae::7"]),
    ("what lists answer is let through", "loopback", "A", ["127.0.0.2"]),
    ("the name is listed", "bad", "A", None),
    ("the name above is listed", "x.bad", "A", ["198.18.0.1"]),
    ("a wildcard is listed below", "worse", "A", ["198.18.0.1"]),
    ("a wildcard is listed above", "x.worse", "A", None),
    ("and has a name of its own", "own.worse", "A", None),
    ("and something above a name", "b.worse", "A", None),
    ("and something beside a name", "x.b.worse", "A", None),
    ("and something below a name", "x.own.worse", "A", None),
)


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers, and from where they are asked."""

    hosts: Mapping[str, Host]
    written: Mapping[tuple[str, str], str]  # by form and apex
    bind: Named

    def ask(self, server: str, questions: list[tuple[str, str]], *arguments: str) -> list[Said]:
        """Return what the *server* at an address answers to *questions*."""
        said = dig_each(self.hosts["postmaster"], server, questions, *arguments)
        assert [len(questions), []] == [len(said), [one.text for one in said if one.faults]]
        return said


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The program with two lists, and the other servers with what it wrote out."""
    needs.decide(needs.missing())
    folder = tmp_path_factory.mktemp("exports")
    environment = _environment(folder)
    _fill(environment["RBL_DATABASE__URL"])
    written = _export(folder, environment)
    with internet(folder, PLAN, resolver=PLAN["unbound"][0]) as here, ExitStack() as stack:
        stack.enter_context(blocklist.serving(here["rbl"], environment["RBL_DATABASE__URL"], environment))
        stack.enter_context(Rbldnsd(here["rbldnsd"], {apex: written["rbldnsd", apex] for apex in APEXES}))
        masters = {apex: written["bind", apex] for apex in APEXES}
        policies = {f"{apex.split('.')[0]}.policy": written["rpz", apex] for apex in APEXES}
        zones = {**masters, **policies, VISITED: _VISITED}
        bind = stack.enter_context(Named(here["bind"], zones, list(policies)))
        stubs = {VISITED: here["bind"].address, LIST: here["rbl"].address, NAMES: here["rbl"].address}
        stack.enter_context(Unbound(here["unbound"], [], stubs, policies))
        yield Stage(here, written, bind)


def _environment(folder: Path) -> dict[str, str]:
    zones = [folder / f"{apex}.toml" for apex in APEXES]
    for zone, apex, kind in zip(zones, APEXES, ("addresses", "names"), strict=True):
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


def _rbl(*arguments: str, environment: Mapping[str, str]) -> None:
    argv = [sys.executable, "-m", "rbl", *arguments]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert (0, False) == (done.returncode, "Traceback" in done.stderr), done.stderr


def _export(folder: Path, environment: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Return every list in every form, as the command writes it."""
    wanted = [(form, apex) for form in FORMS for apex in APEXES]
    running = []
    for form, apex in wanted:
        argv = [sys.executable, "-m", "rbl", "export", form, apex, "-o", str(folder / f"{apex}.{form}")]
        running.append(subprocess.Popen(argv, env=environment))
    assert [0] * len(wanted) == [process.wait() for process in running]
    return {(form, apex): (folder / f"{apex}.{form}").read_text("utf-8") for form, apex in wanted}


def _named(subject: str) -> str:
    return f"{b'.'.join(reversed_labels(ip_address(subject))).decode()}.{LIST}"


def _heard(said: Said, rtype: str) -> tuple[str, list[str]]:
    """Return an answer without what is a server's own: recursion, name servers beside or twice."""
    own = {line for line in said.records if rtype == "NS" or line.split()[3] != "NS"}
    return said.head.removesuffix(" ra"), sorted(own)


@pytest.mark.root
@pytest.mark.parametrize("server", ["rbldnsd", "bind"])
def test_served_by_others(stage: Stage, server: str) -> None:
    """What was written out is answered as the program answers it, but for what the form cannot say."""
    rows = [*((why, _named(subject), differs) for why, subject, differs in ADDRESSES), *OTHERS]
    asked = [(why, name, rtype, differs) for why, name, differs in rows for rtype in ("A", "TXT")]
    asked += [("the apex", LIST, rtype, SAME) for rtype in ("SOA", "NS", "MX")]
    questions = [(name, rtype) for _, name, rtype, _ in asked]
    ours, theirs = (stage.ask(PLAN[each][0], questions, *QUIET) for each in ("rbl", server))
    expected, actual, other = [], [], set()
    for (why, name, rtype, differs), our, their in zip(asked, ours, theirs, strict=True):
        if server not in differs:
            expected.append((why, name, rtype, _heard(our, rtype)))
            actual.append((why, name, rtype, _heard(their, rtype)))
        elif _heard(our, rtype) != _heard(their, rtype):
            other.add((why, name))

    assert expected == actual
    assert {(why, name) for why, name, differs in rows if server in differs} == other


@pytest.mark.root
@pytest.mark.parametrize("resolver", [PLAN["unbound"][0], PLAN["bind"][1]], ids=["unbound", "bind"])
def test_followed_by_resolvers(stage: Stage, resolver: str) -> None:
    """Names that are listed, and names of addresses that are, do not resolve; all others do."""
    questions = [(f"{name}.{VISITED}", rtype) for _, name, rtype, _ in FOLLOWED]
    said = stage.ask(resolver, questions, "+rec", "+nocookie")
    actual = [
        (why, None if one.head.startswith("NXDOMAIN") else _data(one, rtype))
        for (why, _, rtype, _), one in zip(FOLLOWED, said, strict=True)
    ]

    assert [(why, expected) for why, _, _, expected in FOLLOWED] == actual


@pytest.mark.root
def test_lists_are_asked_through_resolvers_that_follow_them(stage: Stage) -> None:
    """What the lists themselves answer is no matter of the policies."""
    questions = [(_named("192.0.2.1"), "A"), (_named("192.0.2.11"), "A"), (f"bad.shop.{NAMES}", "A")]
    said = stage.ask(PLAN["unbound"][0], questions, "+rec", "+nocookie")

    assert [["127.0.0.2"], [], ["127.0.0.2"]] == [_data(one, "A") for one in said]


@pytest.mark.root
def test_master_files_are_sound(stage: Stage) -> None:
    """named-checkzone has nothing to say against a master file."""
    for apex in APEXES:
        said = stage.bind.run("named-checkzone", "-i", "none", apex, f"/run/config/{apex}")

        assert ["OK"] == said.splitlines()[1:], said


@pytest.mark.root
def test_taken_in_again(stage: Stage, tmp_path: Path) -> None:
    """What was written out for rbldnsd, taken in elsewhere, makes a list that is written out alike."""
    environment = _environment(tmp_path)
    for apex in APEXES:
        (tmp_path / apex).write_text(stage.written["rbldnsd", apex], encoding="utf-8")
        _rbl("import", "rbldnsd", f"{apex}:combined:{tmp_path / apex}", environment=environment)
    again = _export(tmp_path, environment)
    for apex in APEXES:
        before, after = (
            {line for line in written["bind", apex].splitlines() if " SOA " not in line}
            for written in (stage.written, again)
        )
        changed = {line.split()[0] for line in before ^ after}

        # The text that is cut, and the one with a blank behind.
        assert (set() if apex == NAMES else {"4.2.0.192", "7.2.0.192"}) == changed - {";"}


def _data(said: Said, rtype: str) -> list[str]:
    return sorted(line.split()[4] for line in said.records if line.split()[3] == rtype)
