"""API keys: kept as digests only, found at once, gone at once, never all gone."""

import hashlib
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest
from sqlalchemy import select

from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused
from rbl.store import keys
from rbl.store.engine import Store
from rbl.store.keys import KeyView, NewKey, RefusedKey
from rbl.store.tables import ApiKey
from rbl.terms import Nominator, Role, Trust
from tests.store import steps
from tests.store.steps import DAY, NOW


def make(store: Store, new: NewKey) -> tuple[str, KeyView]:
    """Make a key."""
    with store.writing() as session:
        return keys.make(session, new, steps.act())


def revoke(store: Store, key_id: int) -> KeyView:
    """Revoke a key."""
    with store.writing() as session:
        return keys.revoke(session, key_id, steps.act(at=NOW + DAY))


def authenticate(store: Store, secret: str) -> Nominator:
    """Return whose key it is."""
    with store.reading() as session:
        return keys.authenticate(session, secret, NOW)[0]


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
    secrets = {make(store, NewKey(f"isp {number}", Role.NOMINATOR))[0] for number in range(5)}

    assert 5 == len(secrets)


@pytest.mark.parametrize("secret", ["", "rbl_", "rbl_unknown", "x" * 1_000_000, "é\x00"])
def test_an_unknown_key_is_refused(store: Store, secret: str) -> None:
    """Whatever is shown instead of a key is refused, without a word of what was wrong with it."""
    make(store, NewKey("a", Role.NOMINATOR))
    with pytest.raises(Refused, match="this API key is unknown, has expired or was revoked") as caught:
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
    assert [("make-key", None, "nominator normal"), ("revoke-key", "nominator", None)] == steps.actions(
        store, "a"
    )


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
    _, operator = make(store, NewKey("night shift", Role.OPERATOR))
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


def refusal(store: Store, secret: str, at: datetime = NOW) -> str | None:
    """Return for the log why *secret* is refused; None: it is taken."""
    try:
        with store.reading() as session:
            keys.authenticate(session, secret, at)
    except RefusedKey as refused:
        return refused.why
    return None


def rotate(store: Store, key_id: int, overlap: timedelta = DAY, **more: datetime) -> tuple[str, KeyView]:
    """Give a key a new secret."""
    at = more.pop("at", NOW)
    with store.writing() as session:
        return keys.rotate(session, key_id, steps.act(at=at), overlap=overlap, **more)


@pytest.mark.parametrize("name", ["public", "TIMER", "key 9", "operator", "nominate"])
def test_no_name_reads_like_our_own(store: Store, name: str) -> None:
    """What audit and pages call the program itself cannot be had as a name."""
    with pytest.raises(BadInput, match="say whose key it is"):
        make(store, NewKey(name, Role.NOMINATOR))


def test_a_key_expires(store: Store) -> None:
    """It is taken until then, and refused from that moment on; an expiry in the past is none."""
    secret, view = make(store, NewKey("a", Role.NOMINATOR, expires_at=NOW + DAY))

    assert NOW + DAY == view.expires_at
    assert [None, "expired"] == [
        refusal(store, secret, at) for at in (NOW + DAY - timedelta(microseconds=1), NOW + DAY)
    ]
    with pytest.raises(BadInput, match="expired before it begins"):
        make(store, NewKey("b", Role.NOMINATOR, expires_at=NOW))


def test_an_expired_admin_is_no_admin(store: Store) -> None:
    """The last one that is still valid stays."""
    make(store, NewKey("gone", Role.ADMIN, expires_at=NOW + DAY))
    _, last = make(store, NewKey("last", Role.ADMIN))
    with pytest.raises(Conflict, match="the last admin key"):
        revoke(store, last.id)


def test_a_key_gets_a_new_secret(store: Store) -> None:
    """The key is who it was; both secrets are taken for the overlap, then the new one alone."""
    old, view = make(store, NewKey("a", Role.NOMINATOR, mx_names=("mx.example",)))
    new, rotated = rotate(store, view.id)

    assert (view.id, NOW + DAY) == (rotated.id, rotated.previous_until)
    assert authenticate(store, old) == authenticate(store, new)
    assert ["replaced", None] == [refusal(store, secret, NOW + DAY) for secret in (old, new)]
    assert ("rotate-key", None, None) == steps.actions(store, "a")[-1]


def test_of_three_secrets_the_oldest_is_refused(store: Store) -> None:
    """Whoever rotates twice because one secret got about is rid of it at once."""
    first, view = make(store, NewKey("a", Role.NOMINATOR))
    second, _ = rotate(store, view.id)
    third, _ = rotate(store, view.id)

    assert ["unknown", None, None] == [refusal(store, secret) for secret in (first, second, third)]


def test_without_an_overlap_the_old_secret_is_refused_at_once(store: Store) -> None:
    """It is not even known any more."""
    old, view = make(store, NewKey("a", Role.NOMINATOR))
    new, rotated = rotate(store, view.id, timedelta(0))

    assert (None, "unknown", None) == (rotated.previous_until, refusal(store, old), refusal(store, new))


def test_a_rotation_brings_no_expired_secret_back(store: Store) -> None:
    """An expired key needs a new expiry; the old secret stays refused, whatever the overlap."""
    old, view = make(store, NewKey("a", Role.NOMINATOR, expires_at=NOW + DAY))
    later = NOW + 2 * DAY
    with pytest.raises(Conflict, match="'a' has expired"):
        rotate(store, view.id, at=later)
    new, rotated = rotate(store, view.id, at=later, expires_at=later + DAY)

    assert (later + DAY, NOW + DAY) == (rotated.expires_at, rotated.previous_until)
    assert ["replaced", None] == [refusal(store, secret, later) for secret in (old, new)]


def test_what_cannot_be_rotated_is_told(store: Store) -> None:
    """A revoked key is over; an overlap has its limits; a number that was never given is told."""
    _, view = make(store, NewKey("a", Role.NOMINATOR))
    for overlap in (timedelta(seconds=-1), timedelta(days=31)):
        with pytest.raises(BadInput, match="0 to 30 days"):
            rotate(store, view.id, overlap)
    with pytest.raises(BadInput, match="expired before it begins"):
        rotate(store, view.id, expires_at=NOW)
    with pytest.raises(NotFound, match="there is no key 77"):
        rotate(store, 77)
    revoke(store, view.id)
    with pytest.raises(Conflict, match="'a' was revoked"):
        rotate(store, view.id)


def test_a_revoked_key_is_refused_with_both_secrets(store: Store) -> None:
    """And the log can say whose it was."""
    old, view = make(store, NewKey("a", Role.NOMINATOR))
    new, _ = rotate(store, view.id)
    revoke(store, view.id)
    with pytest.raises(RefusedKey) as caught:
        authenticate(store, old)

    assert ("revoked", view.id, "a") == (caught.value.why, caught.value.key_id, caught.value.name)
    assert "revoked" == refusal(store, new)


def test_the_last_use_is_noted(store: Store) -> None:
    """Of the key, and of the secret before: is it still needed? Time never goes backwards."""
    old, view = make(store, NewKey("a", Role.NOMINATOR))
    new, _ = rotate(store, view.id)
    with store.reading() as session:
        uses = [keys.authenticate(session, secret, NOW)[1] for secret in (old, new)]
    for at, use in ((NOW, uses[0]), (NOW + DAY, uses[1]), (NOW - DAY, uses[0])):
        with store.writing() as session:
            keys.mark_used(session, {use: at})
    with store.reading() as session:
        (found,) = keys.all_keys(session)

    assert (NOW + DAY, NOW) == (found.used_at, found.previous_used_at)
