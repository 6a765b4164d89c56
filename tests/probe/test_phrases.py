"""What a test message says, in many ways."""

import itertools

import pytest

from rbl.probe import phrases

CHOICES = {
    name: value for name, value in vars(phrases).items() if name.isupper() and isinstance(value, tuple)
}


@pytest.mark.parametrize("name", CHOICES)
def test_there_is_a_choice(name: str) -> None:
    """Three ways at least of each, no two alike."""
    assert len(CHOICES[name]) >= 3
    assert len(CHOICES[name]) == len(set(CHOICES[name]))


@pytest.mark.parametrize("name", ["EXPLANATIONS", "REASSURANCES", "LOOK_UPS", "OPT_OUTS", "CONTACTS"])
def test_no_words_are_in_all(name: str) -> None:
    """Of no paragraph two words in a row are the same in all ways of saying it."""
    said = [text.lower().split() for text in CHOICES[name]]
    pairs = [set(itertools.pairwise(words)) for words in said]

    assert set() == set.intersection(*pairs)


def test_explanations_say_it_plainly() -> None:
    """Each says to whom the message goes, and what it would prove."""
    for text in phrases.EXPLANATIONS:
        assert any(word in text for word in ("tester itself", "ourselves", "both ours", "comes back to us"))
        assert any(word in text for word in ("relay", "passes on mail", "forwards"))
