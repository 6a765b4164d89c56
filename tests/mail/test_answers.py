"""Whether a message answers another one, by what it says of itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.mail import answers, source
from rbl.mail.answers import Answer
from tests.mail import returned

MESSAGE = returned.made("T02").message


def read(message: bytes) -> Answer:
    """Return what *message* says of itself."""
    return answers.read(source.part(message))


@pytest.mark.parametrize("mta", [mta for mta in returned.BOUNCES if mta != "qmail, rewritten"])
def test_bounces_of_known_servers(mta: str) -> None:
    """Each is a bounce, and none of a delay."""
    said = read(returned.BOUNCES[mta](MESSAGE))

    assert (said.bounce, said.answer, said.delay) == (True, True, False)


@pytest.mark.parametrize("kind", returned.ANSWERS)
def test_answers_of_programs_and_people(kind: str) -> None:
    """Each is an answer and no bounce."""
    said = read(returned.ANSWERS[kind](MESSAGE))

    assert (said.answer, said.bounce) == (True, False)


@pytest.mark.parametrize(
    "message",
    [
        returned.postfix(MESSAGE, b"delayed"),
        returned.postfix(MESSAGE, b"relayed"),
        returned.sendmail(MESSAGE, b"delayed"),
        returned.exim_warning(MESSAGE),
    ],
)
def test_what_is_under_way_is_not_given_up(message: bytes) -> None:
    """A warning of a delay, or a report that the message went on."""
    assert read(message).delay


def test_a_report_of_several_recipients_of_which_one_failed() -> None:
    """Whatever became of the others, it is a bounce."""
    both = returned.postfix(
        MESSAGE, b"delayed\r\n\r\nFinal-Recipient: rfc822; y@z.example\r\nAction: failed"
    )

    assert not read(both).delay


@pytest.mark.parametrize("form", [f"T{number:02}" for number in range(1, 26)])
def test_our_own_messages_answer_nothing(form: str) -> None:
    """However they look, nothing in their header makes an answer of them."""
    for attempt in range(20):
        message = returned.made(form, attempt).message

        assert Answer() == read(message)
        assert Answer() == read(returned.STAMP + message.replace(b"Subject: ", b"Subject: [SPAM] "))


def test_a_message_sent_again() -> None:
    """By a person who had it."""
    assert Answer(sent_again=True) == read(b"Resent-To: <a@b.example>\r\n" + MESSAGE)


@given(message=st.binary())
def test_any_octets_are_read(message: bytes) -> None:
    """Whatever arrives, reading it raises nothing."""
    assert read(message).report is False
