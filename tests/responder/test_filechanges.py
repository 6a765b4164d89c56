"""Which changes of data files are served at once, which later, and which not before somebody says so."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rbl.responder import filechanges
from rbl.responder.filechanges import Caution, Waiting, refusal
from rbl.zone.rbldnsd.reading import Stamp
from tests.responder import recorded

ARGUMENTS = ["-b", "127.0.0.1/0", "bl.test:ip4set:a"]
LABELS = {"dataset": "ip4set:a"}
CAUTION = Caution()
SERVED: tuple[Stamp, Stamp] = (Stamp(1, 10, 7), Stamp(1, 10, 8))


NOW = 1_000_000_000


def _stamp(age: float, inode: int = 7) -> Stamp:
    """Return how a file looks that was written *age* seconds ago."""
    return Stamp(int((NOW - age) * 10**9), 9, inode)


@pytest.mark.parametrize(
    ("seen", "waiting", "now", "outcome"),
    [
        ((_stamp(0, 70), SERVED[1]), None, 0, "read"),  # renamed into place
        ((_stamp(0), SERVED[1]), None, 0, "wait"),  # in place: seen for the first time
        ((_stamp(3), SERVED[1]), None, 0, "read"),  # in place, and left alone since
        ((_stamp(1), SERVED[1]), Waiting((_stamp(1), SERVED[1]), 0), 1, "wait"),
        ((_stamp(-9), SERVED[1]), Waiting((_stamp(-9), SERVED[1]), 0), 2, "read"),  # of a wrong clock
        ((_stamp(0), SERVED[1]), Waiting((_stamp(1), SERVED[1]), 0), 9, "wait"),  # it goes on
        ((_stamp(0, 70), _stamp(0, 8)), None, 0, "wait"),  # one renamed, the other in place
        ((_stamp(0), SERVED[1]), Waiting((_stamp(1, 9), SERVED[1]), 0), 0, "read"),  # an inode used again
        ((None, SERVED[1]), None, 0, "read"),  # gone: reading it says so
        ((_stamp(0), SERVED[1]), Waiting((None, SERVED[1]), 0), 0, "wait"),  # and written anew
    ],
)
def test_settled(seen: filechanges.Stamps, waiting: Waiting | None, now: float, outcome: str) -> None:
    """What is written in place is read once it was left alone; what is renamed, at once."""
    settled = filechanges.is_settled(waiting, seen, SERVED, now, NOW, CAUTION)

    assert outcome == ("read" if settled else "wait")


@pytest.mark.parametrize(
    ("before", "after", "octets", "why"),
    [
        (1000, 700, 99, None),
        (1000, 699, 99, "301 of 1000 entries are gone, more than the 30% allowed at once"),
        (1000, 5000, 99, None),
        (120, 21, 99, None),  # a small change
        (5, 0, 0, "all 5 entries are gone: the file is empty"),
        (5, 0, 9, None),  # a list that says that it has none
        (0, 0, 0, None),
    ],
)
def test_losses(before: int, after: int, octets: int, why: str | None) -> None:
    """A loss like that of an accident is refused, and small ones and gains are not."""
    assert why == refusal(before, after, octets, CAUTION)


def _addresses(count: int) -> str:
    return "".join(f"10.0.{number // 256}.{number % 256}\n" for number in range(count))


def _rename(file: Path, text: str) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def test_a_half_written_file_is_waited_for(tmp_path: Path) -> None:
    """While a writer fills a file in place the old list is served; a HUP says that it is whole."""
    served = recorded.Served(tmp_path, ARGUMENTS, {"a": "127.0.0.2\n127.0.0.3\n"})
    with (tmp_path / "a").open("w") as half:
        half.write("127.0.0.")
        half.flush()
        served.follower.follow()
        assert served.follower.is_settling
        half.write("2\n127.0.0.4\n")
    before = served.answer("4.0.0.127.bl.test")
    served.follower.follow(told=True)

    assert ("NXDOMAIN", "NOERROR 127.0.0.2") == (before, served.answer("4.0.0.127.bl.test"))
    assert not served.follower.is_settling


def test_an_emptied_file_is_held_back_until_two_words(tmp_path: Path) -> None:
    """A file that lost everything is told of and not served, until it is told a second time."""
    served = recorded.Served(tmp_path, ARGUMENTS, {"a": _addresses(300)})
    _rename(tmp_path / "a", "")
    with capture_logs() as said:
        followed = [served.follower.follow(told=told) for told in (False, False, True)]
    held = served.registry.get_sample_value("rbl_dataset_held", LABELS)

    assert [True, True, True] == followed
    assert ["all 300 entries are gone: the file is empty"] == [
        line["why"] for line in said if line["event"] == "dataset_held"
    ]
    assert (0, "NXDOMAIN") == (held, served.answer("1.0.0.10.bl.test"))


def test_what_is_held_back_gives_way_to_a_whole_file(tmp_path: Path) -> None:
    """A held change costs nothing: the next whole file is served, and so is the old one put back."""
    served = recorded.Served(tmp_path, ARGUMENTS, {"a": _addresses(300)})
    _rename(tmp_path / "a", _addresses(10))
    served.follower.follow()
    during = served.answer("200.0.0.10.bl.test")
    _rename(tmp_path / "a", _addresses(301))
    served.follower.follow()

    assert ("NOERROR 127.0.0.2", "NOERROR 127.0.0.2") == (during, served.answer("44.1.0.10.bl.test"))
    assert 0 == served.registry.get_sample_value("rbl_dataset_held", LABELS)


def test_a_change_after_the_look_is_held_again(tmp_path: Path) -> None:
    """A HUP lets out what was held and looks so still, not another accident after it."""
    served = recorded.Served(tmp_path, ARGUMENTS, {"a": _addresses(300)})
    _rename(tmp_path / "a", _addresses(50))
    served.follower.follow()
    _rename(tmp_path / "a", "")
    served.follower.follow(told=True)

    assert "NOERROR 127.0.0.2" == served.answer("200.0.0.10.bl.test")


def test_rbldnsds_way_where_it_is_asked_for(tmp_path: Path) -> None:
    """With --any-change whatever is found is served at once."""
    served = recorded.Served(tmp_path, [*ARGUMENTS, "--any-change"], {"a": _addresses(300)})
    (tmp_path / "a").write_text("")
    os.utime(tmp_path / "a", (5, 5))
    served.follower.follow()

    assert "NXDOMAIN" == served.answer("200.0.0.10.bl.test")
