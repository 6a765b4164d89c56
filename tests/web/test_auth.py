from collections.abc import Callable

import httpx2
import pytest

from rbl.store import keys
from rbl.terms import Act, Nominator, Role, Trust
from rbl.web.auth import actor
from tests.web.world import START, World

Header = dict[str, str]

# An operation of each role; the first one that a role may not do is that of the role above it.
OPERATIONS = {
    Role.NOMINATOR: ("GET", "/v1/nominations/1"),
    Role.OPERATOR: ("GET", "/v1/audit"),
    Role.ADMIN: ("GET", "/v1/keys"),
}


@pytest.mark.parametrize("needed", OPERATIONS)
@pytest.mark.parametrize("held", Role)
def test_a_role_includes_those_below_it(
    api: httpx2.Client, key: Callable[..., Header], world: World, held: Role, needed: Role
) -> None:
    """A key may do what its role says, and what lesser roles may; else 403 names the role."""
    world.nominate()
    method, path = OPERATIONS[needed]

    answer = api.request(method, path, headers=key(held))

    if held.includes(needed):
        assert "role" != answer.json().get("code")
    else:
        assert (403, "role") == (answer.status_code, answer.json()["code"])
        assert f"needs the role {needed.value}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({}, "no-key"),
        ({"Authorization": "Basic cmJsOnJibA=="}, "no-key"),
        ({"Authorization": "Bearer"}, "no-key"),
        ({"Authorization": "Bearer rbl_unknown"}, "bad-key"),
        ({"Authorization": "Bearer " + "x" * 5000}, "bad-key"),
        ({"Authorization": "Bearer r\u00e4uber".encode("latin-1")}, "bad-key"),
    ],
    ids=["none", "another scheme", "no token", "unknown", "over-long", "no ASCII"],
)
def test_without_a_known_key_the_answer_is_401(
    api: httpx2.Client, header: dict[str, str | bytes], code: str
) -> None:
    """With the challenge that RFC 9110 §11.6.1 wants."""
    headers = [(name.encode(), v.encode() if isinstance(v, str) else v) for name, v in header.items()]

    answer = api.get("/v1/audit", headers=headers)

    assert (401, code, 'Bearer realm="rbl"') == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["WWW-Authenticate"],
    )


def test_a_revoked_key_is_refused_at_once(api: httpx2.Client, operator: Header, world: World) -> None:
    """From the commit of its revocation on."""
    before = api.get("/v1/audit", headers=operator).status_code
    with world.store.writing() as session:
        keys.revoke(session, keys.all_keys(session)[0].id, Act("x", "revoked", START))

    answer = api.get("/v1/audit", headers=operator)

    assert (200, 401, "bad-key") == (before, answer.status_code, answer.json()["code"])


def test_an_actor_is_a_key_with_its_name() -> None:
    """Journal and audit tell two keys of one name apart."""
    caller = Nominator(3, "mx-admin", Role.OPERATOR, Trust.NORMAL, frozenset(), ())

    assert "key 3 (mx-admin)" == actor(caller)
