"""The exceptions: one tree, a sentence for the reader, a word for programs."""

from datetime import timedelta

import pytest

from rbl.errors import BadInput, ConfigError, Conflict, NotFound, RblError, Refused, Unavailable


@pytest.mark.parametrize("kind", [BadInput, NotFound, Conflict, Refused, Unavailable])
def test_an_error_has_a_sentence_and_a_word(kind: type[RblError]) -> None:
    """The sentence is what is printed; the word is ``error`` where none was given."""
    with_word, without = kind("a sentence", code="a-word"), kind("a sentence")

    assert ("a sentence", "a sentence", "a-word") == (with_word.message, str(with_word), with_word.code)
    assert ("error", True) == (without.code, isinstance(without, RblError))


def test_a_wrong_configuration_names_every_fault() -> None:
    """All faults are there, one a line."""
    fault = ConfigError(["a: wrong", "b: wrong"])

    assert ("a: wrong\nb: wrong", ["a: wrong", "b: wrong"], "configuration") == (
        str(fault),
        fault.faults,
        fault.code,
    )


def test_a_refusal_may_say_when_to_come_again() -> None:
    """A wait is told where there is one."""
    assert (timedelta(hours=1), None) == (
        Refused("too soon", retry_after=timedelta(hours=1)).retry_after,
        Refused("never").retry_after,
    )
