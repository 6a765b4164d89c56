"""Which tokens are worth a message, and how often the database is asked."""

import pytest

from rbl.errors import Unavailable
from rbl.mail.tokens import Tokens
from rbl.store.receipts import Standing
from rbl.testmessage import TokenKind
from rbl.testtoken import make

KEY = b"k" * 32


class Database:
    """Knows every token, and a clock."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 0.0
        self.tokens = Tokens(KEY, self.ask, lambda: self.now)

    def ask(self, token: str) -> Standing:
        self.asked.append(token)
        return Standing.AWAITED

    def look_up(self, token: str) -> Standing:
        """Do what a session does."""
        return self.tokens.known(token) or self.tokens.ask(token)


@pytest.fixture
def database() -> Database:
    return Database()


def old(number: int) -> str:
    """Return a token of the old form."""
    return f"r{number:032x}"


def test_a_made_up_token_is_not_asked_for(database: Database) -> None:
    """However many strangers make up, the database hears of none."""
    made_up = [make(TokenKind.RECIPIENT, b"x" * 32) for _ in range(1_000)]

    assert {Standing.UNKNOWN} == {database.look_up(token) for token in made_up}
    assert [] == database.asked


def test_a_token_of_ours_is_asked_for_once_in_a_while(database: Database) -> None:
    """What was heard of a token is believed for ten seconds."""
    token = make(TokenKind.SENDER, KEY)
    found = {database.look_up(token) for _ in range(100)}
    database.now += 9.9
    database.look_up(token)
    before = list(database.asked)
    database.now += 0.1
    database.look_up(token)

    assert ({Standing.AWAITED}, [token], [token, token]) == (found, before, database.asked)


def test_what_is_remembered_is_bounded(database: Database) -> None:
    """The token that was heard of longest ago is forgotten for another."""
    first = make(TokenKind.SENDER, KEY)
    database.look_up(first)
    for _ in range(20_000):
        database.tokens.ask(make(TokenKind.SENDER, KEY))
    database.look_up(first)

    assert [first, first] == [token for token in database.asked if token == first]
    assert 20_002 == len(database.asked)


def test_tokens_of_the_old_form_are_asked_for_now_and_then(database: Database) -> None:
    """Runs that were under way at the upgrade go on; a flood of made-up ones is put off."""
    for number in range(50):
        assert Standing.AWAITED is database.look_up(old(number))
    with pytest.raises(Unavailable):
        database.look_up(old(50))
    known = database.look_up(old(49))
    database.now += 1
    later = [database.look_up(old(number)) for number in range(50, 60)]
    with pytest.raises(Unavailable):
        database.look_up(old(60))

    assert (Standing.AWAITED, [Standing.AWAITED] * 10, 60) == (known, later, len(database.asked))


def test_without_old_runs_a_flood_of_old_tokens_is_refused(database: Database) -> None:
    """When no test under way has tokens of the old form, nothing is put off for them."""
    database.tokens.expects_unsigned = False
    found = [database.look_up(old(number)) for number in range(100)]

    assert [Standing.AWAITED] * 50 + [Standing.UNKNOWN] * 50 == found
