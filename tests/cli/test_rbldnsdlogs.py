"""Queries and numbers as rbldnsd writes them down."""

import sys
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from rbl.cli.rbldnsdlogs import QueryLog, Statistics, query_line
from rbl.cli.rbldnsdoptions import LogFile
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.counters import CountedElsewhere

CLIENT = Client(ip_address("192.0.2.1"), Transport.UDP)


def _reply(name: str, rtype: str = "A", rclass: str = "IN", rcode: int = 0, key: str = "") -> Reply:
    message = dns.message.make_response(dns.message.make_query(name, rtype, rclass))
    message.set_rcode(dns.rcode.Rcode(rcode))
    return Reply(message.to_wire(), "bl.test", Outcome.LISTED, key)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (_reply("2.0.0.127.bl.test"), "9 192.0.2.1 2.0.0.127.bl.test A IN: NOERROR/0/35"),
        (_reply(".", "TYPE666", "CH", 5), "9 192.0.2.1 . type666 CH: REFUSED/0/17"),
        (_reply("x.test", "TXT", "CLASS9", 11, "key"), "9 192.0.2.1 x.test TXT class9: rcode11/0/24 key"),
        (Reply(None, "", Outcome.IGNORED), None),
        (Reply(bytes(12), "", Outcome.DECLINED), None),
    ],
)
def test_query_line(reply: Reply, expected: str | None) -> None:
    """A line has time, client, question, and what came of it; without a question there is none."""
    assert expected == query_line(reply, CLIENT, 9.5)


def test_a_log_that_is_flushed_or_kept(tmp_path: Path) -> None:
    """With + each line is written at once, else when the log is closed; before it is opened none is."""
    reply, line = _reply("a"), "9 192.0.2.1 a A IN: NOERROR/0/19\n"
    for plus, during in ((True, line), (False, "")):
        file = tmp_path / str(plus)
        log = QueryLog(LogFile(str(file), plus))
        log.write(reply, CLIENT, 9)
        log.reopen()
        log.write(reply, CLIENT, 9)

        assert during == file.read_text()
        log.close()
        assert line == file.read_text()


def test_no_log() -> None:
    """Without a log nothing is written."""
    log = QueryLog(None)
    log.reopen()
    log.write(_reply("a"), CLIENT, 9)
    log.close()


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """- is standard output, which stays open."""
    log = QueryLog(LogFile("-", plus=True))
    log.reopen()
    log.write(_reply("a"), CLIENT, 9)
    log.close()
    sys.stdout.write("more\n")

    assert "9 192.0.2.1 a A IN: NOERROR/0/19\nmore\n" == capsys.readouterr().out


def test_a_full_disk_loses_lines_only() -> None:
    """What cannot be written is lost, at once or at the end."""
    for plus in (True, False):
        log = QueryLog(LogFile("/dev/full", plus))
        log.reopen()
        log.write(_reply("a"), CLIENT, 9)
        log.close()


def test_numbers() -> None:
    """Numbers are of each zone and of all together; + has what came since the last line."""
    all_of_it, since = (Statistics(["bl.test"], relative=relative) for relative in (False, True))
    lines: list[str] = []
    for numbers in (all_of_it, since):
        for reply in (
            Reply(bytes(50), "bl.test", Outcome.LISTED),
            Reply(bytes(40), "bl.test", Outcome.NXDOMAIN),
            Reply(None, "", Outcome.DROPPED),
        ):
            numbers.count(reply, 30)
        lines.append(numbers.line(7.5))
        numbers.count(Reply(bytes(50), "bl.test", Outcome.NODATA), 30)
        lines.append(numbers.line(8))

    assert [
        "7 bl.test:2:1:1:60:90 *:3:1:1:90:90",
        "8 bl.test:3:2:1:90:140 *:4:2:1:120:140",
        "7 bl.test:2:1:1:60:90 *:3:1:1:90:90",
        "8 bl.test:1:1:0:30:50 *:1:1:0:30:50",
    ] == lines
    all_of_it.reset()
    assert ["0:0:0:0:0"] * 2 == [str(each) for each in all_of_it.totals().values()]


def test_numbers_from_elsewhere() -> None:
    """What was answered elsewhere is added once, and a reset begins anew for that too."""
    outcomes = {Outcome.LISTED: 2, Outcome.NXDOMAIN: 1, Outcome.REFUSED: 4}
    numbers = Statistics(["bl.test"], relative=False)
    numbers.watch(lambda: [CountedElsewhere("bl.test", outcomes, 70, 140), CountedElsewhere("", {}, 0, 0)])
    numbers.count(Reply(bytes(50), "bl.test", Outcome.LISTED), 30)
    lines = [numbers.line(7), numbers.line(8)]
    outcomes[Outcome.NXDOMAIN] = 9
    numbers.reset()
    lines.append(numbers.line(9))
    outcomes[Outcome.NODATA] = 1
    lines.append(numbers.line(10))

    assert [
        "7 bl.test:8:3:1:100:190 *:8:3:1:100:190",
        "8 bl.test:8:3:1:100:190 *:8:3:1:100:190",
        "9 bl.test:0:0:0:0:0 *:0:0:0:0:0",
        "10 bl.test:1:1:0:0:0 *:1:1:0:0:0",
    ] == lines
