"""``rbl import rbldnsd``: from data files to listings."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rbl.cli import importing
from rbl.store import audit, journal
from rbl.store.engine import Store
from tests.cli.conftest import Ran

FILE = """\
$SOA 0 a.example h.example 0 1h 1h 1h 1h
:2:Listed, see https://list.example/$
5.0.0.1
10.0.0.1
5.0.1.0/30
!5.0.1.1
garbage
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data file, two lines of which cannot be listed."""
    file = tmp_path / "data"
    file.write_text(FILE, encoding="utf-8")
    return file


def exported(rbl: Callable[..., Ran]) -> list[str]:
    """Return what is listed, a line for each."""
    return sorted(rbl("export", "csv").out.splitlines()[1:])


def test_lines_are_listed_and_refused(rbl: Callable[..., Ran], data: Path) -> None:
    """What can be listed is, and every other line is told with its number and reason."""
    ran = rbl("import", "rbldnsd", "relays.example:ip4set:data")

    assert "relays.example: 3 listed, 2 refused\n" == ran.out
    assert [
        "refused: file data(4): reserved: private use (RFC 1918)",
        "refused: file data(7): invalid address",
    ] == ran.err.splitlines()
    assert 0 == ran.status
    text = '"Listed, see https://list.example/{address}"'
    assert [
        f"5.0.0.1/32,open-relay,127.0.0.2,{text},no",
        f"5.0.1.0/32,open-relay,127.0.0.2,{text},no",
        f"5.0.1.2/31,open-relay,127.0.0.2,{text},no",
    ] == exported(rbl)


def test_a_dry_run_changes_nothing(rbl: Callable[..., Ran], data: Path) -> None:
    """Without being carried out the import says what it would do."""
    ran = rbl("import", "rbldnsd", "--dry-run", "relays.example:ip4set:data")

    assert "relays.example: 3 would be listed, 2 refused\n" == ran.out
    assert [] == exported(rbl)


def test_again(rbl: Callable[..., Ran], data: Path) -> None:
    """A second import of the same file lists nothing."""
    rbl("import", "rbldnsd", "relays.example:ip4set:data")

    assert (
        "relays.example: 0 listed, 3 were listed already, 2 refused\n"
        == rbl("import", "rbldnsd", "relays.example:ip4set:data").out
    )


def test_of_what_cannot_be_read_nothing_is_taken(rbl: Callable[..., Ran], data: Path) -> None:
    """A dataset that cannot be loaded is told and left out; what else there is goes in; the status is 1."""
    data.with_name("bad").write_text("5.0.9.1\n$TIMESTAMP 2037:01:01\n", encoding="utf-8")
    data.with_name("acl").write_text("5.0.9.1\n", encoding="utf-8")
    ran = rbl(
        "import",
        "rbldnsd",
        "relays.example:ip4set:bad",
        "relays.example:acl:acl",
        "relays.example:ip4set:none",
        "relays.example:ip4set:data,data",
    )

    assert (1, "relays.example: 3 listed, 7 refused\n") == (ran.status, ran.out)
    told = ran.err.splitlines()
    nothing = "nothing of which is imported: "
    assert told[0].startswith(f"refused: ip4set:bad, {nothing}file bad(2): data timestamp is")
    assert f"refused: acl:acl, {nothing}who may ask stands in the zone file, under [access]" == told[1]
    assert (
        f"refused: ip4set:none, {nothing}file none: unable to open file: No such file or directory"
        == told[2]
    )


def test_every_refused_line_goes_into_the_report(rbl: Callable[..., Ran], data: Path) -> None:
    """The terminal shows the first refused lines, the report has all of them."""
    data.write_text("garbage\n" * 50, encoding="utf-8")
    ran = rbl("import", "rbldnsd", "--report", "report", "relays.example:ip4set:data")
    without = rbl("import", "rbldnsd", "relays.example:ip4set:data")

    expected = [f"file data({number}): invalid address" for number in range(1, 51)]
    assert expected == data.with_name("report").read_text(encoding="utf-8").splitlines()
    assert [
        *(f"refused: {line}" for line in expected[:20]),
        "… 30 more refused; all of them are in report",
    ] == (ran.err.splitlines())
    assert "… 30 more refused; --report FILE has them all" == without.err.splitlines()[-1]


def test_one_reason_and_host_bits(rbl: Callable[..., Ran], data: Path) -> None:
    """A reason may be named for all values, and networks with host bits be taken."""
    data.write_text("5.0.2.9/24 :77:own\n", encoding="utf-8")
    ran = rbl("import", "rbldnsd", "-e", "--reason", "open-relay", "relays.example:ip4trie:data")

    assert "relays.example: 1 listed\n" == ran.out
    assert ["5.0.2.0/24,open-relay,127.0.0.2,own,no"] == exported(rbl)


def test_what_a_list_cannot_say_is_told(rbl: Callable[..., Ran], data: Path) -> None:
    """What is lost although its line could be read is told like a refused line."""
    data.write_text("5.0.2.9 :2:one\n5.0.2.9 :2:another\n", encoding="utf-8")
    ran = rbl("import", "rbldnsd", "relays.example:ip4set:data")

    assert "relays.example: 1 listed, 1 refused\n" == ran.out
    assert "refused: 127.0.0.2: of several texts for open-relay at one place one was kept\n" == ran.err


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("none.example:ip4set:data", "no zone file has the apex none.example: known are relays.example"),
        ("relays.example:ip5set:data", "unknown dataset type 'ip5set'"),
    ],
)
def test_arguments_that_mean_nothing(
    rbl: Callable[..., Ran], data: Path, argument: str, words: str
) -> None:
    """An argument that names no list of ours or no dataset is refused before anything is read."""
    ran = rbl("import", "rbldnsd", argument)

    assert 1 == ran.status
    assert words in ran.err


def test_an_unknown_reason_is_refused(rbl: Callable[..., Ran], data: Path) -> None:
    """A reason that the zone file does not have ends the command."""
    ran = rbl("import", "rbldnsd", "--reason", "none", "relays.example:ip4set:data")

    assert (1, True) == (ran.status, "'none' is no reason of relays.example" in ran.err)


def test_many_rows_move_the_bar(
    rbl: Callable[..., Ran], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal sees how far the import is."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = [f"5.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(1, 25_000, 2)]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ran = rbl("import", "rbldnsd", "relays.example:ip4set:data")

    assert importing.ROWS_AT_ONCE < len(lines)
    assert f"relays.example: {len(lines)} listed\n" == ran.out
    assert "reading ip4set:data" in ran.err


def fill(rbl: Callable[..., Ran], data: Path, first: int, count: int, *options: str) -> Ran:
    """List *count* addresses from number *first* on, none beside another."""
    numbers = range(2 * first, 2 * (first + count), 2)
    lines = [f"5.1.{number >> 8}.{number & 255}\n" for number in numbers]
    data.write_text("".join(lines), encoding="utf-8")
    return rbl("import", "rbldnsd", *options, "relays.example:ip4set:data")


def test_what_will_be_held_back_is_told(rbl: Callable[..., Ran], data: Path) -> None:
    """Before and after an import that servers hold back its share is told, and what lets it out."""
    first = fill(rbl, data, 0, 10)
    ran = fill(rbl, data, 5, 300)
    share = "295 changes to a list of 10 (2950%), and dns.max_change_share is 30%"
    listed, outcome = ran.out.splitlines()
    forced = re.search(r"rbl zone force relays.example --serial (\d+) --why TEXT$", outcome)

    assert "relays.example: 10 listed\n" == first.out
    assert f"relays.example: DNS servers will hold this import back: {share}\n" == ran.err
    assert "relays.example: 295 listed, 5 were listed already" == listed
    assert outcome.startswith(
        f"relays.example: none of it is in DNS, which answers from the list before: {share}."
    )
    assert forced is not None
    again = rbl("zone", "force", "relays.example", "--serial", forced[1], "--why", "looked at")
    assert f"relays.example is let out up to serial {forced[1]}\n" == again.out


def test_a_dry_run_tells_what_would_be_held_back(rbl: Callable[..., Ran], data: Path) -> None:
    """What is only tried out is told the same, and changes nothing."""
    fill(rbl, data, 0, 10)
    ran = fill(rbl, data, 10, 100, "--dry-run")

    share = "100 changes to a list of 10 (1000%), and dns.max_change_share is 30%"
    assert [
        "relays.example: 100 would be listed",
        f"relays.example: DNS servers would hold it back, unless with --force --why TEXT: {share}",
    ] == ran.out.splitlines()
    assert 10 == len(exported(rbl))
    assert "relays.example: 99 would be listed\n" == fill(rbl, data, 10, 99, "--dry-run").out


def test_import_and_letting_out_in_one(rbl: Callable[..., Ran], data: Path, tmp_path: Path) -> None:
    """With --force the change is let out in the same transaction, with a reason in the audit."""
    fill(rbl, data, 0, 10)
    ran = fill(rbl, data, 10, 200, "--force", "--why", "a list bought elsewhere")
    store = Store(f"sqlite:///{tmp_path}/rbl.db")
    with store.reading() as session:
        serial = journal.head(session, "relays.example")
        forced = journal.forced_serial(session, "relays.example")
        (row,) = [row for row in audit.deeds(session) if row.action == "force"]
    store.close()

    assert serial == forced
    assert f"let out on every DNS server, with all that came before it (up to serial {serial})" in ran.out
    assert ("shell", "a list bought elsewhere") == (row.actor, row.why)


@pytest.mark.parametrize("options", [("--force",), ("--why", "because")])
def test_to_force_needs_a_reason(rbl: Callable[..., Ran], data: Path, options: tuple[str, ...]) -> None:
    """Nothing is let out without a reason, and a reason alone lets nothing out."""
    ran = fill(rbl, data, 0, 10, *options)

    assert (1, [], True) == (ran.status, exported(rbl), "--force and --why TEXT go together" in ran.err)


def test_the_report_is_private(rbl: Callable[..., Ran], data: Path) -> None:
    """The refused lines are the user's alone."""
    data.write_text("garbage\n", encoding="utf-8")
    rbl("import", "rbldnsd", "--report", "report", "relays.example:ip4set:data")

    assert 0o100600 == data.with_name("report").stat().st_mode
