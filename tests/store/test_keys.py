"""API keys: kept as digests only, found at once, gone at once, never all gone."""

import hashlib
from ipaddress import ip_network

import pytest
from sqlalchemy import select

from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused
from rbl.store import keys
from rbl.store.engine import Store
from rbl.store.keys import KeyView, NewKey
from rbl.store.tables import ApiKey
from rbl.terms import Nominator, Role, Trust
from tests.store import steps
from tests.store.steps import DAY, NOW


def make(store: Store, new: NewKey) -> tuple[str, KeyView]:
    """Make a key."""
    with store.writing() as session:
        return keys.make(session, new, actor="test", now=NOW)


def revoke(store: Store, key_id: int) -> KeyView:
    """Revoke a key."""
    with store.writing() as session:
        return keys.revoke(session, key_id, actor="test", now=NOW + DAY)


def authenticate(store: Store, secret: str) -> Nominator:
    """Return whose key it is."""
    with store.reading() as session:
        return keys.authenticate(session, secret)


def test_a_key_tells_who_uses_it(store: Store) -> None:
    """All that was said when the key was made is known when it is used, names in lower case."""
    secret, view = make(
        store,
        NewKey(
            " mx-admin ",
            Role.NOMINATOR,
            Trust.TRUSTED,
            mx_names=("MX.Example.ORG.",),
            internal_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
        ),
    )

    expected = Nominator(
        key_id=view.id,
        name="mx-admin",
        role=Role.NOMINATOR,
        trust=Trust.TRUSTED,
        mx_names=frozenset({"mx.example.org"}),
        internal_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")),
    )
    assert expected == authenticate(store, secret)


def test_only_a_digest_is_stored(store: Store) -> None:
    """The key itself is nowhere in the database, and is one that scanners recognise."""
    secret, _ = make(store, NewKey("a", Role.NOMINATOR))
    with store.reading() as session:
        row = session.execute(select(ApiKey.__table__)).one()

    assert hashlib.sha256(secret.encode()).digest() == row.digest
    assert not any(secret in str(value) for value in row)
    assert (secret[:4], len(secret)) == ("rbl_", 47)


def test_no_two_keys_are_alike(store: Store) -> None:
    """Each key is new."""
    secrets = {make(store, NewKey(f"key {number}", Role.NOMINATOR))[0] for number in range(5)}

    assert 5 == len(secrets)


@pytest.mark.parametrize("secret", ["", "rbl_", "rbl_unknown", "x" * 1_000_000, "é\x00"])
def test_an_unknown_key_is_refused(store: Store, secret: str) -> None:
    """Whatever is shown instead of a key is refused, without a word of what was wrong with it."""
    make(store, NewKey("a", Role.NOMINATOR))
    with pytest.raises(Refused, match="this API key is unknown or was revoked") as caught:
        authenticate(store, secret)

    assert "bad-key" == caught.value.code


def test_a_revoked_key_is_refused_at_once(store: Store) -> None:
    """From the commit of its revocation on a key opens nothing; revoking again changes nothing."""
    secret, view = make(store, NewKey("a", Role.NOMINATOR))
    authenticate(store, secret)
    revoked = revoke(store, view.id)
    with pytest.raises(Refused):
        authenticate(store, secret)

    assert NOW + DAY == revoked.revoked_at
    assert revoked == revoke(store, view.id)
    assert [("make-key", None, "nominator"), ("revoke-key", "nominator", None)] == steps.actions(store, "a")


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\nb", "a\x00b", "\ud800"])
def test_a_name_has_a_form(store: Store, name: str) -> None:
    """A name is 1 to 100 printable characters: it is shown in lists and logs."""
    with pytest.raises(BadInput, match="1 to 100 printable characters"):
        make(store, NewKey(name, Role.NOMINATOR))


def test_a_name_is_taken_once(store: Store) -> None:
    """Two keys of one name could not be told apart; a revoked key keeps its name."""
    _, view = make(store, NewKey("a", Role.NOMINATOR))
    revoke(store, view.id)
    with pytest.raises(Conflict, match="there is a key named 'a' already"):
        make(store, NewKey("a", Role.OPERATOR))


def test_an_unknown_key_cannot_be_revoked(store: Store) -> None:
    """A wrong number is told."""
    with pytest.raises(NotFound, match="there is no key 77"):
        revoke(store, 77)


def test_the_last_admin_stays(store: Store) -> None:
    """Without an admin nobody could make a key any more: the last one is not revoked."""
    _, first = make(store, NewKey("first", Role.ADMIN))
    _, second = make(store, NewKey("second", Role.ADMIN))
    _, operator = make(store, NewKey("operator", Role.OPERATOR))
    revoke(store, first.id)
    revoke(store, operator.id)
    with pytest.raises(Conflict, match="this is the last admin key: make another one first"):
        revoke(store, second.id)


def test_two_admins_that_revoke_each_other_at_once_are_not_both_gone(store: Store) -> None:
    """Of revocations at the same moment the last is refused."""
    ids = [make(store, NewKey(f"admin {number}", Role.ADMIN))[1].id for number in range(4)]
    outcomes = steps.at_once(4, lambda number: revoke(store, ids[number]))

    assert ["last-admin"] == [one.code for one in outcomes if isinstance(one, RblError)]


def test_all_keys_are_shown_without_their_secrets(store: Store) -> None:
    """The list has revoked keys too, in order of creation."""
    views = [make(store, NewKey(name, Role.NOMINATOR))[1] for name in ("b", "a")]
    revoked = revoke(store, views[0].id)
    with store.reading() as session:
        found = keys.all_keys(session)

    assert [revoked, views[1]] == list(found)


def test_a_first_admin_is_made_once(store: Store) -> None:
    """The first start makes an admin key and shows it; no later one does."""
    with store.writing() as session:
        secret = keys.make_first(session, now=NOW)
    with store.writing() as session:
        again = keys.make_first(session, now=NOW)

    assert secret is not None
    assert (Role.ADMIN, None) == (authenticate(store, secret).role, again)


def test_processes_that_start_at_once_make_one_first_admin(store: Store) -> None:
    """One of them shows the key, and none fails."""

    def start(_: int) -> str | None:
        with store.writing() as session:
            return keys.make_first(session, now=NOW)

    outcomes = steps.at_once(4, start)

    assert 3 == outcomes.count(None)
    assert not [one for one in outcomes if isinstance(one, RblError)]
