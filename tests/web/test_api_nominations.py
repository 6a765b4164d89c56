import asyncio
import base64
import json
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_network

import httpx2
import pytest
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from rbl.store import exemptions
from rbl.terms import Act, Role
from tests.web.conftest import Served
from tests.web.world import SECOND_ZONE, START, World, spam

Header = dict[str, str]
RFC822 = {"Content-Type": "message/rfc822"}


def nominate(api: httpx2.Client, key: Header, message: bytes, **more: str) -> httpx2.Response:
    """Hand in *message*; *more* are query fields."""
    return api.post("/v1/nominations", content=message, headers=key | RFC822, params=more)


def test_a_spam_nominates_the_host_that_handed_it_over(api: httpx2.Client, nominator: Header) -> None:
    """The raw message is enough: the address comes from the nominator's own Received field."""
    with capture_logs() as logs:
        answer = nominate(api, nominator, spam())

    assert 201 == answer.status_code
    assert {
        "id": 1,
        "zone": "relays.example.org",
        "address": "9.9.9.9",
        "state": "queued",
        "received_at": "2026-11-24T02:00:00Z",
        "created_at": "2026-11-24T03:00:00Z",
        "helo": "relay.example",
        "url": "http://127.0.0.1:8080/a/9.9.9.9",
    } == answer.json()
    assert "/v1/nominations/1" == answer.headers["Location"]
    assert [("nominated", "9.9.9.9")] == [(log["event"], log["address"]) for log in logs]


@pytest.mark.parametrize(
    "body",
    [
        {"message": spam().decode()},
        {"message": spam().decode(), "address": "9.9.9.9"},
        {"message_base64": base64.b64encode(spam()).decode()},
    ],
    ids=["text", "with the address", "octets"],
)
def test_a_nomination_may_be_json(api: httpx2.Client, nominator: Header, body: dict[str, str]) -> None:
    """The same as JSON, for those who have no raw body to send."""
    answer = api.post("/v1/nominations", json=body, headers=nominator)

    assert (201, "9.9.9.9") == (answer.status_code, answer.json()["address"])


def test_the_same_spam_again_is_the_first_nomination(api: httpx2.Client, nominator: Header) -> None:
    """A duplicate answers 200 with what it repeats, and is not logged as new."""
    first = nominate(api, nominator, spam())

    with capture_logs() as logs:
        again = nominate(api, nominator, spam())

    assert (200, first.json()["id"], []) == (again.status_code, again.json()["id"], logs)


def test_an_idempotency_key_gives_the_first_answer(api: httpx2.Client, nominator: Header) -> None:
    """Whoever lost the answer asks again with the same key."""
    key = nominator | {"Idempotency-Key": "abc"}

    answers = [nominate(api, key, spam()) for _ in range(2)]

    assert [201, 200] == [answer.status_code for answer in answers]
    assert answers[0].json()["id"] == answers[1].json()["id"]


@pytest.mark.parametrize(
    ("number", "query"), [(2, {}), (1, {"address": "9.9.9.9"})], ids=["message", "address"]
)
def test_an_idempotency_key_is_for_one_request(
    api: httpx2.Client, nominator: Header, number: int, query: dict[str, str]
) -> None:
    """The same key with another body or address is a mistake of the client, and is told so."""
    key = nominator | {"Idempotency-Key": "abc"}
    nominate(api, key, spam())

    answer = nominate(api, key, spam(number=number), **query)

    assert (409, "idempotency-mismatch") == (answer.status_code, answer.json()["code"])


BAD = [
    ("no-received", 422, b"Subject: x\r\n\r\nx\r\n"),
    ("not-your-mx", 422, spam().replace(b"mx.example.net", b"mx.elsewhere.example")),
    ("reserved-address", 422, spam("192.0.2.1")),
    ("reserved-address", 422, spam("224.0.0.1")),
    ("reserved-address", 422, spam("IPv6:2002:0a00:0001::1")),
    ("too-old", 422, spam(at=START - timedelta(days=30))),
    ("from-the-future", 422, spam(at=START + timedelta(days=30))),
    ("empty", 422, b""),
    ("too-large", 413, spam(body="x" * (256 * 1024))),
]


@pytest.mark.parametrize(("code", "status", "message"), BAD, ids=[f"{b[0]}-{n}" for n, b in enumerate(BAD)])
def test_what_proves_nothing_is_refused(
    api: httpx2.Client, nominator: Header, code: str, status: int, message: bytes
) -> None:
    """Each reason has its own code and a sentence."""
    answer = nominate(api, nominator, message)

    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert "application/problem+json" == answer.headers["Content-Type"]


def test_the_address_must_be_the_one_that_is_proven(api: httpx2.Client, nominator: Header) -> None:
    """Naming another address than the message proves is refused, with the right one."""
    answer = nominate(api, nominator, spam(), address="9.9.9.10")

    assert (422, "wrong-address") == (answer.status_code, answer.json()["code"])
    assert "nominate 9.9.9.9" in answer.json()["detail"]


def test_query_and_body_must_agree(api: httpx2.Client, nominator: Header) -> None:
    """Two different addresses in one request are a mistake."""
    body = {"message": spam().decode(), "address": "9.9.9.9"}

    answer = api.post("/v1/nominations", json=body, headers=nominator, params={"address": "9.9.9.10"})

    assert (422, "wrong-address") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("exemption", "code"),
    [
        ({"never_list": True, "never_test": False}, "exempt"),
        ({"never_list": False, "never_test": True}, "do-not-test"),
    ],
)
def test_exempt_addresses_cannot_be_nominated(
    api: httpx2.Client, nominator: Header, world: World, exemption: dict[str, bool], code: str
) -> None:
    """What may not be listed, or not be tested, is refused at the door."""
    act = Act("key 1 (x)", "ours", START)
    with world.store.writing() as session:
        exemptions.add(
            session,
            ip_network("9.9.9.0/24"),
            never_list=exemption["never_list"],
            never_test=exemption["never_test"],
            act=act,
        )

    answer = nominate(api, nominator, spam())

    assert (403, code) == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("text/plain", b"x", 415, "unsupported-media-type"),
        ("", b"x", 415, "unsupported-media-type"),
        ("application/json", b"{", 400, "bad-json"),
        ("application/json", b"[]", 422, "invalid"),
        ("application/json", b"{}", 422, "invalid"),
        ("application/json", b'{"message": "x", "message_base64": "eA=="}', 422, "invalid"),
        ("application/json", b'{"message": "x", "colour": "red"}', 422, "invalid"),
        ("application/json", b'{"message": "x", "address": false}', 422, "invalid"),
        ("application/json", b'{"message": "x", "address": "localhost"}', 422, "bad-address"),
        ("application/json", b'{"message_base64": "\xff"}', 400, "bad-json"),
        ("application/json", b'{"message": "\\ud800"}', 400, "bad-json"),
        ("application/json", b"[" * 10_000, 400, "bad-json"),
    ],
)
def test_a_body_that_cannot_be_read_is_told(
    api: httpx2.Client, nominator: Header, content_type: str, body: bytes, status: int, code: str
) -> None:
    """Wrong types, broken JSON and unknown fields are named, and nothing breaks."""
    headers = nominator | ({"Content-Type": content_type} if content_type else {})

    answer = api.post("/v1/nominations", content=body, headers=headers)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_an_over_long_idempotency_key_is_refused(api: httpx2.Client, nominator: Header) -> None:
    """What cannot be stored is refused."""
    answer = nominate(api, nominator | {"Idempotency-Key": "k" * 256}, spam())

    assert (422, "bad-idempotency-key") == (answer.status_code, answer.json()["code"])


def test_the_list_can_be_named(api: httpx2.Client, nominator: Header) -> None:
    """A nomination goes to the list that is named, and to no list that is not."""
    there = nominate(api, nominator, spam(), zone=SECOND_ZONE.upper())
    nowhere = nominate(api, nominator, spam(), zone="elsewhere.example")

    assert SECOND_ZONE == there.json()["zone"]
    assert (404, "no-such-zone") == (nowhere.status_code, nowhere.json()["code"])


def test_nominators_see_their_own(
    api: httpx2.Client, nominator: Header, operator: Header, key: Callable[..., Header]
) -> None:
    """Operators see all; another nominator is told of none."""
    nominate(api, nominator, spam())
    other = key(Role.NOMINATOR, "another")

    seen = [api.get("/v1/nominations/1", headers=who).status_code for who in (nominator, operator, other)]

    assert [200, 200, 404] == seen


def test_an_unknown_nomination_is_not_found(api: httpx2.Client, operator: Header) -> None:
    """Neither it nor its message."""
    paths = ("/v1/nominations/7", "/v1/nominations/7/message")

    codes = [api.get(path, headers=operator).json()["code"] for path in paths]

    assert ["no-such-nomination"] * 2 == codes


@pytest.mark.parametrize("number", ["0", "-1", "x", "9" * 30])
def test_a_number_that_is_none_is_invalid(api: httpx2.Client, operator: Header, number: str) -> None:
    """Nothing that no database could hold reaches it."""
    answer = api.get(f"/v1/nominations/{number}", headers=operator)

    assert (422, "invalid") == (answer.status_code, answer.json()["code"])


def test_operators_get_the_whole_spam(api: httpx2.Client, nominator: Header, operator: Header) -> None:
    """Octet for octet as it was handed in, and for nobody else."""
    nominate(api, nominator, spam())

    answer = api.get("/v1/nominations/1/message", headers=operator)
    refused = api.get("/v1/nominations/1/message", headers=nominator)

    assert (200, spam(), "message/rfc822") == (
        answer.status_code,
        answer.content,
        answer.headers["Content-Type"],
    )
    assert (403, "role") == (refused.status_code, refused.json()["code"])


def test_the_examples_of_the_document_work(api: httpx2.Client, key: Callable[..., Header]) -> None:
    """What the OpenAPI document shows as a body is taken as one, but for its reserved address."""
    document = api.get("/v1/openapi.json").json()
    examples = document["paths"]["/v1/nominations"]["post"]["requestBody"]["content"]
    body = examples["application/json"]["examples"]["spam"]["value"]

    answer = api.post(
        "/v1/nominations",
        content=json.dumps(body),
        headers=key(Role.NOMINATOR) | {"Content-Type": "application/json"},
    )

    assert "reserved-address" == answer.json()["code"]


def test_a_connection_that_ends_too_early_is_no_fault(server: Served, nominator: Header) -> None:
    """Half a message proves nothing, and a client that went away is not logged as a fault of ours."""
    headers = [
        (b"host", b"relays.example.org"),
        (b"content-type", b"message/rfc822"),
        (b"authorization", nominator["Authorization"].encode()),
    ]
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/nominations",
        "raw_path": b"/v1/nominations",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if "status" in message:
            statuses.append(message["status"])

    with capture_logs() as logs:
        asyncio.run(server.app(scope, receive, send))

    assert ([400], []) == (statuses, logs)
