"""The special lines that are the same in every dataset."""

from calendar import timegm

import pytest

from rbl.zone.rbldnsd import specials
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.rbldnsd.specials import FileNameServers, FileSoa

OPTIONS = Options(least_ttl_seconds=60, most_ttl_seconds=7200)


def test_parse_soa() -> None:
    """A SOA has eight words; its TTL keeps the bounds."""
    expected = FileSoa(7200, (b"a", b"t"), (b"h", b"t"), 7, (3600, 60, 604800, 30))

    assert expected == specials.parse_soa(b"1d a.t h.t 7 1h 1m\t1w 30", OPTIONS, 600)


@pytest.mark.parametrize(
    "text",
    [
        b"1d a.t h.t 7 1h 1m 1w",  # a word short
        b"x a.t h.t 7 1h 1m 1w 30",
        b"1d a.t h.t 99999999999 1h 1m 1w 30",
        b"1d a.t h.t 7 1h x 1w 30",
        b"1d a.t h.t 7 1h 1m 1w x",
        rb"1d a\300 h.t 7 1h 1m 1w 30",
    ],
)
def test_a_wrong_soa(text: bytes) -> None:
    """A SOA that is written wrongly is none."""
    assert specials.parse_soa(text, OPTIONS, 600) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"0 a.t -b.t A.T c.t", FileNameServers(600, ((b"a", b"t"), (b"c", b"t")))),
        (b"1h -a.t", FileNameServers(3600, ())),
        (b"1h", None),
        (b"x a.t", None),
        (b"", None),
        (rb"1h a\300", None),
    ],
)
def test_parse_name_servers(text: bytes, expected: FileNameServers | None) -> None:
    """Name servers are named once each; a hyphen skips one."""
    assert expected == specials.parse_name_servers(text, OPTIONS, 600)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"/16", 65536), (b"256", 256), (b"/33", None), (b"0", None), (b"x", None), (b"99999999999", None)],
)
def test_parse_widest(text: bytes, expected: int | None) -> None:
    """The widest range is a prefix length or a number of addresses."""
    assert expected == specials.parse_widest(text)


_MADE = timegm((2005, 1, 31, 0, 0, 0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2005:01:31", (_MADE, 0)),
        (b"2005-1-31-23:59:59 +1d", (_MADE + 86399, _MADE + 86399 + 86400)),
        (b"20050131 2005:2:1", (_MADE, _MADE + 86400)),
        (b"2004:02:29", (timegm((2004, 2, 29, 0, 0, 0)), 0)),
        (b"0 2005:01:31", (0, _MADE)),
        (b"2005:02:29", None),  # no leap year
        (b"1969:01:01", None),
        (b"2005:13:01", None),
        (b"2005:01:31 x", None),
        (b"0 +1d", None),  # from no time on
        (b"x", None),
        (b"", None),
    ],
)
def test_parse_timestamp(text: bytes, expected: tuple[int, int] | None) -> None:
    """A timestamp says when data were made and when they expire."""
    assert expected == specials.parse_timestamp(text)


def test_without_comment() -> None:
    """A comment begins after a blank, or at the start."""
    assert [b"a#b ", b"", b"a"] == [specials.without_comment(each) for each in (b"a#b ;c", b"# c", b"a")]
