"""Following data files: what is read anew, what stays in service, what is told."""

import os
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.errors import ConfigError
from rbl.responder.filefollower import FileFollower, FileMetrics, parse_assignments
from rbl.responder.filezones import FileCatalogue
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.reading import Options
from tests.responder import recorded

ARGUMENTS = ["-b", "127.0.0.1/0"]


def _change(file: Path, text: str, time: int) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(text)
    os.utime(beside, (time, time))
    beside.rename(file)


def test_reads_what_changed_and_nothing_else(tmp_path: Path) -> None:
    """Of two datasets the one whose file has another time is read; the other stays as it is."""
    files = {"a": "127.0.0.2 a\n", "b": "127.0.0.2 b\n"}
    served = recorded.Served(tmp_path, [*ARGUMENTS, "bl.test:ip4set:a", "bl.test:ip4set:b"], files)
    first, second = served.follower.loaded
    _change(tmp_path / "a", "127.0.0.2 new\n", 5)
    with capture_logs() as said:
        followed = served.follower.follow()

    assert followed
    assert ["ip4set:a"] == [line["dataset"] for line in said if line["event"] == "dataset_loaded"]
    assert second is served.follower.loaded[1]
    assert first is not served.follower.loaded[0]
    assert 'NOERROR "b" "new"' == served.answer("2.0.0.127.bl.test", "TXT")


def test_what_cannot_be_read_stays_as_it_was(tmp_path: Path) -> None:
    """A failed reload is told once, counted while it lasts, and leaves the old data in service."""
    served = recorded.Served(tmp_path, [*ARGUMENTS, "bl.test:ip4set:a"], {"a": "127.0.0.2\nx\n"})
    labels = {"dataset": "ip4set:a"}
    (tmp_path / "a").unlink()
    with capture_logs() as said:
        followed = [served.follower.follow(), served.follower.follow()]

    assert [False, False] == followed
    assert [("dataset_refused", True)] == [(line["event"], line["serving"]) for line in said]
    assert ("file a: unable to open file: No such file or directory",) == served.follower.failed
    assert "NOERROR 127.0.0.2" == served.answer("2.0.0.127.bl.test")
    assert (1, 1, 1) == tuple(
        served.registry.get_sample_value(name, labels)
        for name in ("rbl_dataset_failed", "rbl_dataset_faults", "rbl_dataset_entries")
    )
    _change(tmp_path / "a", "127.0.0.3\n", 6)
    assert served.follower.follow()
    assert 0 == served.registry.get_sample_value("rbl_dataset_failed", labels)
    assert "NXDOMAIN" == served.answer("2.0.0.127.bl.test")


def test_a_zone_that_never_was_whole_is_not_served(tmp_path: Path) -> None:
    """While a dataset of a zone never could be read the zone is SERVFAIL, which is told once."""
    arguments = [*ARGUMENTS, "bl.test:ip4set:a", "bl.test:dnset:b", "other.test:ip4set:a"]
    with capture_logs() as said:
        served = recorded.Served(tmp_path, arguments, {"a": "127.0.0.2\nx\n"})
        served.follower.follow()
    events = [line["event"] for line in said]

    assert (1, 1) == (events.count("zone_not_served"), events.count("line_refused"))
    assert ["SERVFAIL", "NOERROR 127.0.0.2"] == [
        served.answer(f"2.0.0.127.{zone}") for zone in ("bl.test", "other.test")
    ]
    assert ("bl.test", "other.test") == served.follower.zone_names


def test_acls_of_all_zones(tmp_path: Path) -> None:
    """An acl with an empty zone name is of every zone, and is followed too."""
    arguments = [*ARGUMENTS, "bl.test:ip4set:a", ":acl:b"]
    served = recorded.Served(tmp_path, arguments, {"a": "127.0.0.2\n", "b": "127.0.0.1 :refuse\n"})
    before = served.answer("2.0.0.127.bl.test")
    _change(tmp_path / "b", "127.0.0.1 :pass\n", 7)
    served.follower.follow()

    assert ("REFUSED", "NOERROR 127.0.0.2") == (before, served.answer("2.0.0.127.bl.test"))


def test_a_dataset_of_two_zones_is_read_once(tmp_path: Path) -> None:
    """The same files for several zones are one dataset."""
    served = recorded.Served(
        tmp_path, [*ARGUMENTS, "a.test:ip4set:f", "b.test:ip4set:f"], {"f": "127.0.0.2\n"}
    )

    assert 1 == len(served.follower.loaded)
    assert 2 == len(served.follower.by_zone())


def test_nothing_is_served_before_it_is_read(tmp_path: Path) -> None:
    """A follower knows its zones before it has read any."""
    follower = FileFollower(
        parse_assignments(["bl.test:ip4set:f"]), Options(), tmp_path, FileMetrics(CollectorRegistry()), None
    )
    served = follower.catalogue.find((b"bl", b"test"))

    assert served is not None
    assert served.zone is None


def test_who_watches_is_told_of_each_swap(tmp_path: Path) -> None:
    """A watcher is called with what is served now and with each that takes its place."""
    served = recorded.Served(tmp_path, [*ARGUMENTS, "bl.test:ip4set:a"], {"a": "127.0.0.2\n"})
    seen: list[FileCatalogue] = []
    served.follower.watch(seen.append)
    served.follower.follow()
    _change(tmp_path / "a", "127.0.0.3\n", 8)
    served.follower.follow()

    assert 2 == len(seen)
    assert served.follower.catalogue is seen[1]


def test_assignments() -> None:
    """Zones are lower case; files are parted by commas or colons."""
    first, second = parse_assignments(["BL.test:ip4set:a,b:c", ":acl:d"])

    assert ((b"bl", b"test"), ("a", "b", "c")) == (first.apex, first.spec.files)
    assert ((), Kind.ACL) == (second.apex, second.spec.kind)


@pytest.mark.parametrize(
    ("texts", "faults"),
    [
        (["x"], ["invalid zone spec 'x': write zone:type:file,file"]),
        (["a:b"], ["invalid zone spec 'a:b': write zone:type:file,file"]),
        (["a:what:f", "b:ip4set:"], ["unknown dataset type 'what'", "missing filenames for ip4set"]),
        ([":ip4set:f"], ["missing domain name in ':ip4set:f'"]),
        (["x" * 64 + ":ip4set:f"], ["invalid domain name 'xxx"]),
        (["a:acl:f"], ["missing data for zone a"]),
        (["a:ip4set:f", "a:acl:f", "a:acl:g"], ["repeated acl definition for a"]),
        ([":aclkey:f", ":aclkey:g"], ["repeated aclkey definition for all zones"]),
    ],
)
def test_assignments_that_are_none(texts: list[str], faults: list[str]) -> None:
    """Every fault is told, all together."""
    with pytest.raises(ConfigError) as refused:
        parse_assignments(texts)

    assert len(faults) == len(refused.value.faults)
    assert all(said.startswith(fault) for fault, said in zip(faults, refused.value.faults, strict=True))
