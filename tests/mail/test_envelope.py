"""The arguments of MAIL and RCPT."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.mail import envelope
from rbl.mail.envelope import Path, Recipient

TOKEN = "r" + 20 * "a"


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("FROM:<a@b>", Path("a@b", "")),
        ("from: <a@b> size=12 body=8bitmime", Path("a@b", "SIZE=12 BODY=8BITMIME")),
        ("FROM:<>", Path("", "")),
        ("FROM:a@b SIZE=1", Path("a@b", "SIZE=1")),
        ("FROM:<a b@c>", Path("a b@c", "")),
        ("FROM:", None),
        ("FROM", None),
        ("TO:<a@b>", None),
        ("FROM:<a@b", None),
        ("FROM:<a@b>x", None),
        ("FROM:<<a@b>>", None),
        ("FROM:a b", Path("a", "B")),
        ("FROM:  <a@b>", None),
    ],
)
def test_read_path(argument: str, path: Path | None) -> None:
    """A path is read in brackets or bare, with what stands behind it."""

    assert path == envelope.read_path("FROM:", argument)


@pytest.mark.parametrize(
    ("parameters", "size"),
    [
        ("", 0),
        ("SIZE=12", 12),
        ("BODY=7BIT SIZE=12 X", 12),
        ("XSIZE=12", 0),
        ("SIZE=x", 0),
        ("SIZE=" + "9" * 19, 0),
    ],
)
def test_declared_size(parameters: str, size: int) -> None:
    """The declared size is read; what is no size declares none."""

    assert size == Path("a@b", parameters).declared_size


@pytest.mark.parametrize(
    ("address", "recipient"),
    [
        (f"{TOKEN}@d.example", f"{TOKEN}@d.example"),
        (f"{TOKEN.upper()}@D.Example.", f"{TOKEN.upper()}@D.Example."),
        (f"@x.example,@y.example:{TOKEN}@d.example", f"{TOKEN}@d.example"),
        (f"s{47 * '9'}@d.example", f"s{47 * '9'}@d.example"),
        (f"s{48 * '9'}@d.example", None),
        (f"r{19 * '9'}@d.example", None),
        (f"q{20 * 'a'}@d.example", None),
        (f"r{20 * 'a'}\u212a@d.example", None),
        (f"{TOKEN}@x.example", None),
        (f"{TOKEN}@", None),
        (f"{TOKEN}", None),
        (f"x@y:{TOKEN}@d.example", None),
        (f"@x.example:@y.example:{TOKEN}@d.example", None),
        (f'"{TOKEN}"@d.example', None),
        (f"{TOKEN}@d.example\n", None),
    ],
)
def test_own_recipient(address: str, recipient: str | None) -> None:
    """Only a well-formed token at the domain is ours."""
    token = None if recipient is None else recipient.partition("@")[0].lower()
    expected = None if recipient is None else Recipient(recipient, token)

    assert expected == envelope.own_recipient(address, ("d.example",))


@pytest.mark.parametrize(
    ("address", "ours"),
    [
        ("postmaster@d.example", True),
        ("Postmaster@D.Example.", True),
        ("@x.example:abuse@d.example", True),
        ("ABUSE@d.example", True),
        ("postmaster", True),
        ("POSTMASTER", True),
        ("abuse", False),
        ("postmaster@", False),
        ("postmaster@x.example", False),
        ("hostmaster@d.example", False),
        ("postmaster%x.example@d.example", False),
        ("postma\u017fter", False),
    ],
)
def test_people(address: str, *, ours: bool) -> None:
    """Postmaster, also without a domain, and abuse at ours are people's; nobody else is."""
    found = envelope.own_recipient(address, ("d.example",))

    assert ours is (found is not None and found.token is None)


@given(st.binary(max_size=100))
def test_any_octets(octets: bytes) -> None:
    """Any argument is read, or is no path; what is shown of it is printable."""
    text = "FROM:" + octets.decode("utf-8", "surrogateescape")
    path = envelope.read_path("FROM:", text)

    assert envelope.readable(path.address if path else text).isprintable()
