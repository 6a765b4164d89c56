"""What a reply means, where no session is needed to tell."""

import pytest

from rbl.probe.dialogue import Contact
from rbl.probe.meaning import demands_tls, is_of_session, keywords, puts_off, turned_away
from rbl.probe.replies import Reply


def reply(*lines: str) -> Reply:
    """Return a reply of *lines*."""
    return Reply(int(lines[0][:3]), lines, "RCPT TO:<r@td.example>")


@pytest.mark.parametrize(
    ("line", "expected", "why"),
    [
        ("503 5.5.1 Error: need MAIL command", True, "the sender was forgotten"),
        ("550 5.7.1 Too many unknown recipients", True, "counted over the session"),
        ("554 Error limit exceeded", True, "the same"),
        ("550 5.7.1 Relaying denied", False, "of the envelope"),
        ("450 Too many recipients", False, "not for good"),
        ("250 OK", False, "taken"),
    ],
)
def test_refusals_for_what_went_before(line: str, expected: bool, why: str) -> None:  # noqa: FBT001
    """Such a refusal says nothing of the envelope it answers."""
    assert expected == is_of_session(reply(line)), why


@pytest.mark.parametrize(
    ("line", "expected", "why"),
    [
        ("450 4.7.1 Error: too many recipients from 192.0.2.1", True, "Postfix's limit"),
        ("452 4.5.3 Recipient limit reached", True, "a limit of the message"),
        ("450 4.2.0 Greylisted, see http://greylist.example/", False, "greylisting is of the envelope"),
        ("421 4.7.0 Too many connections", False, "a goodbye"),
        ("550 Too many recipients", False, "for good"),
    ],
)
def test_what_is_put_off_for_its_number(line: str, expected: bool, why: str) -> None:  # noqa: FBT001
    """A limit of how much is asked is told from greylisting."""
    assert expected == puts_off(reply(line)), why


@pytest.mark.parametrize(
    ("line", "contact"),
    [("554 no", Contact.BLOCKED), ("421 later", Contact.DEFERRED), ("250 hm", Contact.BROKEN)],
)
def test_how_we_are_turned_away(line: str, contact: Contact) -> None:
    """An answer other than yes to our arrival refuses us, puts us off, or is no SMTP."""
    assert contact is turned_away(reply(line)).contact


def test_words_of_a_greeting() -> None:
    """Extensions are read from EHLO, and TLS is begun only where it is demanded."""
    assert ("SIZE", "DSN") == keywords(reply("250-mx.example", "250-size 1", "250 DSN"))
    assert demands_tls(reply("530 5.7.0 Must issue a STARTTLS command first"))
    assert not demands_tls(reply("530 5.7.0 Authentication required"))
    assert not demands_tls(None)
