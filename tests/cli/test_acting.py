"""What somebody does from the shell: a public reason and a private note, read strictly."""

import pytest

from rbl.cli.acting import act
from rbl.errors import BadInput


def test_an_act_of_the_shell() -> None:
    """Nobody's key did it."""
    done = act(" the contract ended ", " see the letter of May ")

    assert ("shell", "the contract ended", "see the letter of May", None) == (
        done.actor,
        done.why,
        done.note,
        done.key_id,
    )
    assert act("why").note is None


@pytest.mark.parametrize(
    ("why", "note", "said"),
    [
        ("", None, "--why: it says nothing"),
        ("a\x1b[2Jb", None, r"--why: U\+001B cannot stand in it"),
        ("why", "a\u202eb", r"--note: U\+202E cannot stand in it"),
        ("why", "x" * 501, "--note: it has 501 characters"),
    ],
)
def test_what_turns_or_hides_text_is_refused(why: str, note: str | None, said: str) -> None:
    """The option is named."""
    with pytest.raises(BadInput, match=said):
        act(why, note)
