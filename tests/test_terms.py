"""The nouns: which states are in DNS, what a role includes, and that facts do not change."""

from dataclasses import FrozenInstanceError
from datetime import UTC, datetime

import pytest

from rbl import terms
from rbl.terms import Act, Role, State


def test_which_states_are_in_dns() -> None:
    """A host is in DNS from its listing until a verdict or an operator ends it, and at no other time."""
    in_dns = {state.value for state in State if state.in_dns}

    assert {"listed", "retest-queued", "retesting", "retest-awaiting"} == in_dns


@pytest.mark.parametrize(
    ("role", "includes"),
    [
        (Role.NOMINATOR, {Role.NOMINATOR}),
        (Role.OPERATOR, {Role.NOMINATOR, Role.OPERATOR}),
        (Role.ADMIN, {Role.NOMINATOR, Role.OPERATOR, Role.ADMIN}),
    ],
)
def test_a_role_includes_those_before_it(role: Role, includes: set[Role]) -> None:
    """An admin may do all, a nominator only nominate."""
    assert includes == {other for other in Role if role.includes(other)}


def test_facts_do_not_change() -> None:
    """A fact is as it was made, and equal to one of the same content."""
    act = Act("worker", "why", datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(FrozenInstanceError):
        act.why = "another"  # type: ignore[misc]  # that it is forbidden is the point

    assert Act("worker", "why", datetime(2026, 1, 1, tzinfo=UTC)) == act


def test_words_are_written_one_way() -> None:
    """Every word that is stored or published is lower case, without blanks and underscores, and unique."""
    for name in ("State", "Verdict", "EnvelopeResult", "Purpose", "Origin", "Role", "Trust", "Change"):
        words = [word.value for word in getattr(terms, name)]

        assert [] == [word for word in words if word != word.lower() or set(word) & set(" _")]
        assert len(set(words)) == len(words) == len(getattr(terms, name).__members__)
