"""The index on disk: what is written is read again, and what is damaged is refused."""

import dataclasses
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.errors import BadInput, NotFound
from rbl.terms import Change, Mark
from rbl.zone import snapshot
from rbl.zone.flatten import Counts
from rbl.zone.index import AnswerSet, Index, compile_index
from rbl.zone.listednames import NameTable
from rbl.zone.ranges import Base
from rbl.zone.zonefile import Limits, Reason, ZoneFile
from tests.zone.lists import entry, exemption, listing

ZoneWith = Callable[..., ZoneFile]
ASKED = [
    ip_address(text)
    for text in [
        "203.0.113.9",
        "203.0.113.8",
        "9.9.9.9",
        "8.1.1.1",
        "8.8.8.8",
        "2001:4860::1",
        "2001:4861::1",
        "127.0.0.1",
        "127.0.0.2",
        "127.0.0.3",
    ]
]


def answers(index: Index) -> list[AnswerSet | None]:
    """Return what *index* answers for each of a few addresses."""
    return [index.find_address(address) for address in ASKED]


@pytest.fixture
def whole(zone: ZoneFile) -> Index:
    """A list with something of everything, partly compiled and partly followed."""
    compiled = compile_index(
        zone,
        4,
        [
            listing("203.0.113.9/32", text="own"),
            listing("9.9.9.9/32"),
            listing("9.9.9.9/32", "multihop"),
            listing("2001:4860::/32"),
            listing("1.1.1.1/32", "forgotten"),
            listing("nonsense"),
            exemption("8.8.0.0/16"),
        ],
    )
    return compiled.apply(
        [
            entry(5, Change.LISTED, "8.0.0.0/8", "multihop"),
            entry(6, Change.LISTED, "203.0.113.0/24"),
            entry(7, Change.LISTED, "2001:4861::/64"),
        ]
    )


def test_what_is_written_is_read(tmp_path: Path, whole: Index, zone: ZoneFile) -> None:
    """An index read from disk answers, counts and goes on like the one that was written."""
    snapshot.write(whole, tmp_path / "list.index")
    again = snapshot.read(tmp_path / "list.index", zone)
    more = [entry(8, Change.DELISTED, "9.9.9.9/32"), entry(9, Change.LISTED, "8.8.0.1/32", text="new")]

    for one, other in ((whole, again), (whole.apply(more), again.apply(more))):
        assert answers(one) == answers(other)
        assert (one.serial, one.live(), one.exempt(), one.ignored()) == (
            other.serial, other.live(), other.exempt(), other.ignored(),
        )  # fmt: skip


def test_an_empty_list_is_written_and_read(tmp_path: Path, zone: ZoneFile) -> None:
    """A list without listings has its test points after a start from disk."""
    snapshot.write(compile_index(zone, 0, []), tmp_path / "list.index")
    again = snapshot.read(tmp_path / "list.index", zone)

    assert (0, 0) == (again.serial, again.live())
    assert again.find_address(IPv4Address("127.0.0.2")) is not None


def test_a_list_of_names_is_written_and_read(tmp_path: Path, name_zone: ZoneFile) -> None:
    """Names and wildcards come back from disk."""
    rows = [listing("spam.example"), listing("*.wild.example", "multihop"), exemption("ham.wild.example")]
    snapshot.write(compile_index(name_zone, 3, rows), tmp_path / "list.index")
    again = snapshot.read(tmp_path / "list.index", name_zone)
    names = [(b"spam", b"example"), (b"x", b"wild", b"example"), (b"ham", b"wild", b"example"), (b"test",)]

    assert [True, True, False, True] == [again.find_name(name) is not None for name in names]
    assert (2, 1, 3) == (again.live(), again.exempt(), again.serial)


def test_with_another_zone_file_the_listings_are_answered_anew(
    tmp_path: Path, whole: Index, zone_with: ZoneWith
) -> None:
    """After a change of the zone file the listings on disk answer what it says now."""
    value = IPv4Address("127.0.0.9")
    changed = zone_with(reasons=(Reason("forgotten", (value,), "Back again", 60, "Back"),))
    snapshot.write(whole, tmp_path / "list.index")
    again = snapshot.read(tmp_path / "list.index", changed)
    found = again.find_address(ip_address("1.1.1.1"))

    assert found is not None
    assert ((value,), ("Back again",), 60) == (found.values, found.texts, found.ttl_seconds)
    assert [None, None] == [again.find_address(ip_address(text)) for text in ("9.9.9.9", "2001:4860::1")]
    assert (1, 7) == (again.live(), again.serial)


def test_writing_replaces_the_old_file_at_once(tmp_path: Path, whole: Index, zone: ZoneFile) -> None:
    """An index mapped from the old file goes on answering, and nothing else is left in the directory."""
    path = tmp_path / "list.index"
    snapshot.write(whole, path)
    old = snapshot.read(path, zone)
    snapshot.write(compile_index(zone, 99, []), path)

    assert [path] == list(tmp_path.iterdir())
    assert answers(whole) == answers(old)
    assert 99 == snapshot.read(path, zone).serial


@pytest.mark.parametrize("spoilt", [b"", b"\xff" * 100_000])
def test_what_is_read_is_the_readers_own(
    tmp_path: Path, whole: Index, zone: ZoneFile, spoilt: bytes
) -> None:
    """Whoever writes into the file, or cuts it, changes nothing of an index that was read from it."""
    path = tmp_path / "list.index"
    snapshot.write(whole, path)
    again = snapshot.read(path, zone)
    with path.open("r+b") as file:  # not a new file, as a careful writer makes one
        file.write(spoilt)
        file.truncate(max(len(spoilt), 4096))

    assert answers(whole) == answers(again)


def test_memory_is_taken_for_no_more_than_the_index(tmp_path: Path, whole: Index, zone: ZoneFile) -> None:
    """A file that something made a terabyte long is read as far as its header says."""
    path = tmp_path / "list.index"
    snapshot.write(whole, path)
    os.truncate(path, 2**40)

    assert answers(whole) == answers(snapshot.read(path, zone))


def test_a_pipe_is_no_index(tmp_path: Path, zone: ZoneFile) -> None:
    """What would hold up the start for ever is refused."""
    os.mkfifo(tmp_path / "list.index")

    with pytest.raises(BadInput, match="it is no file"):
        snapshot.read(tmp_path / "list.index", zone)


def test_the_history_is_written_and_read(tmp_path: Path, zone: ZoneFile, zone_with: ZoneWith) -> None:
    """An index on disk says which journal it follows; one of the format before does not, and is read."""
    path = tmp_path / "list.index"
    snapshot.write(compile_index(zone, 7, [listing("9.9.9.9/32")], "its chain"), path)
    marks = [
        snapshot.read(path, file).mark for file in (zone, zone_with(limits=Limits(widest_ipv4_prefix=9)))
    ]
    content = _with_header(path.read_bytes(), b', "chain": "its chain"', b"")
    path.write_bytes(content[:8] + struct.pack("<I", 2) + content[12:])
    before = snapshot.read(path, zone)

    assert [Mark(7, "its chain")] * 2 == marks
    assert (Mark(7, ""), 1) == (before.mark, before.live())


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, whole: Index) -> None:
    """Where the file cannot be put in place, the fault is raised and the temporary file is gone."""
    path = tmp_path / "list.index"
    (path / "in the way").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        snapshot.write(whole, path)
    assert [path] == list(tmp_path.iterdir())


def test_a_missing_file_is_told_apart(tmp_path: Path, zone: ZoneFile) -> None:
    """That there is no index on disk yet is no damage."""
    with pytest.raises(NotFound, match="there is no index on disk"):
        snapshot.read(tmp_path / "none.index", zone)


def _with_header(content: bytes, old: bytes, new: bytes) -> bytes:
    """Return *content* with a changed header whose checksum is right."""
    magic, version, octets, _ = struct.unpack_from("<8sIQI", content)
    header = content[24 : 24 + octets]
    assert old in header
    changed = header.replace(old, new, 1).ljust(octets)[: max(octets, len(header) - len(old) + len(new))]
    return (
        struct.pack("<8sIQI", magic, version, len(changed), zlib.crc32(changed))
        + changed
        + content[24 + octets :]
    )


DAMAGE: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("empty", lambda _: b"", "it is cut off"),
    ("a few octets", lambda content: content[:10], "it is cut off"),
    ("cut in the header", lambda content: content[:100], "it is cut off"),
    ("cut in a section", lambda content: content[:-100], "it is cut off"),
    ("something else", lambda content: b"x" + content[1:], "it is no index"),
    (
        "another version",
        lambda content: content[:8] + struct.pack("<I", 1) + content[12:],
        "its format is 1, and this program reads 3",
    ),
    ("a bit in the header", lambda content: content[:30] + b"~" + content[31:], "its header is damaged"),
    (
        "a bit in a section",
        lambda content: content.replace(b'["open-relay", "own"]', b'["open-relay", "OWN"]', 1),
        "its section words is damaged",
    ),
    (
        "another list",
        lambda content: _with_header(content, b"relays.example", b"zelays.example"),
        "it is of the addresses in zelays.example, not the addresses in relays.example",
    ),
    (
        "another kind",
        lambda content: _with_header(content, b'"addresses"', b'"names"    '),
        "it is of the names in relays.example, not the addresses in relays.example",
    ),
    (
        "another machine",
        lambda content: _with_header(content, b'"little"', b'"middle"'),
        "it was written on a middle-endian machine",
    ),
    (
        "a field too few",
        lambda content: _with_header(content, b'"serial"', b'"cereal"'),
        "its parts do not fit",
    ),
    ("no JSON", lambda content: _with_header(content, b"{", b"["), "its parts do not fit"),
    (
        "a section too few",
        lambda content: _with_header(content, b'"ipv4.cause"', b'"ipv5.cause"'),
        "its parts do not fit",
    ),
]


@pytest.mark.parametrize(("damage", "message"), [row[1:] for row in DAMAGE], ids=[row[0] for row in DAMAGE])
def test_a_damaged_file_is_refused(
    tmp_path: Path, whole: Index, zone: ZoneFile, damage: Callable[[bytes], bytes], message: str
) -> None:
    """Whatever is wrong with the file is said, and nothing is answered from it."""
    path = tmp_path / "list.index"
    snapshot.write(whole, path)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(BadInput) as refusal:
        snapshot.read(path, zone)
    assert refusal.value.message.startswith(f"{path}: the index on disk cannot be used: ")
    assert message in refusal.value.message


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_any_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, zone: ZoneFile, data: st.DataObject
) -> None:
    """Wherever octets are changed, the file is refused or answers as before."""
    path = tmp_path_factory.mktemp("fuzz") / "list.index"
    index = compile_index(zone, 1, [listing("203.0.113.9/32")])
    snapshot.write(index, path)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, 4000) | st.integers(0, len(content) - 9))
    content[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(content)
    try:
        again = snapshot.read(path, zone)
    except BadInput:
        return

    assert answers(index) == answers(again)


def _with_base(index: Index, base: Base) -> Index:
    """Return *index* with *base* for its IPv4 addresses."""
    return replace(index, ipv4=replace(index.ipv4.folded(), base=base))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda base: replace(base, answer=base.answer + 99), "answer sets that there are not"),
        (lambda base: replace(base, answer=base.answer[:-1]), "more keys than answers"),
        (lambda base: replace(base, answer=base.answer.astype(np.uint64)), "numbers too large for any"),
        (lambda base: replace(base, row_offsets=base.row_offsets[:-1]), "a block too few"),
        (lambda base: replace(base, row_offsets=base.row_offsets + 1), "the first block begins too late"),
        (lambda base: replace(base, range_offsets=base.range_offsets[::-1]), "blocks that go backwards"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    tmp_path: Path, whole: Index, zone: ZoneFile, change: Callable[[Base], Base], reason: str
) -> None:
    """A file whose checksums are right and whose arrays are not is refused as well."""
    snapshot.write(_with_base(whole, change(whole.ipv4.folded().base)), tmp_path / "list.index")

    with pytest.raises(BadInput, match="its parts do not fit together"):
        snapshot.read(tmp_path / "list.index", zone)
    assert reason


def test_a_name_that_is_none_is_refused(tmp_path: Path, name_zone: ZoneFile) -> None:
    """A file whose checksums are right and whose names are not is refused as well."""
    wrong = NameTable({(b"a b",): (1,)}, {}, {}, Counts(1, 0, 0))
    index = replace(compile_index(name_zone, 1, [listing("spam.example")]), names=wrong)
    snapshot.write(index, tmp_path / "list.index")

    with pytest.raises(BadInput, match="its parts do not fit together"):
        snapshot.read(tmp_path / "list.index", name_zone)


def test_keys_are_written_and_read(tmp_path: Path, zone: ZoneFile) -> None:
    """The customers' keys are on disk too, also where the zone file has changed since."""
    keyed = compile_index(zone, 0, []).apply([entry(1, Change.KEYED, "ab" * 32)])
    snapshot.write(keyed, tmp_path / "list.index")
    changed = dataclasses.replace(zone, ttl_seconds=1)

    assert [{"ab" * 32}, {"ab" * 32}] == [
        snapshot.read(tmp_path / "list.index", file).keys for file in (zone, changed)
    ]
