"""Tokens tell by themselves whether we made them."""

import pytest

from rbl.testmessage import TokenKind
from rbl.testtoken import Make, make, maker_of

KEY = b"k" * 32
KINDS = pytest.mark.parametrize("kind", TokenKind)


@KINDS
def test_our_own_token_is_known(kind: TokenKind) -> None:
    """A token that was made with the key is ours, and fits a local part of any form of a test."""
    token = make(kind, KEY)

    assert Make.OURS is maker_of(token, KEY)
    assert (kind.value, True, 37) == (token[0], token.isalnum() and token.islower(), len(token))


@KINDS
def test_tokens_differ(kind: TokenKind) -> None:
    """No token is made twice."""
    assert 100 == len({make(kind, KEY) for _ in range(100)})


@KINDS
def test_another_key_makes_another_token(kind: TokenKind) -> None:
    """Whoever has not our key makes tokens that are none."""
    assert Make.MADE_UP is maker_of(make(kind, b"x" * 32), KEY)


def test_the_two_kinds_are_not_one_token() -> None:
    """Who knows the one address of a test knows nothing of the other."""
    token = make(TokenKind.RECIPIENT, KEY)

    assert Make.MADE_UP is maker_of(f"s{token[1:]}", KEY)


@pytest.mark.parametrize("place", [1, 10, 19, 22, 30])
def test_a_token_with_another_letter_is_made_up(place: int) -> None:
    """Whether in the random part or in the signature, a letter that differs is seen."""
    token = make(TokenKind.SENDER, KEY)
    other = "a" if token[place] != "a" else "b"

    assert Make.MADE_UP is maker_of(token[:place] + other + token[place + 1 :], KEY)


@pytest.mark.parametrize(
    ("token", "maker"),
    [
        ("r" + "0123456789abcdef" * 2, Make.UNSIGNED),
        ("s" + "f" * 32, Make.UNSIGNED),
        ("s" + "g" * 32, Make.MADE_UP),
        ("x" + "a" * 36, Make.MADE_UP),
        ("r" + "a" * 36, Make.MADE_UP),
        ("r" + "1" * 36, Make.MADE_UP),
        ("r", Make.MADE_UP),
        ("", Make.MADE_UP),
        ("ré", Make.MADE_UP),
    ],
)
def test_what_is_no_signed_token(token: str, maker: Make) -> None:
    """A token from before they were signed is the database's to know; anything else is made up."""
    assert maker is maker_of(token, KEY)
