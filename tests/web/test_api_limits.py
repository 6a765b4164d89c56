from collections.abc import Callable
from dataclasses import replace

import httpx2
from structlog.testing import capture_logs

from rbl.config import Settings
from rbl.web.parts import Parts
from tests.web.conftest import Served
from tests.web.world import spam

Header = dict[str, str]
RFC822 = {"Content-Type": "message/rfc822"}
PATH = "/v1/keys/2/limits"  # the nominator's: the second key that is made


def nominate(api: httpx2.Client, key: Header, number: int) -> httpx2.Response:
    """Hand in a spam of a network of its own."""
    message = spam(f"9.9.{number}.9", number=number)
    return api.post("/v1/nominations", content=message, headers=key | RFC822)


def change(api: httpx2.Client, key: Header, **body: object) -> httpx2.Response:
    """Change what the nominator's key may do."""
    return api.put(PATH, json={"why": "it floods", **body}, headers=key)


def test_an_operator_changes_what_a_key_may_do(
    api: httpx2.Client, operator: Header, nominator: Header
) -> None:
    """Allowed less, then by its trust again; what it used is told."""
    changed = change(api, operator, nominations=1)
    first, second = nominate(api, nominator, 1), nominate(api, nominator, 2)
    told = api.get(PATH, headers=operator).json()
    back = change(api, operator)
    third = nominate(api, nominator, 3)

    assert {"used": 0, "quota": 1} == changed.json()["nominations"]
    assert (201, 429, "quota", "86400") == (
        first.status_code,
        second.status_code,
        second.json()["code"],
        second.headers["Retry-After"],
    )
    assert ({"used": 1, "quota": 1}, {"used": 1, "quota": 2000}) == (told["nominations"], told["networks"])
    assert ({"used": 1, "quota": 5000}, 201) == (back.json()["nominations"], third.status_code)


def test_a_suspended_key_is_refused_and_goes_on(
    api: httpx2.Client, operator: Header, nominator: Header
) -> None:
    """It is not revoked: it may still look at what it handed in."""
    nominate(api, nominator, 1)
    suspended = change(api, operator, suspended=True)
    refused = nominate(api, nominator, 2)
    looked = api.get("/v1/nominations/1", headers=nominator)
    change(api, operator, suspended=False)

    assert "2026-11-24T03:00:00Z" == suspended.json()["suspended_at"]
    assert (403, "suspended", 200) == (refused.status_code, refused.json()["code"], looked.status_code)
    assert 201 == nominate(api, nominator, 2).status_code


def test_a_nominator_has_no_say(api: httpx2.Client, nominator: Header) -> None:
    """Nor may he see what others used."""
    assert [403, 403] == [
        api.get(PATH, headers=nominator).status_code,
        change(api, nominator, nominations=9).status_code,
    ]


def test_a_key_that_is_not(api: httpx2.Client, operator: Header) -> None:
    """Its number is told."""
    answer = api.get("/v1/keys/99/limits", headers=operator)

    assert (404, "no-such-key") == (answer.status_code, answer.json()["code"])


def test_an_alarm_is_logged_and_measured(
    serve: Callable[[Parts], Served], parts: Parts, nominator: Header
) -> None:
    """At the share that the settings name and at the whole; the metrics have both numbers at any time."""
    small = {"alarm_share": 0.5, "trusted": {"nominations": 2}}
    settings = Settings.model_validate({"quotas": small})
    served = serve(replace(parts, settings=settings))

    with httpx2.Client(base_url=served.url) as api, capture_logs() as logs:
        answers = [nominate(api, nominator, number).status_code for number in (1, 2, 3)]
        metrics = api.get("/metrics").text

    alarms = [(line["of"], line["used"], line["quota"]) for line in logs if line["event"] == "quota_alarm"]
    assert [201, 201, 429] == answers
    assert [("nominations", 1, 2), ("nominations", 2, 2)] == [
        one for one in alarms if one[0] == "nominations"
    ]
    assert 'rbl_key_used{key="1",of="nominations"} 2.0' in metrics
    assert 'rbl_key_quota{key="1",of="nominations"} 2.0' in metrics
