"""What the API refuses: each row is told in words, and nothing in the database changes."""

import json
from dataclasses import dataclass, field
from datetime import timedelta

import httpx2
import pytest

from tests.refusals.conftest import NOMINEE, Running, spam

MESSAGE = {"Content-Type": "message/rfc822"}
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Bad:
    """A request, and what its sender is told: status, code, and words of the sentence."""

    key: str
    request: str
    status: int
    code: str
    words: str
    body: bytes | str | dict[str, object] = b""
    headers: dict[str, str] = field(default_factory=lambda: MESSAGE)


def listing(**changed: object) -> dict[str, object]:
    """Return a good listing by hand, with a fault in it."""
    return {"network": "5.6.0.0/24", "reason": "open-relay", "why": "spam"} | changed


NOMINATE = "POST /v1/nominations"
LIST = "POST /v1/listings"
EXEMPT = "POST /v1/exemptions"
KEY = "POST /v1/keys"
CUSTOMER = "POST /v1/customers"

TABLE = [
    # who asks
    Bad("none", NOMINATE, 401, "no-key", "Authorization: Bearer", spam()),
    Bad("wrong", NOMINATE, 401, "bad-key", "unknown, has expired or was revoked", spam()),
    Bad("revoked", NOMINATE, 401, "bad-key", "unknown, has expired or was revoked", spam()),
    Bad("nominator", LIST, 403, "role", "operator", listing(), JSON),
    Bad("operator", KEY, 403, "role", "admin", {"name": "x", "role": "admin"}, JSON),
    Bad("operator", CUSTOMER, 403, "role", "admin", {"name": "isp.example"}, JSON),
    Bad("none", "GET /v1/customers", 401, "no-key", "Authorization: Bearer"),
    Bad("nominator", "GET /v1/audit", 403, "role", "operator"),
    # the evidence
    Bad("nominator", NOMINATE, 422, "empty", "evidence is empty", b"\r\n"),
    Bad("nominator", NOMINATE, 422, "no-received", "Received", b"Subject: x\r\n\r\nspam\r\n"),
    Bad("nominator", NOMINATE, 422, "not-your-mx", "mx.other.example", spam(by="mx.other.example")),
    Bad("nominator", NOMINATE, 422, "too-old", "7 days", spam(age=timedelta(days=8))),
    Bad("nominator", NOMINATE, 422, "from-the-future", "future", spam(age=-timedelta(days=1))),
    Bad("nominator", NOMINATE, 413, "too-large", "262144", spam() + b"x" * 300_000),
    Bad("nominator", NOMINATE, 422, "private-peer", "10.0.0.1", spam("10.0.0.1")),
    Bad("nominator", NOMINATE, 422, "no-peer-address", "", spam("not an address")),
    Bad("nominator", NOMINATE, 422, "reserved-address", "documentation", spam("198.51.100.7")),
    Bad("nominator", NOMINATE, 422, "reserved-address", "multicast", spam("224.0.0.1")),
    Bad("nominator", NOMINATE, 422, "reserved-address", "6to4", spam("IPv6:2002:a00:1::1")),
    Bad("nominator", NOMINATE, 422, "reserved-address", "translation", spam("IPv6:64:ff9b::a00:1")),
    Bad("nominator", NOMINATE, 403, "exempt", "a big provider", spam("9.9.9.9")),
    Bad("nominator", NOMINATE, 403, "do-not-test", "do-not-test list", spam("8.8.8.8")),
    Bad("nominator", f"{NOMINATE}?address=5.9.0.2", 422, "wrong-address", f"nominate {NOMINEE}", spam()),
    Bad("nominator", f"{NOMINATE}?address=x", 422, "bad-address", "'x' is not an IP address", spam()),
    Bad("nominator", f"{NOMINATE}?zone=other.example", 404, "no-such-zone", "other.example", spam()),
    Bad(
        "nominator",
        NOMINATE,
        415,
        "unsupported-media-type",
        "message/rfc822",
        b"x",
        {"Content-Type": "a/b"},
    ),
    Bad("nominator", NOMINATE, 400, "bad-json", "JSON", b"{", JSON),
    Bad("nominator", NOMINATE, 422, "invalid", "message", {}, JSON),
    Bad(
        "nominator",
        NOMINATE,
        409,
        "idempotency-mismatch",
        "use a new one",
        spam("5.9.0.7"),
        MESSAGE | {"Idempotency-Key": "used"},
    ),
    Bad(
        "nominator",
        NOMINATE,
        422,
        "bad-idempotency-key",
        "1 to 255",
        spam("5.9.0.7"),
        MESSAGE | {"Idempotency-Key": "k" * 256},
    ),
    # listings by hand
    Bad("operator", LIST, 422, "bad-network", "5.6.0.0/24", listing(network="5.6.0.1/24"), JSON),
    Bad("operator", LIST, 422, "bad-address", "'5.6'", listing(network="5.6"), JSON),
    Bad("operator", LIST, 422, "invalid", "network", listing(network=False), JSON),
    Bad("operator", LIST, 422, "invalid", "and not both", listing(name="spam.example"), JSON),
    Bad("operator", LIST, 422, "wrong-kind", "list of addresses", listing(network="spam.example"), JSON),
    Bad("operator", "DELETE /v1/listings/open-relay/spam.example?why=x", 422, "wrong-kind", "addresses"),
    Bad("operator", LIST, 422, "unknown-reason", "open-relay", listing(reason="spite"), JSON),
    Bad("operator", LIST, 422, "network-too-wide", "/16", listing(network="5.0.0.0/8"), JSON),
    Bad("operator", LIST, 403, "exempt", "a big provider", listing(network="9.9.9.9"), JSON),
    Bad("operator", LIST, 409, "already-listed", "5.5.5.5", listing(network="5.5.5.5"), JSON),
    Bad("operator", LIST, 422, "expiry-past", "2001", listing(expires_at="2001-01-01T00:00:00Z"), JSON),
    Bad("operator", LIST, 422, "invalid", "why", listing(why=" "), JSON),
    Bad("operator", LIST, 422, "invalid", "text", listing(text="\x1b[31m"), JSON),
    Bad("operator", "DELETE /v1/listings/open-relay/5.6.0.0/24?why=x", 404, "not-listed", "5.6.0.0/24"),
    # exemptions, decisions, switches, keys
    Bad(
        "operator",
        EXEMPT,
        409,
        "empty-exemption",
        "never_list",
        {"network": "5.7.0.0/16", "why": "x"},
        JSON,
    ),
    Bad(
        "operator",
        EXEMPT,
        409,
        "already-exempt",
        "9.9.9.0/24",
        {"network": "9.9.9.0/24", "never_list": True, "why": "x"},
        JSON,
    ),
    Bad("operator", "DELETE /v1/exemptions/5.7.0.0/16?why=x", 404, "not-exempt", "5.7.0.0/16"),
    Bad(
        "operator",
        f"POST /v1/hosts/{NOMINEE}/decisions",
        409,
        "wrong-state",
        "cannot withdraw",
        {"decision": "withdraw", "why": "x"},
        JSON,
    ),
    Bad(
        "operator",
        "POST /v1/hosts/5.9.9.9/decisions",
        404,
        "unknown-host",
        "never nominated",
        {"decision": "approve", "why": "x"},
        JSON,
    ),
    Bad("operator", "PUT /v1/switches/probing", 422, "invalid", "on", {"on": "yes", "why": "x"}, JSON),
    Bad(
        "admin",
        KEY,
        409,
        "name-taken",
        "operator",
        {"name": "operator of isp.example", "role": "operator"},
        JSON,
    ),
    Bad("admin", KEY, 422, "invalid", "role", {"name": "x", "role": "king"}, JSON),
    Bad("admin", "DELETE /v1/keys/1", 409, "last-admin", "make another"),
    Bad("admin", "DELETE /v1/keys/99", 404, "no-such-key", "99"),
    Bad("admin", CUSTOMER, 422, "no-keys", "[keys]", {"name": "isp.example"}, JSON),
    Bad("admin", "DELETE /v1/customers/99", 404, "no-such-key", "99"),
    # anybody
    Bad("none", "GET /v1/addresses/127.1", 422, "bad-address", "127.1"),
    Bad("none", "GET /v1/addresses/fe80::1%25eth0", 422, "bad-address", "scope id"),
    Bad("none", f"POST /v1/addresses/{NOMINEE}/retests", 409, "not-listed", "nothing to retest"),
    Bad("none", "POST /v1/addresses/5.5.5.5/retests", 409, "listed-by-hand", "write to"),
    Bad("none", "POST /v1/addresses/5.9.9.9/retests", 404, "unknown-host", "never nominated"),
    Bad("none", "GET /v1/nothing", 404, "no-such-page", ""),
    Bad("none", "PATCH /v1/nominations", 405, "method-not-allowed", ""),
]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: f"{bad.code}-{bad.request.split('?')[0]}")
def test_refusal(running: Running, bad: Bad) -> None:
    """A bad request is answered with a problem document that says what to do, and changes no row."""
    before = running.rows()
    method, _, path = bad.request.partition(" ")
    headers = dict(bad.headers)
    if running.keys[bad.key]:
        headers["Authorization"] = f"Bearer {running.keys[bad.key]}"
    content = json.dumps(bad.body) if isinstance(bad.body, dict) else bad.body

    answer = httpx2.request(method, running.server.web + path, content=content, headers=headers, timeout=30)

    assert "application/problem+json" == answer.headers["Content-Type"]
    told = answer.json()
    assert (bad.status, bad.code) == (answer.status_code, told["code"]), told
    assert bad.status == told["status"]
    assert bad.words in json.dumps(told, ensure_ascii=False)
    assert told["type"].endswith(f"/problems/{bad.code}")
    assert before == running.rows()
    assert "Traceback" not in running.log()


def test_duplicate_answers_with_the_first(running: Running) -> None:
    """The same spam again is no error: it is answered with the nomination that it made."""
    message, url = spam("5.9.0.8"), f"{running.server.web}/v1/nominations"
    headers = MESSAGE | {"Authorization": f"Bearer {running.keys['nominator']}"}
    first = httpx2.post(url, content=message, headers=headers)
    before = running.rows()

    answer = httpx2.post(url, content=message, headers=headers)

    assert (201, 200, first.json()) == (first.status_code, answer.status_code, answer.json())
    assert before == running.rows()
