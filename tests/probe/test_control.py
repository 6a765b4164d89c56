"""What a server answers for its own postmaster, beside what it answers for others."""

import itertools
from ipaddress import ip_address

import pytest

from rbl.probe import control
from rbl.probe.control import controls, is_control, shows_a_block
from rbl.probe.dialogue import Contact, EnvelopeOutcome, Offered
from rbl.probe.plan import Identity
from rbl.probe.verdict import verdict
from rbl.terms import EnvelopeResult, Verdict
from rbl.testmessage import TokenKind

R = EnvelopeResult
HOST = ip_address("203.0.113.9")
US = Identity("tester.example.net", "td.example", "sd.example")
DENIED = "550 5.7.1 Relaying denied"


def token(kind: TokenKind) -> str:
    """Return a token."""
    return f"{kind.value}{next(NUMBERS):022}"


NUMBERS = itertools.count()


@pytest.mark.parametrize(
    ("hostname", "known", "recipients"),
    [
        (
            "mx.example.com",
            "relay.example.org",
            ["<postmaster@mx.example.com>", "<postmaster@example.com>", "<postmaster@relay.example.org>"],
        ),
        ("example.com", "example.com", ["<postmaster@example.com>"]),
        ("mx.example.com", "!spam", ["<postmaster@mx.example.com>", "<postmaster@example.com>"]),
        (None, "mx.example.com", ["<postmaster@mx.example.com>"]),
        ("localhost", None, []),
    ],
)
def test_its_own_postmaster_by_every_name(
    hostname: str | None, known: str | None, recipients: list[str]
) -> None:
    """By its name, its domain, the name of the evidence, and without one; from us and from nobody."""
    asked = controls(US, hostname, known, token)

    assert [*recipients, "<postmaster>"] == [each.rcpt_to for each in asked]
    assert all(is_control(each.test) for each in asked)
    assert "<>" == asked[-1].mail_from


def test_one_control_that_is_taken_spares_the_others() -> None:
    """Those after it are not offered; where it is refused they are."""
    asked = controls(US, "mx.example.com", None, token)
    taken = EnvelopeOutcome("C01", R.ACCEPTED, "250 Ok")
    spared = control.spared(taken, asked)

    assert [("C02", R.NOT_RUN), ("C04", R.NOT_RUN)] == [(one.test, one.result) for one in spared]
    assert [] == control.spared(EnvelopeOutcome("C01", R.REFUSED, "550 no"), asked)
    assert [] == control.spared(EnvelopeOutcome("T01", R.ACCEPTED, "250 Ok"), asked)


def said(*replies: str, result: EnvelopeResult = R.REFUSED) -> list[Offered]:
    """Return controls that were answered so."""
    return [Offered(f"C0{number}", result, reply) for number, reply in enumerate(replies, start=1)]


@pytest.mark.parametrize(
    ("asked", "blocked", "why"),
    [
        ([], False, "none was asked"),
        (said("no", result=R.NOT_RUN), False, "none applied"),
        (said("250 Ok", result=R.ACCEPTED), False, "it takes its own mail"),
        ([*said(DENIED), Offered("C04", R.ACCEPTED, "250 Ok")], False, "by another name"),
        (said("450 later", result=R.DEFERRED), False, "greylisting"),
        (said("550 5.1.1 User unknown"), False, "it looked for the mailbox"),
        (said("530 5.7.0 Authentication required", result=R.AUTH_REQUIRED), False, "only for its users"),
        (said("550 authentication required"), False, "in other words"),
        (said(DENIED, DENIED), True, "the same answer as to all others"),
        (said("550 Access denied"), True, "any refusal"),
    ],
)
def test_who_refuses_his_own_postmaster_refuses_us(
    asked: list[Offered],
    blocked: bool,  # noqa: FBT001
    why: str,
) -> None:
    """Everything refused, and the control too: that is no answer to the envelopes."""
    forms = [Offered("T01", R.REFUSED, DENIED), Offered("T03", R.REFUSED, DENIED)]
    found = verdict(HOST, [*forms, *asked], [], Contact.GREETED, ("tester.example.net",))

    assert blocked == shows_a_block(forms, asked), why
    assert (Verdict.TESTER_BLOCKED if blocked else Verdict.CLOSED) == found, why


def test_user_unknown_for_all_is_no_answer_to_the_control() -> None:
    """A server that knows no mailbox of its own, in the words that it has for every recipient."""
    unknown = "550 5.1.1 <{}>: User unknown"
    forms = [Offered("T01", R.REFUSED, unknown.format("r1@td.example"))]

    assert shows_a_block(forms, said(unknown.format("postmaster@mx.example")))


@pytest.mark.parametrize("result", [None, R.TIMEOUT, R.DROPPED])
def test_without_an_answer_to_the_control_nothing_is_closed(result: EnvelopeResult | None) -> None:
    """It is asked again, as a form is."""
    forms = [Offered("T01", R.REFUSED, DENIED)]
    found = verdict(HOST, [*forms, Offered("C01", result)], [], Contact.GREETED, ())

    assert Verdict.DEFERRED is found
