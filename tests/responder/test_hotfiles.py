"""The compiled path over rbldnsd's data files: no answer differs, and the common ones are given there.

Not collected where it was not built (conftest.py).
"""

import contextlib
import gc
import os
import random
import socket
import struct
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from rbl.config import Dns, Listen
from rbl.responder import _hotpath, filezones
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome
from rbl.responder.counters import CountedElsewhere, Counters
from rbl.responder.hotfiles import HotFiles
from rbl.responder.hotpath import HotUdpServer
from rbl.responder.server import Hot, Server
from tests.responder import recorded
from tests.responder.differential import mutated, query
from tests.responder.filedifferential import (
    CLIENTS,
    FILES,
    SECOND,
    ZONES,
    FileWorld,
    asked,
    compare_mutated,
    differing,
    make_world,
    odd_queries,
    seeds,
)
from tests.responder.lists import NOW
from tests.responder.madeup import MadeUp
from tests.responder.presentation import make_query, show

MUTATED = 50_000
_MADE_UP = 60  # sets of files; more are held to rbldnsd itself in tests/e2e
_HEADER = (
    "$SOA 300 ns1.bl.test hostmaster.bl.test 1 1h 15m 1w 5m\n$NS 1d ns1.bl.test ns2.bl.test\n$TTL 600\n"
)
_PLAIN = f"{_HEADER}127.0.0.2 :2:Listed $\n"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> FileWorld:
    """Files of every kind, asked by both paths."""
    return make_world(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> FileWorld:
    """The same where the server tells its name, answers are short, and name servers are left out."""
    dns = Dns(server_id="ns1.example.org", max_udp_octets=600)
    return make_world(tmp_path_factory.mktemp("told"), ["-a", *ZONES], dns=dns)


# --- the same answers ----------------------------------------------------------------------------


@pytest.mark.unmeasured
@pytest.mark.parametrize("which", ["world", "told"])
def test_every_sort_of_query(which: str, request: pytest.FixtureRequest) -> None:
    """Queries for all that stands in the files, and much that does not: no answer differs."""
    world: FileWorld = request.getfixturevalue(which)
    outcomes = set()
    differences = []
    for packet in (*seeds(), *odd_queries()):
        outcome, difference = differing(world, packet)
        outcomes.add(outcome)
        differences += [difference] if difference else []

    assert [] == differences[:3]
    assert {
        None,
        Outcome.REFUSED,
        Outcome.APEX,
        Outcome.LISTED,
        Outcome.NODATA,
        Outcome.NXDOMAIN,
    } == outcomes


@pytest.mark.unmeasured
def test_spoiled_queries(world: FileWorld) -> None:
    """Of 50,000 changed queries none is answered otherwise (`make fuzz` takes more)."""
    outcomes, differences = compare_mutated(world, MUTATED, 5782)

    assert [] == differences
    assert MUTATED / 5 < MUTATED - outcomes[None]


@pytest.mark.parametrize("name", recorded.names())
def test_recorded_cases(name: str, tmp_path: Path) -> None:
    """What rbldnsd itself was asked is answered as the reference path does, which is held to rbldnsd."""
    case = recorded.read(name)
    world = make_world(tmp_path, case.arguments[2:], case.record["files"])
    packets = [recorded.ask(asked) for asked in case.record["asked"]]

    assert [] == [told for packet in packets if (told := differing(world, packet)[1])]


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(_MADE_UP))
def test_made_up_files(seed: int, tmp_path: Path) -> None:
    """Whatever stands in the files, and whatever goes together in a zone: no answer differs."""
    made, chance = MadeUp(seed), random.Random(seed)
    world = make_world(tmp_path, made.arguments, made.files)
    packets = [chance.randbytes(2) + packet[2:] for packet in asked(made)]
    packets += [mutated(packet, chance) for packet in packets]

    assert [] == [told for packet in packets if (told := differing(world, packet, now=NOW)[1])][:3]


_LABELS = st.one_of(
    st.integers(0, 256).map(lambda number: str(number).encode()),
    st.sampled_from([*"0123456789abcdefABCDEF", "00", "01", "test", "*", "com", "www", "10", "127"]).map(
        str.encode
    ),
    st.binary(min_size=1, max_size=63).map(lambda label: label.replace(b".", b"-")),
)
_NAMES = st.one_of(
    st.lists(_LABELS, max_size=6),
    st.lists(st.sampled_from("0123456789abcdef").map(str.encode), min_size=1, max_size=33),
)
_APEXES = st.sampled_from(sorted({zone.partition(":")[0].encode() for zone in ZONES}))


@pytest.mark.unmeasured
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_NAMES, _APEXES, st.integers(0, 300), st.randoms(use_true_random=False))
def test_made_queries(
    world: FileWorld, labels: list[bytes], apex: bytes, rtype: int, chance: random.Random
) -> None:
    """Any name in any zone, of any type: no answer differs."""
    assert "" == differing(world, query(b".".join([*labels, apex]), rtype, chance))[1]


def test_name_servers_and_records_take_turns(world: FileWorld) -> None:
    """Whatever the number of a query, records come in the same order from both paths."""
    packets = [
        struct.pack("!H", number) + make_query(f"{name}. IN {rtype} edns udp=4096")[0][2:]
        for name in (
            "1.0.9.10.four.test",
            "generic.test",
            "many.generic.test",
            "www.mix.test",
            "servers.test",
        )
        for rtype in ("A", "TXT", "ANY", "NS", "MX")
        for number in (0, 1, 2, 3, 7, 99, 65535)
    ]
    found = [differing(world, packet) for packet in packets]

    assert [] == [told for _, told in found if told]
    assert None not in {outcome for outcome, _ in found}


@pytest.mark.unmeasured
def test_whatever_fits_is_told(world: FileWorld) -> None:
    """At every size from 512 on the same is left out: glue first, then name servers, then all of it."""
    differences, flags = [], Counter[tuple[bool, int, int]]()
    for name in ("2.0.0.127.servers.test", "1.0.0.10.servers.test", "4.0.9.10.four.test", "many.mix.test"):
        for rtype in ("A", "TXT", "ANY"):
            for size in range(500, 2100, 9):
                packet = make_query(f"{name}. IN {rtype} edns udp={size}")[0]
                differences += [told for told in [differing(world, packet)[1]] if told]
                got = world.hot_files.generation.answer(packet, b"\x7f\0\0\1", NOW)
                assert got is not None
                assert got[0] is not None
                message = dns.message.from_wire(got[0])
                flags[bool(got[0][2] & 2), bool(message.authority), bool(message.additional)] += 1

    assert [] == differences[:3]
    assert {(True, False, False), (False, False, False), (False, True, False), (False, True, True)} <= set(
        flags
    )


# --- what is answered here, and what is not ------------------------------------------------------

_NIBBLES = ".".join(reversed("20010db8000100000000000000000025"))


@pytest.mark.parametrize("edns", ["", "edns", "do", "rd cd udp=4096"])
@pytest.mark.parametrize(
    "name",
    [
        "2.0.0.127.four.test", "9.9.9.9.four.test", "0.0.127.four.test", "four.test", "1.0.9.10.four.test",
        "2.0.0.127.FOUR.test", "9.1.0.10.trie.test", "2.0.0.127.tset.test", f"{_NIBBLES}.six.test",
        f"{_NIBBLES[16:]}.six.test", f"{_NIBBLES}.both.test", f"{_NIBBLES}.mix.test", "sixset.test",
        "1.0.0.10.mix.test", "9.9.9.9.mix.test", "www.mix.test", "nowhere.mix.test", "mix.test",
        "example.com.names.test", "x.wild.test.names.test", "example.org.names.test", "names.test",
        "a.hashed.test.hashed.test", "generic.test", "www.generic.test", "deep.er.name.generic.test",
        "1.0.0.10.combined.test", "2.0.0.127.dated.test", "2.0.0.127.plain.test", "example.com.every.test",
        "9.9.9.9.twice.test", "www.example.org",
    ],
)  # fmt: skip
def test_what_resolvers_send_is_answered_here(world: FileWorld, name: str, edns: str) -> None:
    """None of the queries that resolvers send is left to the reference path."""
    # Where the files have no SOA its question is refused, up there.
    types = (
        ("A", "TXT", "AAAA", "MX", "HTTPS") if name == "plain.test" else ("A", "TXT", "AAAA", "ANY", "NS")
    )
    packets = [make_query(f"{name}. IN {rtype} {edns}")[0] for rtype in types]
    answers = [world.hot_files.generation.answer(packet, b"\x7f\0\0\1", NOW) for packet in packets]

    assert None not in answers


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("2.0.0.127.guarded.test", "an acl says who may ask"),
        ("2.0.0.127.keyed.test", "a key may be asked for"),
        ("2.0.0.127.old.test", "the data have expired"),
        ("1.0.0.10.sub.combined.test", "a sub-zone"),
        ("listed.test.names.combined.test", "a sub-zone"),
        ("2.0.0.10.every.test", "an address, and a name"),
        ("2.0.0.127.mix.test", "an ordinary record where an address is listed"),
        ("hashed.test.twice.test", "one of two sets of names"),
        ("1.2.0.192.trie.test", "an entry that waits for its time"),
        ("soaless.test", "there is no SOA to tell"),
        (".".join(reversed("20020a00000100000000000000000001")) + ".both.test", "two tables"),
        (".".join(reversed("00000000000000000000ffff7f000002")) + ".six.test", "mapped, and no IPv4"),
    ],
)
def test_what_is_left_to_the_reference_path(world: FileWorld, name: str, why: str) -> None:
    """What the compiled path does not know about it hands up."""
    packet = make_query(f"{name}. IN SOA")[0]

    assert world.hot_files.generation.answer(packet, b"\x7f\0\0\1", NOW) is None, why


_ACL = """
127.0.0.0/8 :ignore
127.0.0.3 :pass
127.0.0.4 :empty
127.0.0.5 :refuse
127.0.0.6 :7:for you
2001:db8::/32 :refuse
2001:db8::3 :pass
"""


def _answered(world: FileWorld, packet: bytes) -> list[str]:
    """Return which of some clients get their answer here."""
    numbers = [f"127.0.0.{number}" for number in range(2, 7)]
    clients = [*numbers, "192.0.2.1", "2001:db8::2", "2001:db8::3", "2001:db9::"]
    generation = world.hot_files.generation
    return [each for each in clients if generation.answer(packet, ip_address(each).packed, NOW) is not None]


_LET_PASS = ["127.0.0.3", "192.0.2.1", "2001:db8::3", "2001:db9::"]


def test_an_acl_of_all_zones_is_asked_first(tmp_path: Path) -> None:
    """Whom it says anything to is answered elsewhere, whatever he asks; and the files are read again."""
    world = make_world(tmp_path, ["bl.test:ip4set:z", ":acl:a"], {"z": _PLAIN, "a": _ACL})
    packets = [make_query("2.0.0.127.bl.test. IN A")[0], make_query("other.test. IN A")[0], b"short"]
    before = [_answered(world, packet) for packet in packets]
    (tmp_path / "a").write_text("127.0.0.2 :pass\n0/0 :refuse\n", encoding="ascii")
    world.served.follower.follow(told=True)
    after = [_answered(world, packet) for packet in packets]

    assert ([_LET_PASS] * 3, [["127.0.0.2", "2001:db8::2", "2001:db8::3", "2001:db9::"]] * 3) == (
        before,
        after,
    )


def test_an_acl_of_one_zone(tmp_path: Path) -> None:
    """It is asked where the zone is: whom it lets pass is answered here, and so is who asks another."""
    arguments = ["bl.test:ip4set:z", "bl.test:acl:a", "open.test:ip4set:z"]
    world = make_world(tmp_path, arguments, {"z": _PLAIN, "a": _ACL})
    inside, outside = (make_query(f"2.0.0.127.{zone}. IN A")[0] for zone in ("bl.test", "open.test"))

    assert (_LET_PASS, 9) == (_answered(world, inside), len(_answered(world, outside)))


@pytest.mark.unmeasured
def test_spoiled_packets_with_an_acl_of_all_zones(tmp_path: Path) -> None:
    """Who is let pass gets the reference path's answer to whatever he sends."""
    world = make_world(tmp_path, [*ZONES, ":acl:all"], {**FILES, "all": _ACL})
    outcomes, differences = compare_mutated(world, 10_000, 5782)

    assert [] == differences
    assert {None, Outcome.LISTED, Outcome.NXDOMAIN, Outcome.DROPPED} <= outcomes.keys()


def test_nothing_is_answered_before_the_files_are_read(tmp_path: Path) -> None:
    """Until a catalogue was published every query is handed up; so is that for a zone not loaded."""
    served = recorded.Served(
        tmp_path, ["-b", "127.0.0.1/0", "bl.test:ip4set:z", "no.test:ip4set:n"], {"z": _PLAIN}
    )
    hot = HotFiles(served.follower.catalogue, filezones.Style(Dns()))
    packets = [make_query(f"2.0.0.127.{zone}. IN A")[0] for zone in ("bl.test", "no.test")]
    before = [hot.generation.answer(packet, b"\x7f\0\0\1", NOW) for packet in packets]
    served.follower.watch(hot.publish)
    after = [hot.generation.answer(packet, b"\x7f\0\0\1", NOW) is None for packet in packets]

    assert ([None, None], [False, True]) == (before, after)


def test_data_expire_while_they_are_served(tmp_path: Path) -> None:
    """From the second after the end in $TIMESTAMP on the reference path says SERVFAIL."""
    world = make_world(tmp_path, ["bl.test:ip4set:z"], {"z": f"$TIMESTAMP 2005:01:01 2024:05:01\n{_PLAIN}"})
    packet = make_query("2.0.0.127.bl.test. IN A")[0]
    end = 1_714_521_600 * SECOND
    answers = [world.hot_files.generation.answer(packet, b"\x7f\0\0\1", end + more) for more in (0, 1)]

    assert [False, True] == [answer is None for answer in answers]


# --- many answers, many names, and what is given back --------------------------------------------


@pytest.mark.parametrize("texts", [200, 300, 66_000])
def test_many_texts(texts: int, tmp_path: Path) -> None:
    """Where the numbers of answers take one octet, two or four, the right text is told."""
    lines = (f"7.{n >> 8 & 255}.{n & 255}.{n >> 16} :2:number {n} ${'$' * (n % 2)}\n" for n in range(texts))
    world = make_world(tmp_path, ["bl.test:ip4set:z"], {"z": _HEADER + "".join(lines)})
    chance = random.Random(texts)
    numbered = [(n, b"%d.%d.%d.7.bl.test" % (n >> 16, n & 255, n >> 8 & 255)) for n in range(0, texts, 97)]
    found = [differing(world, query(name, 16, chance)) for _, name in numbered]

    assert [] == [told for _, told in found if told]
    assert Outcome.LISTED in {outcome for outcome, _ in found}


def test_more_than_an_answer_has_room_for(tmp_path: Path) -> None:
    """Of an entry with very many texts, and a name with very many records, the reference path answers."""
    texts = "".join(f"127.0.0.2 :2:{number} $\n" for number in range(40))
    records = "".join(f"www A 10.{n >> 16}.{n >> 8 & 255}.{n & 255}\n" for n in range(70_000))
    files = {"z": texts + "127.0.0.3 $\n", "g": records}
    world = make_world(tmp_path, ["bl.test:ip4set:z", "g.test:generic:g"], files)
    names = ("2.0.0.127.bl.test", "3.0.0.127.bl.test", "www.g.test")
    packets = [make_query(f"{name}. IN TXT")[0] for name in names]

    assert [None, Outcome.LISTED, None] == [differing(world, packet)[0] for packet in packets]


def test_many_names(tmp_path: Path) -> None:
    """Each of many names is found, and none beside them."""
    lines = "".join(f"n{number}.test :2:$\n*.w{number}.test :3:$\n" for number in range(5000))
    world = make_world(tmp_path, ["bl.test:dnset:z"], {"z": _HEADER + lines})
    chance = random.Random(5)
    names = [f"{before}{number}.test.bl.test" for number in range(0, 5100, 37) for before in "nwx"]
    names += [f"sub.{name}" for name in names]
    found = [differing(world, query(name.encode(), 16, chance)) for name in names]

    assert [] == [told for _, told in found if told]


def test_what_did_not_change_is_kept(tmp_path: Path) -> None:
    """A zone whose files and glue are as they were is not made anew; the last generation goes."""
    files = {"a": _PLAIN, "b": _PLAIN}
    world = make_world(tmp_path, ["a.test:ip4set:a", "b.test:ip4set:b"], files)
    before = list(world.hot_files.generation.zones)
    old = weakref.ref(world.hot_files.generation)
    (tmp_path / "a").write_text(f"{_HEADER}127.0.0.9\n")
    os.utime(tmp_path / "a", (5, 5))
    world.served.follower.follow(told=True)
    after = list(world.hot_files.generation.zones)
    gc.collect()

    assert [False, True] == [first is second for first, second in zip(before, after, strict=True)]
    assert old() is None


def test_zones_of_one_kind_only(world: FileWorld) -> None:
    """Zones of files and zones of lists are answered otherwise: nobody puts them together."""
    rules = _hotpath.ClientRules(1232, b"", b"", b"", b"", None, b"")
    with pytest.raises(TypeError, match="two kinds"):
        _hotpath.Generation(rules, world.hot_files.generation.zones)


def test_a_name_that_is_too_long_is_refused() -> None:
    """What no question can ask for is no name."""
    names = _hotpath.FileNames(1, 0)
    with pytest.raises(ValueError, match="too long"):
        names.add(b"\x3f" + bytes(63) * 5, 2, 0, 0)


# --- sockets and counts --------------------------------------------------------------------------


@contextlib.contextmanager
def running(world: FileWorld, registry: CollectorRegistry) -> Iterator[socket.socket]:
    """Run both paths as the program does, and yield a socket that is connected to them."""

    def respond(packet: bytes, client: Client) -> Reply:
        return filezones.answer(packet, client, world.served.follower.catalogue, world.style, NOW / SECOND)

    server = Server([Listen("127.0.0.1", 0)], respond, Counters(registry), hot=Hot(world.hot_files, 2))
    server.start()
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect(server.bound[0])
            yield client
    finally:
        server.stop()


def test_queries_are_counted_by_zone(tmp_path: Path) -> None:
    """Outcomes and octets are counted for each zone, and in the metrics; not what is handed up."""
    files = {"z": _PLAIN, "a": "127.0.0.1 :refuse\n"}
    arguments = ["bl.test:ip4set:z", "up.test:ip4set:z", "up.test:acl:a"]
    world = make_world(tmp_path, arguments, files)
    registry = CollectorRegistry()
    sent = received = 0
    with running(world, registry) as client:
        for name in (
            "2.0.0.127.bl.test",
            "2.0.0.127.bl.test",
            "3.0.0.127.bl.test",
            "other.test",
            "up.test",
        ):
            packet = make_query(f"{name}. IN A")[0]
            client.send(packet)
            reply = client.recv(4096)
            if "bl" in name:
                sent, received = sent + len(packet), received + len(reply)
    by_zone = {counted.zone: counted for counted in world.hot_files.counted()}
    told = {
        zone: {outcome: count for outcome, count in counted.outcomes.items() if count}
        for zone, counted in by_zone.items()
    }
    labels = {"zone": "bl.test", "transport": "udp", "outcome": "listed"}

    assert {
        "": {Outcome.REFUSED: 1},
        "bl.test": {Outcome.LISTED: 2, Outcome.NXDOMAIN: 1},
        "up.test": {},
    } == told
    assert CountedElsewhere("bl.test", by_zone["bl.test"].outcomes, sent, received) == by_zone["bl.test"]
    assert 2 == registry.get_sample_value("rbl_dns_queries_total", labels)


def test_no_answer_is_lost_while_files_are_read_anew(tmp_path: Path) -> None:
    """Under load every query is answered while zones are swapped."""
    world = make_world(tmp_path, ["bl.test:ip4set:z"], {"z": _PLAIN})
    listed = make_query("2.0.0.127.bl.test. IN TXT")[0]
    done = threading.Event()
    answered = 0
    with running(world, CollectorRegistry()) as client:

        def reload() -> None:
            for turn in range(100):
                (tmp_path / "z").write_text(f"{_PLAIN}10.0.0.{turn}\n")
                os.utime(tmp_path / "z", (turn + 10, turn + 10))
                world.served.follower.follow(told=True)
            done.set()

        reading = threading.Thread(target=reload)
        reading.start()
        replies = set()
        while not done.is_set():
            for _ in range(16):
                client.send(listed)
            replies |= {show(client.recv(4096)) for _ in range(16)}
            answered += 16
        reading.join()

    assert 1 == len(replies)
    assert answered == sum(each.outcomes[Outcome.LISTED] for each in world.hot_files.counted())


def test_hits_are_of_lists_alone(tmp_path: Path) -> None:
    """Which listings are hit is not counted of data files."""
    world = make_world(tmp_path, ["bl.test:ip4set:z"], {"z": _PLAIN})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        server = HotUdpServer([bound], world.hot_files, lambda *_: None, Counters(CollectorRegistry()))
        server.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect(bound.getsockname())
            client.send(make_query("2.0.0.127.bl.test. IN A")[0])
            client.recv(4096)
        hits = server.take_hits()
        server.stop()

    assert {} == hits


def test_clients_do_not_matter(world: FileWorld) -> None:
    """Whoever asks gets the same where there is no acl."""
    packet = make_query("2.0.0.127.four.test. IN A")[0]

    assert 1 == len(
        {world.hot_files.generation.answer(packet, each.address.packed, NOW) for each in CLIENTS}
    )
