from datetime import timedelta

import httpx2
import pytest

from tests.web.world import Clock

Header = dict[str, str]
BODY = {
    "name": "mx.example.net",
    "role": "operator",
    "mx_names": ["MX.Example.net"],
    "internal_networks": ["10.0.0.0/8"],
}


def test_a_new_key_is_shown_once(api: httpx2.Client, admin: Header) -> None:
    """It works, and no other answer contains it."""
    made = api.post("/v1/keys", headers=admin, json=BODY).json()

    listed = api.get("/v1/keys", headers=admin)
    used = api.get("/v1/audit", headers={"Authorization": f"Bearer {made['key']}"})

    assert made["key"].startswith("rbl_")
    assert made["key"] not in listed.text
    assert (200, ["mx.example.net"]) == (used.status_code, made["mx_names"])
    assert {k: v for k, v in made.items() if k != "key"} == listed.json()["keys"][1]


def test_a_revoked_key_works_no_more(api: httpx2.Client, admin: Header) -> None:
    """Its description stays, with the time."""
    made = api.post("/v1/keys", headers=admin, json=BODY).json()

    revoked = api.delete(f"/v1/keys/{made['id']}", headers=admin)
    used = api.get("/v1/audit", headers={"Authorization": f"Bearer {made['key']}"})

    assert (200, "2026-11-24T03:00:00Z") == (revoked.status_code, revoked.json()["revoked_at"])
    assert 401 == used.status_code


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"name": "the admin"}, 409, "name-taken"),
        ({"name": ""}, 422, "invalid"),
        ({"name": " "}, 422, "bad-name"),
        ({"role": "king"}, 422, "invalid"),
        ({"mx_names": ["a b"]}, 422, "invalid"),
        ({"internal_networks": ["10.0.0.1/8"]}, 422, "bad-network"),
    ],
)
def test_a_key_that_cannot_be_is_refused(
    api: httpx2.Client, admin: Header, change: dict[str, object], status: int, code: str
) -> None:
    """Names are unique and printable, and what a nominator's servers are called can stand in a header."""
    answer = api.post("/v1/keys", headers=admin, json=BODY | change)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_the_last_admin_key_stays(api: httpx2.Client, admin: Header) -> None:
    """Otherwise nobody could make another."""
    answer = api.delete("/v1/keys/1", headers=admin)

    assert (409, "last-admin") == (answer.status_code, answer.json()["code"])


def test_an_unknown_key_is_not_found(api: httpx2.Client, admin: Header) -> None:
    """There is nothing to revoke."""
    answer = api.delete("/v1/keys/99", headers=admin)

    assert (404, "no-such-key") == (answer.status_code, answer.json()["code"])


def test_a_key_is_rotated(api: httpx2.Client, admin: Header) -> None:
    """Both secrets open the same for the overlap; the new one is shown this once."""
    made = api.post("/v1/keys", headers=admin, json=BODY).json()
    rotated = api.post(
        f"/v1/keys/{made['id']}/rotation", headers=admin, json={"overlap_seconds": 60}
    ).json()

    used = [
        api.get("/v1/audit", headers={"Authorization": f"Bearer {secret}"}).status_code
        for secret in (made["key"], rotated["key"])
    ]
    listed = api.get("/v1/keys", headers=admin)

    assert [200, 200] == used
    assert ("2026-11-24T03:01:00Z", made["id"]) == (rotated["previous_until"], rotated["id"])
    assert rotated["key"] not in listed.text


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/keys/77/rotation", {}, 404, "no-such-key"),
        ("/v1/keys/1/rotation", {"overlap_seconds": -1}, 422, "invalid"),
        ("/v1/keys/1/rotation", {"overlap_seconds": 2_592_001}, 422, "invalid"),
        ("/v1/keys/1/rotation", {"expires_at": "2026-11-24T03:00:00Z"}, 422, "expiry-past"),
        ("/v1/keys/1/rotation", {"expires_at": "9999-12-31T23:59:59-12:00"}, 422, "invalid"),
        ("/v1/keys", BODY | {"expires_at": "2026-11-24T02:59:59Z"}, 422, "expiry-past"),
        ("/v1/keys", BODY | {"expires_at": "2026-11-24T02:59:59"}, 422, "invalid"),
    ],
)
def test_a_secret_that_cannot_be_is_refused(
    api: httpx2.Client, admin: Header, path: str, body: dict[str, object], status: int, code: str
) -> None:
    """The times must make sense."""
    answer = api.post(path, headers=admin, json=body)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_a_revoked_key_is_not_rotated(api: httpx2.Client, admin: Header) -> None:
    """It is over."""
    made = api.post("/v1/keys", headers=admin, json=BODY).json()
    api.delete(f"/v1/keys/{made['id']}", headers=admin)
    answer = api.post(f"/v1/keys/{made['id']}/rotation", headers=admin, json={})

    assert (409, "key-over") == (answer.status_code, answer.json()["code"])


def test_an_expired_key_is_refused(api: httpx2.Client, admin: Header, clock: Clock) -> None:
    """From that moment on."""
    body = BODY | {"expires_at": "2026-11-24T03:01:00Z"}
    header = {"Authorization": f"Bearer {api.post('/v1/keys', headers=admin, json=body).json()['key']}"}
    before = api.get("/v1/audit", headers=header).status_code
    clock.pass_by(timedelta(minutes=1))
    after = api.get("/v1/audit", headers=header)

    assert (200, 401, "bad-key") == (before, after.status_code, after.json()["code"])
