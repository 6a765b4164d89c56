"""Messages taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.mail import source

MULTIPART = b"Content-Type: multipart/mixed; boundary=b\n\n"


def test_fields() -> None:
    """Fields come in order with lower-case names, unfolded, and the body follows the empty line."""
    found = source.read(b"A: 1\r\nB :\t2\r\n  3\r\n\t\r\nA:4\r\n\r\nbody\r\n")

    assert [(b"a", b"1"), (b"b", b"2  3\t".strip()), (b"a", b"4")] == [
        (f.name, f.value) for f in found.fields
    ]
    assert ([b"1", b"4"], b"1", b"") == (found.values(b"a"), found.first(b"a"), found.first(b"c"))
    assert b"body\r\n" == found.body


@pytest.mark.parametrize(
    ("octets", "body"),
    [
        (b"A: 1", b""),
        (b"A: 1\n\nx", b"x"),
        (b"A: 1\nx y: z", b"x y: z"),
        (b" x", b" x"),
        (b"", b""),
        (b": x", b": x"),
    ],
)
def test_end_of_header(octets: bytes, body: bytes) -> None:
    """The header ends at an empty line or at the first line that is no field."""

    assert body == source.part(octets).body


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        (b"", "text/plain"),
        (b"Content-Type: TEXT/Html; charset=x\n", "text/html"),
        (b"Content-Type: nonsense\n", "text/plain"),
        (b"Content-Type: a/b c\n", "text/plain"),
        (b"Content-Type: a/\xff\n", "text/plain"),
    ],
)
def test_content_type(field: bytes, kind: str) -> None:
    """A type that is missing or no type is text/plain."""

    assert kind == source.read(field + b"\nx").content_type


@pytest.mark.parametrize(
    ("value", "parameter"),
    [
        (b"a/b; x=1", "1"),
        (b'a/b; X="1;2"', "1;2"),
        (b"a/b", ""),
        (b"a/b; x*=utf-8''1", ""),
        (b"a/b; x*=1; x*1=2", ""),
        (b"a/b; x*0=1; x*" + b"9" * 1_950 + b"=2", "12"),
        (b"a/b; x=1" + b" " * 2_000 + b";", ""),
    ],
)
def test_parameter(value: bytes, parameter: str) -> None:
    """A parameter that cannot be read is as good as none."""

    assert parameter == source.part(b"Content-Type: " + value + b"\n\n").parameter("x")


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"pre\n--b\n\n1\n--b\nA: x\n\n2\r\n--b--\nepilogue\n--b\n\n3", [b"1", b"2"]),
        (b"--b\n\n1\n--b  \n\n2", [b"1", b"2"]),
        (b"--b\n\n1\n--bc\n2\n--b--", [b"1\n--bc\n2"]),
        (b"--b\n--b\n--b--", [b"", b""]),
        (b"--b", [b""]),
        (b"none", []),
        (b"--b--", []),
        (b"--b\n" * 200, [b""] * 100),
    ],
)
def test_parts(body: bytes, parts: list[bytes]) -> None:
    """The parts are what stands between the delimiters, without the line end before them."""

    assert parts == [part.body for part in source.parts(source.part(MULTIPART + body))]


@pytest.mark.parametrize(
    "field", [b"a/b; boundary=b", b"multipart/mixed", b"multipart/mixed; boundary=" + b"b" * 201]
)
def test_no_parts(field: bytes) -> None:
    """Only a multipart with a boundary has parts."""

    assert [] == source.parts(source.part(b"Content-Type: " + field + b"\n\n--b\n\nx\n--b--"))


def test_walk() -> None:
    """The leaves come in order; attached messages, and what is nested too deep, are leaves."""
    inner = MULTIPART.replace(b"=b", b"=c") + b"--c\n\n1\n--c\nContent-Type: message/rfc822\n\n2\n--c--"
    deep = b"x"
    for level in range(9):
        deep = MULTIPART.replace(b"=b", b"=d%d" % level) + b"--d%d\n" % level + deep

    leaves = list(source.walk(source.part(MULTIPART + b"--b\n" + inner + b"\n--b\n" + deep + b"\n--b--")))

    assert ["text/plain", "message/rfc822", "multipart/mixed"] == [leaf.content_type for leaf in leaves]


@pytest.mark.parametrize(
    ("encoding", "body", "limit", "text"),
    [
        (b"7bit", b"hello", 4, b"hell"),
        (b"BASE64", b"aGVs\r\nbG8=", 99, b"hello"),
        (b"base64", b"aGVsbG8", 99, b"hello"),
        (b"base64", b"aGVsbG8=", 3, b"hel"),
        (b"base64", b"aGVsb", 99, b"hel"),
        (b"base64", b"!\xff", 99, b""),
        (b"quoted-printable", b"=41=\nb=ZZ", 99, b"Ab=ZZ"),
    ],
)
def test_decoded(encoding: bytes, body: bytes, limit: int, text: bytes) -> None:
    """The transfer encoding is undone, up to a limit, as far as the text goes."""

    assert text == source.part(b"Content-Transfer-Encoding: " + encoding + b"\n\n" + body).decoded(limit)


@given(st.binary(max_size=300), st.integers(0, 50))
def test_any_octets(octets: bytes, limit: int) -> None:
    """Any octets are taken apart, and decode to no more than the limit."""
    for encoding in (b"7bit", b"base64", b"quoted-printable"):
        head = MULTIPART[:-1] + b"Content-Transfer-Encoding: " + encoding + b"\n\n--b\n"
        for leaf in source.walk(source.part(head + octets)):
            assert len(leaf.decoded(limit)) <= limit
        assert len(source.part(head + octets).decoded(limit)) <= limit
